"""Many rows at once: keyed rows put in their places, keys cut into what one statement may name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table

from hub.store.dialects import run_many, run_one

# Rows fetched at a time.
ROWS_AT_ONCE = 8192
# A statement names at most so many keys.
KEYS_AT_ONCE = 400

Row = tuple[Any, ...]

_ARRAYS = {int: "bigint", bytes: "bytea", str: "text"}


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table in the order of its columns; with `keys` they replace those that have theirs.

    Their keys are distinct.
    """

    table: Table
    values: Sequence[Row]
    keys: tuple[str, ...] = ()


def write(connection: Connection, *parts: Rows) -> None:
    """Write rows of different tables; a server is told all of them in one statement, all or nothing.

    At the counter most of a statement's time would go into making it: the driver itself is given the rows.
    """
    some = [one for one in parts if one.values]
    dialect = connection.dialect.name
    if dialect == "sqlite":
        for one in some:
            run_many(connection, _text(dialect, one.table, one.keys), one.values)
    elif some:
        arrays = [
            _array(kind, column)
            for one in some
            for kind, column in zip(_kinds(one.table), zip(*one.values, strict=True), strict=True)
        ]
        run_one(connection, _statement(tuple((one.table, one.keys) for one in some)), arrays)


@cache
def _statement(parts: tuple[tuple[Table, tuple[str, ...]], ...]) -> str:
    """Make one statement of several: all but the last stand before it under a name."""
    *others, last = (_text("postgresql", table, keys) for table, keys in parts)
    named = ", ".join(f"part{place} as ({text})" for place, text in enumerate(others))
    return f"with {named} {last}" if named else last


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
def _kinds(table: Table) -> tuple[type, ...]:
    return tuple(one.type.python_type for one in table.c)


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
