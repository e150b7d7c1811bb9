"""Tables that nothing ever read are gone: choices, tickets, states and programmes are folded from the log."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Drop them."""
    for name in ("choice", "ticket", "account_status", "programme", "ledger_epoch"):
        op.drop_table(name)
