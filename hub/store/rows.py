"""Many rows at once: keyed rows put in their places, keys cut into what one statement may name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table

from hub.store.dialects import run_many, run_one

# Rows fetched at a time.
ROWS_AT_ONCE = 8192
# A statement names at most so many keys.
KEYS_AT_ONCE = 400

_ARRAYS = {int: "bigint", bytes: "bytea", str: "text"}


def put(connection: Connection, table: Table, keys: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows in the order of the table's columns, replacing those whose keys are there.

    The rows have distinct keys.
    """
    _run(connection, table, keys, rows)


def add(connection: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows in the order of the table's columns."""
    _run(connection, table, (), rows)


def _run(
    connection: Connection, table: Table, keys: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Give rows to the driver itself: at the counter most of a statement's time would go into making it."""
    dialect = connection.dialect.name
    iterator = iter(rows)
    while values := list(islice(iterator, ROWS_AT_ONCE)):
        if dialect == "sqlite":
            run_many(connection, _text(dialect, table, keys), values)
        else:
            # One statement for all rows: a server takes longer over a statement than over a row.
            arrays = map(_array, _kinds(table), zip(*values, strict=True))
            run_one(connection, _text(dialect, table, keys), list(arrays))


@cache
def _text(dialect: str, table: Table, keys: tuple[str, ...]) -> str:
    names = [column.name for column in table.c]
    listed = ", ".join(f'"{name}"' for name in names)
    text = f'insert into "{table.name}" ({listed}) {_values(dialect, table)}'
    if not keys:
        return text
    others = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in keys)
    return f"{text} on conflict ({', '.join(keys)}) do update set {others}"


def _values(dialect: str, table: Table) -> str:
    """Name one row's values for SQLite, one array a column for PostgreSQL."""
    if dialect == "sqlite":
        return f"values ({', '.join(['?'] * len(table.c))})"
    arrays = ", ".join(f"%s::{_ARRAYS[kind]}[]" for kind in _kinds(table))
    return f"select * from unnest({arrays})"  # noqa: S608 - types only


@cache
def _kinds(table: Table) -> list[type]:
    return [one.type.python_type for one in table.c]


def _array(kind: type, values: Iterable[Any]) -> str:
    """Write an array as PostgreSQL reads one; the driver takes ten times as long, value by value."""
    if kind is int:
        return "{" + ",".join(map(str, values)) + "}"
    if kind is bytes:
        return "{" + ",".join([rf'"\\x{one.hex()}"' for one in values]) + "}"
    return "{" + ",".join(map(_quoted, values)) + "}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


def cut(keys: Iterable[Any]) -> Iterator[list[Any]]:
    """Cut keys into lists that one statement may name."""
    iterator = iter(keys)
    while some := list(islice(iterator, KEYS_AT_ONCE)):
        yield some
