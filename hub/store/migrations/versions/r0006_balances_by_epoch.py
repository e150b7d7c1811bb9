"""Balances stand by epoch, so that a close appends them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.dialects import Bytes, Whole

revision = "0006"
down_revision = "0005"

_COLUMNS = "account, balance_mg, variance_mg2, enterprises, epoch"


def upgrade() -> None:
    """Make the table again under its other key."""
    op.execute("create table balance_kept as select * from balance")
    op.drop_table("balance")
    op.create_table(
        "balance",
        sa.Column("account", Bytes, nullable=False),
        sa.Column("balance_mg", Whole, nullable=False),
        sa.Column("variance_mg2", Bytes, nullable=False),
        sa.Column("enterprises", Whole, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "account"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute(f"insert into balance ({_COLUMNS}) select {_COLUMNS} from balance_kept")  # noqa: S608 (columns named above)
    op.drop_table("balance_kept")
