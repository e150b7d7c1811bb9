"""What persons chose and proved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.dialects import Bytes, Whole

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables of choices, tickets and states of accounts."""
    _accounts()


def _accounts() -> None:
    op.create_table(
        "choice",
        sa.Column("account", Bytes, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("effective_epoch", Whole, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("idx", Whole, nullable=False),
        sa.PrimaryKeyConstraint("account", "what", "subject", "effective_epoch"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ticket",
        sa.Column("hash", Bytes, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("expires_at", Whole, nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "account_status",
        sa.Column("account", Bytes, nullable=False),
        sa.Column("frozen", Whole, nullable=False),
        sa.Column("closed", Whole, nullable=False),
        sa.Column("proved", Whole, nullable=False),
        sa.Column("idx", Whole, nullable=False),
        sa.CheckConstraint(
            "frozen in (0, 1) and closed in (0, 1) and proved in (0, 1)", name="states_are_said"
        ),
        sa.PrimaryKeyConstraint("account"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
