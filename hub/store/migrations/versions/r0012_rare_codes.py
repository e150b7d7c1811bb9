"""Transfers of the few codes asked for across the whole journal are found by an index of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the index over trees planted and units issued."""
    rare = sa.text("code = 18 OR code = 20")
    op.create_index(
        "transfer_by_rare_code",
        "transfer",
        ["code", "operation"],
        sqlite_where=rare,
        postgresql_where=rare,
    )
