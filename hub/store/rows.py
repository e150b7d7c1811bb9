"""Many rows at once: keyed rows put in their places, keys cut into what one statement may name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table

from hub.store.dialects import PLACEHOLDERS, run_many

# Rows fetched at a time.
ROWS_AT_ONCE = 8192
# A statement names at most so many keys.
KEYS_AT_ONCE = 400


def put(connection: Connection, table: Table, keys: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows in the order of the table's columns, replacing those whose keys are there."""
    _run(connection, table, keys, rows)


def add(connection: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows in the order of the table's columns."""
    _run(connection, table, (), rows)


def _run(
    connection: Connection, table: Table, keys: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Give rows to the driver itself: at the counter most of a statement's time would go into making it."""
    values = list(rows)
    if values:
        run_many(connection, _text(connection.dialect.name, table, keys), values)


@cache
def _text(dialect: str, table: Table, keys: tuple[str, ...]) -> str:
    names = [column.name for column in table.c]
    listed = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join([PLACEHOLDERS[dialect]] * len(names))
    text = f'insert into "{table.name}" ({listed}) values ({marks})'  # noqa: S608 - the table's own names
    if not keys:
        return text
    others = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in keys)
    return f"{text} on conflict ({', '.join(keys)}) do update set {others}"


def cut(keys: Iterable[Any]) -> Iterator[list[Any]]:
    """Cut keys into lists that one statement may name."""
    iterator = iter(keys)
    while some := list(islice(iterator, KEYS_AT_ONCE)):
        yield some
