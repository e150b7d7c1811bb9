"""A table or query of the enterprise's own PostgreSQL as a source, streamed by COPY in bounded memory.

Rows come in the order of the watermark column (without one, of the record's columns) and are cut into pieces.
A piece is recorded together with the watermark it reaches, so that a reading stopped at any moment goes on
there; without a watermark everything is read each time and known pieces are recognised by their content. Raw
rows stay in memory. The connection string is in no log and no error.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text, and of the enterprise's own query)

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.sources.columnar import checked_type
from enterprise_node.sources.delimited import rows_in_memory
from enterprise_node.sources.source import Piece, Relation
from enterprise_node.sql_text import literal, quoted
from enterprise_node.store.marks import Mark
from enterprise_node.store.sources import SourceFile
from protos.problems import Malformed, Problem, Unavailable
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_PEER_UNREACHABLE
from runtime.files import read_private

if TYPE_CHECKING:
    import psycopg

    from enterprise_node.configuration import SourceSettings
    from enterprise_node.sessions import RawSession
    from enterprise_node.store.marks import MarkTable
    from enterprise_node.store.sources import Outcome, SourceFiles

DSN_BYTES_MAX = 8192
CONNECT_SECONDS_MAX = 10
_MARK = "#mark"
# What rows are ordered by is no text of theirs: dates and times in ISO form, in UTC.
_SESSION = ("SET TimeZone = 'UTC'", "SET DateStyle = 'ISO, YMD'", "SET client_encoding = 'UTF8'")
# Types whose text DuckDB reads back into a value of its own; all others stay text, numbers above all.
_TYPES: Mapping[int, str] = {
    700: "FLOAT",
    701: "DOUBLE",
    1082: "DATE",
    1114: "TIMESTAMP",
    1184: "TIMESTAMP WITH TIME ZONE",
}
# SQLSTATE classes whose messages speak of the query, never of a row: syntax and names, missing rights.
_SPEAKING_CLASS = "42"


@dataclass(frozen=True, slots=True)
class PostgresSource:
    """One query, from where it was left."""

    home: Path
    settings: SourceSettings
    # The hash of everything that decides how a row is judged; empty for a rehearsal, which keeps nothing.
    mapping: str
    files: SourceFiles
    marks: MarkTable
    piece_bytes: int

    def pieces(self) -> Iterator[Piece]:
        """Give the new rows; raises Unavailable or Malformed, never with the connection string."""
        start = self._start()
        with self._connected() as connection:
            types = self._types(connection)
            for number, (rows, reached) in enumerate(self._cut(self._stream(connection, start)), 1):
                yield self._piece(rows, reached or start, types, number)

    def _start(self) -> str | None:
        """Tell after which watermark to read; a mended mapping begins anew where rows are in quarantine."""
        source = self.settings.id
        mark = self.marks.get(source) if self.mapping and self.settings.watermark else None
        if mark is None:
            return None
        if mark.mapping != self.mapping and self.files.has_quarantine(source):
            with self.files.transaction():
                self.files.forget_flaws(source)
                self.marks.drop(source)
            return None
        return mark.value

    def _piece(self, rows: list[bytes], reached: str | None, types: Mapping[str, str], number: int) -> Piece:
        data = b"".join(rows)
        file = SourceFile(
            source=self.settings.id,
            path=f"postgresql {f'up to {reached}' if reached else f'part {number}'}",
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            modified_ns=0,
            mapping=self.mapping,
        )
        known = self.files.known_mapping(file.source, file.sha256)
        is_known = known == self.mapping and not self.files.was_replaced(file)
        return Piece(file, is_known, partial(self._relation, data, types), partial(self._recorded, reached))

    def _recorded(self, reached: str | None, _: Outcome) -> None:
        if reached is not None and self.settings.watermark is not None:
            self.marks.put(self.settings.id, Mark(reached, self.mapping))

    def _relation(self, data: bytes, types: Mapping[str, str], session: RawSession) -> Relation:
        """Give rows in memory as a relation."""
        return rows_in_memory(session, data, {_MARK: "VARCHAR", **types})

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        """Connect for one consistent reading; what goes wrong is told without the connection string."""
        try:
            import psycopg
        except ImportError as error:
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                f"Source {self.settings.id} needs the PostgreSQL driver, which is not installed.",
                remedy="pip install 'cgsp-gateway[postgres]'",
            ) from error
        dsn = connection_string(self.home, self.settings)
        try:
            with psycopg.connect(
                dsn, connect_timeout=CONNECT_SECONDS_MAX, application_name="cgsp-node"
            ) as connection:
                connection.read_only = True
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                for statement in _SESSION:
                    connection.execute(statement)
                yield connection
        except psycopg.Error as error:
            raise self._problem(error) from None

    def _problem(self, error: psycopg.Error) -> Problem:
        state = error.sqlstate or ""
        if state.startswith(_SPEAKING_CLASS):
            return Malformed(
                REASON_CONFIGURATION_INVALID,
                f"Source {self.settings.id}: the database refuses the query: {error.diag.message_primary}.",
                remedy="Correct table, query or columns in node.toml, or grant SELECT.",
            )
        return Unavailable(
            REASON_PEER_UNREACHABLE,
            f"Source {self.settings.id}: reading the database failed ({type(error).__name__} {state}).",
            remedy="Check that the server runs and that the connection string is right, then repeat.",
        )

    @property
    def _rows(self) -> str:
        """Give the table or query as a FROM item."""
        if self.settings.table is not None:
            return ".".join(quoted(part) for part in self.settings.table.split("."))
        return f"({(self.settings.query or '').strip().rstrip(';')})"

    def _types(self, connection: psycopg.Connection) -> dict[str, str]:
        """Compare the query's columns with the declaration; give their types in SQL."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self._rows} AS q LIMIT 0".encode())
            described = cursor.description or []
        actual = {one.name: _TYPES.get(one.type_code, "VARCHAR") for one in described}
        place = Path(f"source {self.settings.id}")
        return {
            alias: checked_type(place, column.name or alias, column, actual)
            for alias, column in self.settings.columns.items()
        }

    def _stream(self, connection: psycopg.Connection, start: str | None) -> Iterator[tuple[str, bytes]]:
        """Give watermark and CSV of every row after the start."""
        mark = self.settings.watermark
        names = {alias: column.name or alias for alias, column in self.settings.columns.items()}
        order = [names.get(column, column) for column in self.settings.record if column in names]
        ordered = ", ".join(f"q.{quoted(name)}" for name in ([mark] if mark else order)) or "1"
        marked = f"CAST(q.{quoted(mark)} AS TEXT)" if mark else "''"
        columns = ", ".join(f"q.{quoted(name)}" for name in names.values())
        where = ""
        if mark and start is not None:
            where = f" WHERE q.{quoted(mark)} > {literal(start)} OR q.{quoted(mark)} IS NULL"
        select = f"SELECT {marked}, {columns} FROM {self._rows} AS q{where} ORDER BY {ordered} NULLS LAST"
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY ({select}) TO STDOUT (FORMAT csv)".encode()) as copy,
        ):
            for data in copy:
                row = bytes(data)
                yield _first(row), row

    def _cut(self, rows: Iterator[tuple[str, bytes]]) -> Iterator[tuple[list[bytes], str | None]]:
        """Cut rows into pieces, where the watermark changes; give each with the last complete watermark.

        Rows that share one watermark and are more than a piece are cut too, but the mark stays before them.
        """
        piece: list[bytes] = []
        size, last, complete = 0, "", None
        for mark, row in rows:
            if mark != last:
                complete = last or complete
                if size >= self.piece_bytes:
                    yield piece, complete
                    piece, size = [], 0
            elif size >= self.piece_bytes * (2 if mark else 1):
                yield piece, complete
                piece, size = [], 0
            piece.append(row)
            size += len(row)
            last = mark
        if piece:
            yield piece, last or complete


def connection_string(home: Path, settings: SourceSettings) -> str:
    """Read a source's connection string from its private place; raises Malformed where there is none."""
    if settings.dsn_file is not None:
        text = read_private(home / settings.dsn_file, DSN_BYTES_MAX).decode("utf-8", "replace")
    else:
        text = os.environ.get(settings.dsn_variable or "", "")
    if not text.strip():
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"Source {settings.id} has no connection string.",
            remedy=f"Fill {settings.dsn_file or f'the variable {settings.dsn_variable}'}.",
        )
    return text.strip()


def _first(row: bytes) -> str:
    """Give a CSV row's first value."""
    if not row.startswith(b'"'):
        return row[: row.index(b",")].decode()
    return next(csv.reader([row.decode()]))[0]
