"""Tables that PostgreSQL keeps as one partition for each value of a column: here what each close credits.

A partition is filled as a table of its own, whose key is made when its rows are there, and joins the others
last: so it costs little more than the bare rows. All of it is part of the transaction it happens in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Table, text

_IS_BY_VALUE = (
    "select true from pg_partitioned_table join pg_class on pg_class.oid = partrelid "
    "where relname = :name and relnamespace = current_schema()::regnamespace and partstrat = 'l'"
)
_IS_THERE = (
    "select true from pg_class where relname = :name and relnamespace = current_schema()::regnamespace"
)


def is_by_value(connection: Connection, table: str) -> bool:
    """Tell whether the database at hand keeps a table as partitions by value."""
    if connection.dialect.name != "postgresql":
        return False
    return bool(connection.scalar(text(_IS_BY_VALUE), {"name": table}))


def partition_of(table: str, value: int) -> str:
    """Name the partition that holds the rows of a value."""
    return f"{table}_{value}"


def has_partition(connection: Connection, table: str, value: int) -> bool:
    """Tell whether there is a partition for a value."""
    return bool(connection.scalar(text(_IS_THERE), {"name": partition_of(table, value)}))


def make_partitions(connection: Connection, table: str, values: Iterable[int]) -> None:
    """Make empty partitions for those of these values that have none."""
    for value in sorted(set(values)):
        if has_partition(connection, table, value):
            continue
        name = partition_of(table, value)
        _run(connection, f'create table "{name}" partition of "{table}" for values in ({value})')
        _refuse_changes(connection, table, name)


@contextmanager
def filled(connection: Connection, table: Table, value: int) -> Iterator[str]:
    """Give the name of a new table to fill with the rows of a value, which then becomes their partition."""
    name = partition_of(table.name, value)
    by, *_ = key = [column.name for column in table.primary_key]
    # With this the rows need not be read again to know that they belong there.
    belongs = f"{name}_belongs"
    _run(
        connection,
        f'create table "{name}" (like "{table.name}" including defaults including constraints, '
        f'constraint "{belongs}" check ("{by}" = {value}::bigint))',
    )
    yield name
    _run(connection, f'alter table "{name}" add primary key ({", ".join(key)})')
    _refuse_changes(connection, table.name, name)
    _run(
        connection,
        f'alter table "{table.name}" attach partition "{name}" for values in ({value})',
        f'alter table "{name}" drop constraint "{belongs}"',
    )


def _refuse_changes(connection: Connection, table: str, name: str) -> None:
    """Refuse what a partition does not inherit a refusal of: rows get the triggers of the table they join."""
    truncate = f"{table}_no_truncate"
    _run(
        connection,
        f'create trigger {truncate} before truncate on "{name}" for each statement '
        f"execute function {truncate}()",
        f'revoke update, delete, truncate on "{name}" from public, current_user',
    )


def _run(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)
