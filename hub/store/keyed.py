"""Rows found by keys, several lookups in one go: waiting for a server costs more than what it does.

Every lookup has one text whatever the number of keys, where the store allows it, so that it is planned once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table

from hub.store.dialects import PLACEHOLDERS, Query, run_queries
from hub.store.rows import Row, cut


@dataclass(frozen=True, slots=True)
class Keyed:
    """The rows of a table that have one of these keys in a column, and these values in others.

    Values that choose a partition stand in a server's text: a plan for any value would open all of them.
    """

    table: Table
    column: str
    keys: Collection[Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    choosing: Mapping[str, int] = field(default_factory=dict)


def read_keyed(connection: Connection, *lookups: Keyed) -> list[list[Row]]:
    """Give the rows of each lookup, in the order of their table's columns."""
    dialect = connection.dialect.name
    queries = [(at, query) for at, one in enumerate(lookups) for query in _queries(dialect, one)]
    found: list[list[Row]] = [[] for _ in lookups]
    answers = run_queries(connection, [query for _, query in queries])
    for (at, _), rows in zip(queries, answers, strict=True):
        found[at] += rows
    return found


def _queries(dialect: str, one: Keyed) -> Iterator[Query]:
    if dialect != "sqlite":
        if one.keys:
            text = _text(dialect, one.table, one.column, tuple(one.fixed), 0, tuple(one.choosing.items()))
            yield text, (*one.fixed.values(), sorted(one.keys))
        return
    fixed = {**one.choosing, **one.fixed}
    for keys in cut(sorted(one.keys)):
        yield _text(dialect, one.table, one.column, tuple(fixed), len(keys)), (*fixed.values(), *keys)


@cache
def _text(
    dialect: str,
    table: Table,
    column: str,
    fixed: tuple[str, ...],
    keys: int,
    choosing: tuple[tuple[str, int], ...] = (),
) -> str:
    """Make a query; SQLite has a mark for each key, PostgreSQL one for all."""
    mark = PLACEHOLDERS[dialect]
    names = ", ".join(f'"{one.name}"' for one in table.c)
    chosen = f"in ({', '.join([mark] * keys)})" if keys else f"= any({mark})"
    values = [*(f'"{name}" = {value}' for name, value in choosing), *(f'"{name}" = {mark}' for name in fixed)]
    conditions = " and ".join([*values, f'"{column}" {chosen}'])
    return f'select {names} from "{table.name}" where {conditions}'  # noqa: S608 - the table's own names
