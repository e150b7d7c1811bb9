"""Private bodies may be overwritten by an erasure order of the log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.store.dialects import Whole
from hub.store.migrations.statements import run
from hub.store.triggers import follow_statements, refuse_statements

revision = "0002"
down_revision = "0001"

_PERMITTED = (
    "new.idx = old.idx and new.position = old.position and new.private = old.private and old.private = 1 "
    "and length(new.data) = length(old.data) and exists (select 1 from body_erasure as permit "
    "join entry on entry.idx = permit.order_idx where permit.idx = old.idx "
    "and permit.position = old.position and entry.kind in ('erasure-order', 'hub-erasure-order'))"
)
_ERASED = "delete from body_erasure where idx = new.idx and position = new.position"


def upgrade() -> None:
    """Make an exception to the rule that bodies are never changed; the schema is no setting any more."""
    op.create_table(
        "body_erasure",
        sa.Column("idx", Whole, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("order_idx", Whole, nullable=False),
        sa.PrimaryKeyConstraint("idx", "position"),
        sqlite_strict=True,
    )
    run(
        (
            ("sqlite", "drop trigger body_no_update"),
            ("postgresql", "drop trigger body_no_update on body"),
            ("postgresql", "drop function body_no_update"),
            ("postgresql", "grant update on body to current_user"),
        )
    )
    run(refuse_statements("body", "update", unless=_PERMITTED))
    run(follow_statements("body", "body_erased", "update", _ERASED))
    op.execute("delete from setting where name = 'schema'")
