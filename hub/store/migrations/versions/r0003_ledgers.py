"""The ledgers: journals, wallets, reservations, programmes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.dialects import Bytes, Name, Whole
from hub.store.migrations.statements import run
from hub.store.triggers import append_only_statements, partition_statements

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the ledgers' tables."""
    _journals()
    _credits()
    _wallets()
    _reservations()
    _epochs()
    for name in ("operation", "segment", "transfer", "credit", "received"):
        run(append_only_statements(name))


def _journals() -> None:
    op.create_table(
        "operation",
        sa.Column("seq", Whole, autoincrement=False, nullable=False),
        sa.Column("key", Bytes, nullable=False),
        sa.Column("act_hash", Bytes, nullable=False),
        sa.Column("at", Whole, nullable=False),
        sa.Column("data", Bytes, nullable=False),
        sa.Column("points", Whole, nullable=False),
        sa.Column("fen", Whole, nullable=False),
        sa.Column("milligrams", Whole, nullable=False),
        sa.Column("expires_at", Whole, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("key"),
        sqlite_strict=True,
    )
    op.create_table(
        "segment",
        sa.Column("first", Whole, autoincrement=False, nullable=False),
        sa.Column("count", Whole, nullable=False),
        sa.Column("idx", Whole, nullable=False),
        sa.PrimaryKeyConstraint("first"),
        sqlite_strict=True,
    )
    op.create_table(
        "transfer",
        sa.Column("operation", Whole, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("ledger", Name, nullable=False),
        sa.Column("debit", Bytes, nullable=False),
        sa.Column("credit", Bytes, nullable=False),
        sa.Column("amount", Whole, nullable=False),
        sa.Column("code", Whole, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.PrimaryKeyConstraint("operation", "position"),
        sa.CheckConstraint("amount > 0", name="transfer_is_positive"),
        sa.CheckConstraint("debit <> credit", name="transfer_has_two_sides"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _credits() -> None:
    op.create_table(
        "credit",
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("ledger", Name, nullable=False),
        sa.Column("account", Bytes, nullable=False),
        sa.Column("delta", Whole, nullable=False),
        sa.Column("capped", Whole, nullable=False),
        sa.Column("variance", Whole, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "ledger", "account"),
        sa.CheckConstraint("capped >= 0", name="capped_is_not_negative"),
        postgresql_partition_by="HASH (account)",
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    run(partition_statements("credit", 16))
    op.create_table(
        "received",
        sa.Column("operation", Whole, nullable=False),
        sa.Column("ledger", Name, nullable=False),
        sa.Column("account", Bytes, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("points", Whole, nullable=False),
        sa.PrimaryKeyConstraint("account", "ledger", "epoch", "operation"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _wallets() -> None:
    op.create_table(
        "wallet",
        sa.Column("account", Bytes, nullable=False),
        sa.Column("ledger", Name, nullable=False),
        sa.Column("available", Whole, nullable=False),
        sa.Column("claimable", Whole, nullable=False),
        sa.Column("pending", Whole, nullable=False),
        sa.Column("deficit", Whole, nullable=False),
        sa.Column("deficit_since", Whole, nullable=False),
        sa.Column("credited", Whole, nullable=False),
        sa.Column("expired", Whole, nullable=False),
        sa.Column("written_off", Whole, nullable=False),
        sa.Column("variance", Whole, nullable=False),
        sa.Column("applied_epoch", Whole, nullable=False),
        sa.PrimaryKeyConstraint("account", "ledger"),
        sa.CheckConstraint("available >= 0", name="available_is_not_negative"),
        sa.CheckConstraint("claimable >= 0", name="claimable_is_not_negative"),
        sa.CheckConstraint("pending >= 0", name="pending_is_not_negative"),
        sa.CheckConstraint("deficit >= 0", name="deficit_is_not_negative"),
        sa.CheckConstraint("deficit = 0 or available + claimable = 0", name="a_deficit_is_repaid_first"),
        postgresql_partition_by="HASH (account)",
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    run(partition_statements("wallet", 16))
    op.create_table(
        "system_balance",
        sa.Column("id", Bytes, nullable=False),
        sa.Column("ledger", Name, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("debits", Whole, nullable=False),
        sa.Column("credits", Whole, nullable=False),
        sa.CheckConstraint("debits >= 0 and credits >= 0", name="sides_are_not_negative"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _reservations() -> None:
    op.create_table(
        "reservation",
        sa.Column("key", Bytes, nullable=False),
        sa.Column("programme", sa.Text(), nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.Column("reward", sa.Text(), nullable=False),
        sa.Column("account", Bytes, nullable=False),
        sa.Column("quantity", Whole, nullable=False),
        sa.Column("points", Whole, nullable=False),
        sa.Column("fund", sa.Text(), nullable=False),
        sa.Column("fen", Whole, nullable=False),
        sa.Column("milligrams", Whole, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("expires_at", Whole, nullable=False),
        sa.Column("state", Whole, nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reservation_account", "reservation", ["account"])
    op.create_index("reservation_by_time", "reservation", ["state", "expires_at"])
    op.create_table(
        "counter",
        sa.Column("name", Name, nullable=False),
        sa.Column("value", Whole, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _epochs() -> None:
    op.create_table(
        "ledger_epoch",
        sa.Column("epoch", Whole, autoincrement=False, nullable=False),
        sa.Column("state", Whole, nullable=False),
        sa.CheckConstraint("state in (0, 1, 2)", name="state_is_known"),
        sa.PrimaryKeyConstraint("epoch"),
        sqlite_strict=True,
    )
    op.create_table(
        "programme",
        sa.Column("idx", Whole, autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", Whole, nullable=False),
        sa.Column("sha256", Bytes, nullable=False),
        sa.Column("first_epoch", Whole, nullable=False),
        sa.Column("withdrawn", Whole, nullable=False),
        sa.CheckConstraint("withdrawn in (0, 1)", name="withdrawn_is_said"),
        sa.PrimaryKeyConstraint("idx"),
        sqlite_strict=True,
    )
    op.create_index("ix_programme_id", "programme", ["id"])
