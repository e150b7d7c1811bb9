"""Runs statements given by dialect on the one that is migrated."""

from __future__ import annotations

from collections.abc import Iterable

from alembic import op
from sqlalchemy import text

from hub.store.triggers import Statement


def run(statements: Iterable[Statement]) -> None:
    """Run those of the database at hand, in order."""
    dialect = op.get_bind().dialect.name
    for named, statement in statements:
        if named == dialect:
            op.execute(text(statement))
