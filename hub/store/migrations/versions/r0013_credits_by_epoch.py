"""On PostgreSQL what each close credits is a partition of its own, no longer sixteen by account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.dialects import Bytes, Name, Whole
from hub.store.migrations.statements import run
from hub.store.partitions import filled
from hub.store.triggers import append_only_statements

revision = "0013"
down_revision = "0012"

_COLUMNS = "epoch, ledger, account, delta, capped, variance"


def upgrade() -> None:
    """Make the table again and fill a partition an epoch; an SQLite file has none."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    op.rename_table("credit", "credit_kept")
    op.execute("alter index credit_pkey rename to credit_kept_pkey")
    for verb in ("update", "delete", "truncate"):
        # Its triggers go with it.
        op.execute(f"drop function credit_no_{verb}() cascade")
    table = op.create_table(
        "credit",
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("ledger", Name, nullable=False),
        sa.Column("account", Bytes, nullable=False),
        sa.Column("delta", Whole, nullable=False),
        sa.Column("capped", Whole, nullable=False),
        sa.Column("variance", Whole, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "ledger", "account"),
        sa.CheckConstraint("capped >= 0", name="capped_is_not_negative"),
        postgresql_partition_by="LIST (epoch)",
    )
    run(append_only_statements("credit"))
    for epoch in connection.scalars(sa.text("select distinct epoch from credit_kept order by epoch")).all():
        with filled(connection, table, epoch) as name:
            op.execute(
                f"insert into {name} ({_COLUMNS}) select {_COLUMNS} from credit_kept "  # noqa: S608 (names above)
                f"where epoch = {epoch} order by ledger, account"
            )
    op.drop_table("credit_kept")
