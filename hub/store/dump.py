"""A table's rows as a file, the same bytes from every store: PostgreSQL's binary COPY, in the order of keys.

PostgreSQL writes and reads it itself, for SQLite it is encoded here; so a copy of one store restores to the
other.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, LargeBinary, Table, Text, select

from hub.store.partitions import is_by_value, make_partitions
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_WRONG_SHAPE

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
# A body and its envelope are far below.
FIELD_BYTES_MAX = 1 << 30
_ROWS_TOGETHER = 4096
_WHOLE, _TEXT, _BYTES = "whole", "text", "bytes"


@dataclass(frozen=True, slots=True)
class Dumped:
    """One table's file: its columns with their kinds, how many rows, and its hash."""

    columns: dict[str, str]
    rows: int
    sha256: str


def kinds(table: Table) -> dict[str, str]:
    """Say of each column whether it holds whole numbers, text or bytes."""
    return {column.name: _kind(column.type) for column in table.columns}


def write_rows(connection: Connection, table: Table, path: Path) -> Dumped:
    """Write all rows of a table into a new file."""
    with _Hashing(path) as out:
        rows = (
            _copy_out(connection, table, out) if _is_postgres(connection) else _encode(connection, table, out)
        )
    return Dumped(kinds(table), rows, out.sha256)


def check_file(name: str, dumped: Dumped, path: Path) -> None:
    """Hold a file against its hash; raises Malformed for one that is not what was written."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        found = ""
    if found != dumped.sha256:
        raise _malformed(name)


def read_rows(connection: Connection, name: str, dumped: Dumped, path: Path) -> None:
    """Load a file that was checked into an empty table."""
    if is_by_value(connection, name):
        _make_partitions(connection, name, dumped, path)
    with path.open("rb") as file:
        if _is_postgres(connection):
            _copy_in(connection, name, dumped, file)
        else:
            _insert(connection, name, dumped, file)


def _make_partitions(connection: Connection, name: str, dumped: Dumped, path: Path) -> None:
    """Make the partitions of the values that a file's rows begin with."""
    with path.open("rb") as file:
        values = {row[0] for row in _decoded(name, dumped, file)}
    make_partitions(connection, name, values)


def _copy_out(connection: Connection, table: Table, out: _Hashing) -> int:
    ordered = [
        f'"{column.name}" collate "C"' if _kind(column.type) == _TEXT else f'"{column.name}"'
        for column in table.primary_key
    ]
    text = f'select {_names(kinds(table))} from "{table.name}" order by {", ".join(ordered)}'  # noqa: S608 - the schema's own names
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        with cursor.copy(f"copy ({text}) to stdout (format binary)") as copy:
            for data in copy:
                out.write(data)
        return int(cursor.rowcount)


def _copy_in(connection: Connection, name: str, dumped: Dumped, file: BinaryIO) -> None:
    text = f'copy "{name}" ({_names(dumped.columns)}) from stdin (format binary)'
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(text) as copy:
        while data := file.read(1 << 20):
            copy.write(data)


def _encode(connection: Connection, table: Table, out: _Hashing) -> int:
    out.write(SIGNATURE)
    rows = 0
    for row in connection.execute(select(table).order_by(*table.primary_key)).yield_per(_ROWS_TOGETHER):
        out.write(struct.pack(">h", len(row)) + b"".join(_field(value) for value in row))
        rows += 1
    out.write(TRAILER)
    return rows


def _field(value: int | str | bytes | None) -> bytes:
    match value:
        case None:
            return struct.pack(">i", -1)
        case int():
            return struct.pack(">iq", 8, value)
        case str():
            return _field(value.encode())
        case bytes():
            return struct.pack(">i", len(value)) + value


def _insert(connection: Connection, name: str, dumped: Dumped, file: BinaryIO) -> None:
    marks = ", ".join("?" * len(dumped.columns))
    text = f'insert into "{name}" ({_names(dumped.columns)}) values ({marks})'  # noqa: S608 - the schema's own names
    driver: Any = connection.connection.driver_connection
    rows = _decoded(name, dumped, file)
    while some := list(islice(rows, _ROWS_TOGETHER)):
        driver.executemany(text, some)


def _decoded(name: str, dumped: Dumped, file: BinaryIO) -> Iterator[tuple[Any, ...]]:
    if file.read(len(SIGNATURE)) != SIGNATURE:
        raise _malformed(name)
    found = 0
    while (count := _number(file, ">h", name)) >= 0:
        if count != len(dumped.columns):
            raise _malformed(name)
        yield tuple(_value(file, kind, name) for kind in dumped.columns.values())
        found += 1
    if found != dumped.rows or file.read(1):
        raise _malformed(name)


def _value(file: BinaryIO, kind: str, name: str) -> int | str | bytes | None:
    length = _number(file, ">i", name)
    if length < 0:
        return None
    if length > FIELD_BYTES_MAX:
        raise _malformed(name)
    data = file.read(length)
    if kind == _WHOLE:
        return int.from_bytes(data, "big", signed=True)
    return data.decode() if kind == _TEXT else data


def _number(file: BinaryIO, form: str, name: str) -> int:
    data = file.read(struct.calcsize(form))
    if len(data) != struct.calcsize(form):
        raise _malformed(name)
    return int(struct.unpack(form, data)[0])


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _kind(found: Any) -> str:
    if isinstance(found, LargeBinary):
        return _BYTES
    return _TEXT if isinstance(found, Text) else _WHOLE


def _is_postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _malformed(name: str) -> Malformed:
    return Malformed(
        REASON_WRONG_SHAPE, f"The copy of table {name} is not as it was written.", remedy="Take another copy."
    )


class _Hashing:
    """A new private file that is hashed as it is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        path.chmod(0o600)
        self._hash = hashlib.sha256()

    def __enter__(self) -> _Hashing:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        """Give the hash of what was written."""
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """Write and hash."""
        self._file.write(data)
        self._hash.update(data)
