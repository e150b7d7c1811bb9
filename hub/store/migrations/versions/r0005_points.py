"""Released points of tariffs the nodes evaluate, by account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.dialects import Bytes, Whole

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table of released points."""
    op.create_table(
        "points_balance",
        sa.Column("account", Bytes, nullable=False),
        sa.Column("points", Whole, nullable=False),
        sa.Column("variance", Whole, nullable=False),
        sa.Column("enterprises", Whole, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.PrimaryKeyConstraint("account"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
