"""Tickets inside operations may be overwritten once an erasure order is logged."""

from __future__ import annotations

from hub.store.migrations.statements import run
from hub.store.triggers import refuse_statements

revision = "0009"
down_revision = "0008"

_PERMITTED = (
    "new.seq = old.seq and new.key = old.key and new.act_hash = old.act_hash and new.at = old.at "
    "and new.points = old.points and new.fen = old.fen and new.milligrams = old.milligrams "
    "and new.expires_at = old.expires_at and length(new.data) = length(old.data) "
    "and exists (select 1 from entry where entry.kind in ('erasure-order', 'hub-erasure-order'))"
)


def upgrade() -> None:
    """Make an exception to the rule that operations are never changed."""
    run(
        (
            ("sqlite", "drop trigger operation_no_update"),
            ("postgresql", "drop trigger operation_no_update on operation"),
            ("postgresql", "drop function operation_no_update"),
            ("postgresql", "grant update on operation to current_user"),
        )
    )
    run(refuse_statements("operation", "update", unless=_PERMITTED))
