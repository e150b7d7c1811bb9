"""Tickets taken: whose, by whose word, for what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.dialects import Bytes, Whole

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table of tickets taken."""
    op.create_table(
        "ticket",
        sa.Column("hash", Bytes, nullable=False),
        sa.Column("enterprise", sa.Text(), nullable=False),
        sa.Column("nonce", Bytes, nullable=False),
        sa.Column("pseudonym", Bytes, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("account", Bytes, nullable=False),
        sa.Column("at", Whole, nullable=False),
        sa.Column("idx", Whole),
        sa.PrimaryKeyConstraint("hash"),
        sa.UniqueConstraint("enterprise", "nonce", name="a_ticket_is_taken_once"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ticket_by_account", "ticket", ["account"])
