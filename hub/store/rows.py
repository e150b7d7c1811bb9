"""Many rows at once: keyed rows put in their places, keys cut into what one statement may name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table

from hub.store.dialects import replace_rows

# Rows fetched at a time.
ROWS_AT_ONCE = 8192
# A statement names at most so many keys.
KEYS_AT_ONCE = 400


def put(connection: Connection, table: Table, keys: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows in the order of the table's columns, replacing those whose keys are there."""
    names = [column.name for column in table.c]
    values = [dict(zip(names, row, strict=True)) for row in rows]
    if values:
        connection.execute(replace_rows(connection, table, keys), values)


def cut(keys: Iterable[Any]) -> Iterator[list[Any]]:
    """Cut keys into lists that one statement may name."""
    iterator = iter(keys)
    while some := list(islice(iterator, KEYS_AT_ONCE)):
        yield some
