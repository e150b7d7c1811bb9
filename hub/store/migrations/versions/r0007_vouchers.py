"""Voucher codes of commercial rewards."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.dialects import Bytes, Whole

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table of voucher codes."""
    op.create_table(
        "voucher",
        sa.Column("programme", sa.Text, nullable=False),
        sa.Column("reward", sa.Text, nullable=False),
        sa.Column("number", Whole, nullable=False),
        sa.Column("sealed", Bytes, nullable=False),
        sa.Column("mark", Bytes, nullable=False),
        sa.Column("order_key", Bytes),
        sa.Column("held_at", Whole, nullable=False),
        sa.PrimaryKeyConstraint("programme", "reward", "number"),
        sa.UniqueConstraint("mark", name="a_code_is_loaded_once"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("voucher_by_order", "voucher", ["order_key"])
