"""The log, its parties, and the books of accounts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.dialects import Bytes, Whole
from hub.store.migrations.statements import run
from hub.store.triggers import append_only_statements

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    _log()
    _parties()
    _books()
    op.create_table(
        "setting",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_strict=True,
    )
    for name in ("entry", "body"):
        run(append_only_statements(name))


def _log() -> None:
    op.create_table(
        "entry",
        sa.Column("idx", Whole, autoincrement=False, nullable=False),
        sa.Column("envelope", Bytes, nullable=False),
        sa.Column("leaf_hash", Bytes, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("received_at", Whole, nullable=False),
        sa.Column("receipt", Bytes, nullable=False),
        sa.PrimaryKeyConstraint("idx"),
        sa.UniqueConstraint("leaf_hash"),
        sqlite_strict=True,
    )
    op.create_index("entry_by_kind", "entry", ["kind", "epoch"])
    op.create_table(
        "body",
        sa.Column("idx", Whole, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("private", Whole, nullable=False),
        sa.Column("data", Bytes, nullable=False),
        sa.PrimaryKeyConstraint("idx", "position"),
        sa.CheckConstraint("private in (0, 1)"),
        sqlite_strict=True,
    )
    op.create_table(
        "tree",
        sa.Column("id", Whole, autoincrement=False, nullable=False),
        sa.Column("size", Whole, nullable=False),
        sa.Column("root", Bytes, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("id = 1"),
        sqlite_strict=True,
    )


def _parties() -> None:
    op.create_table(
        "invitation",
        sa.Column("secret_hash", Bytes, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("evaluation_quota", Whole, nullable=False),
        sa.Column("expires_at", Whole, nullable=False),
        sa.Column("public_key", Bytes),
        sa.Column("request_hash", Bytes),
        sa.Column("certificate_pem", Bytes),
        sa.PrimaryKeyConstraint("secret_hash"),
        sqlite_strict=True,
    )
    op.create_table(
        "registration",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("public_key", Bytes, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("sealing_key", Bytes, nullable=False),
        sa.Column("evaluation_quota", Whole, nullable=False),
        sa.Column("joined_at", Whole, nullable=False),
        sa.PrimaryKeyConstraint("role", "id"),
        sqlite_strict=True,
    )


def _books() -> None:
    op.create_table(
        "link",
        sa.Column("pseudonym", Bytes, nullable=False),
        sa.Column("account", Bytes, nullable=False),
        sa.Column("effective_epoch", Whole, nullable=False),
        sa.Column("idx", Whole, nullable=False),
        sa.PrimaryKeyConstraint("pseudonym"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_link_account", "link", ["account"])
    op.create_table(
        "balance",
        sa.Column("account", Bytes, nullable=False),
        sa.Column("balance_mg", Whole, nullable=False),
        sa.Column("variance_mg2", Bytes, nullable=False),
        sa.Column("enterprises", Whole, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.PrimaryKeyConstraint("account"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "closed_epoch",
        sa.Column("epoch", Whole, autoincrement=False, nullable=False),
        sa.Column("idx", Whole, nullable=False),
        sa.Column("accounts", Whole, nullable=False),
        sa.Column("accounts_in_two_or_more", Whole, nullable=False),
        sa.Column("total_mg", Whole, nullable=False),
        sa.PrimaryKeyConstraint("epoch"),
        sqlite_strict=True,
    )
