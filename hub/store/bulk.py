"""Many rows into one table as columns: binary COPY on PostgreSQL, sorted executemany on SQLite.

Rows come ascending by key, in bounded batches, so that either store appends to its index.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from hub.store.dump import SIGNATURE, TRAILER

# A column is an array of integers, an array of equally long bytes (objects, or of that width), or one value
# that every row has.
Column = NDArray[Any] | int | str | bytes


def load(connection: Connection, table: str, batches: Iterable[Mapping[str, Column]]) -> int:
    """Insert batches of rows into a table and count them; all batches have the same columns."""
    if connection.dialect.name == "sqlite":
        return sum(_insert(connection, table, batch) for batch in batches)
    return _copy(connection, table, batches)


def _insert(connection: Connection, table: str, batch: Mapping[str, Column]) -> int:
    """Insert by the driver itself: its statement is prepared once and no row becomes a dictionary."""
    names = ", ".join(f'"{name}"' for name in batch)
    marks = ", ".join("?" * len(batch))
    driver: Any = connection.connection.driver_connection
    text = f'insert into "{table}" ({names}) values ({marks})'  # noqa: S608 - the table's own names
    driver.executemany(text, tuples(batch))
    return _length(batch)


def _copy(connection: Connection, table: str, batches: Iterable[Mapping[str, Column]]) -> int:
    rows = 0
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        return 0
    names = ", ".join(f'"{name}"' for name in first)
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f'copy "{table}" ({names}) from stdin (format binary)') as copy,
    ):
        copy.write(SIGNATURE)
        batch: Mapping[str, Column] | None = first
        while batch is not None:
            copy.write(encoded(batch))
            rows += _length(batch)
            batch = next(iterator, None)
        copy.write(TRAILER)
    return rows


def tuples(batch: Mapping[str, Column]) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a batch."""
    rows = _length(batch)
    values = [one.tolist() if isinstance(one, np.ndarray) else [one] * rows for one in batch.values()]
    return zip(*values, strict=True)


def encoded(batch: Mapping[str, Column]) -> bytes:
    """Lay rows out as binary COPY wants them: a count of fields, then length and bytes of each."""
    encoded = [_field(one) for one in batch.values()]
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for at, (width, _) in enumerate(encoded):
        layout += [(f"length{at}", ">i4"), (f"value{at}", f"V{width}")]
    rows = np.empty(_length(batch), dtype=np.dtype(layout))
    rows["fields"] = len(encoded)
    for at, (width, value) in enumerate(encoded):
        rows[f"length{at}"] = width
        rows[f"value{at}"] = value
    return rows.tobytes()


def _field(column: Column) -> tuple[int, NDArray[Any]]:
    """Give the bytes of a column's values and how many each has."""
    match column:
        case np.ndarray() if column.dtype.kind in "iu":
            return 8, column.astype(">i8").view("V8")
        case np.ndarray() if column.dtype.kind == "V":
            return column.dtype.itemsize, column
        case np.ndarray():
            width = len(column[0])
            return width, np.frombuffer(b"".join(column), dtype=f"V{width}")
        case bool() | int():
            return 8, np.array([column], dtype=">i8").view("V8")
        case str():
            return _field(column.encode())
        case bytes():
            return len(column), np.frombuffer(column, dtype=f"V{len(column)}")
    raise AssertionError(type(column))


def _length(batch: Mapping[str, Column]) -> int:
    return next(len(one) for one in batch.values() if isinstance(one, np.ndarray))


def behind(batches: Iterable[Mapping[str, Column]], key: str, last: bytes) -> Iterator[Mapping[str, Column]]:
    """Leave out the rows up to a key that is there already; rows ascend by it."""
    for batch in batches:
        keys = batch[key]
        assert isinstance(keys, np.ndarray)
        start = bisect_right(keys, last)
        if start < len(keys):
            yield _part(batch, slice(start, None))


def cut(columns: Mapping[str, Column], rows: int) -> Iterator[Mapping[str, Column]]:
    """Cut columns into batches of at most so many rows."""
    for start in range(0, _length(columns), rows):
        yield _part(columns, slice(start, start + rows))


def _part(columns: Mapping[str, Column], part: slice) -> Mapping[str, Column]:
    return {name: one[part] if isinstance(one, np.ndarray) else one for name, one in columns.items()}
