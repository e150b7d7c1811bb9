"""Accounts that opted into a board."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.dialects import Bytes

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table of boards' groups."""
    op.create_table(
        "board_entry",
        sa.Column("programme", sa.Text, nullable=False),
        sa.Column("board", sa.Text, nullable=False),
        sa.Column("account", Bytes, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("programme", "board", "account"),
        sa.UniqueConstraint("programme", "board", "alias", name="a_name_is_one_account"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
