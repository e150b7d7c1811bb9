"""CSV and TSV files, plain or compressed: every column is read as text, so that a bad value has a place.

The header is read here and compared with the declaration; nothing is sniffed. Lines DuckDB cannot split (too
few or too many columns, broken quotes or bytes) go to its table of rejects and are counted as broken lines.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from enterprise_node.sources.source import LINE, Relation, column_problem
from enterprise_node.sql_text import literal, quoted
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from enterprise_node.configuration import Column, FileSettings

HEADER_BYTES_MAX = 1 << 16
LINE_BYTES_MAX = 1 << 20
REJECTS_TABLE = "rejected_line"
REJECTS_SCAN = "rejected_scan"
_GZIP_MAGIC = b"\x1f\x8b"


class CsvReader:
    """Reads delimited text through DuckDB."""

    def relation(
        self,
        connection: DuckDBPyConnection,
        path: Path,
        settings: FileSettings,
        columns: Mapping[str, Column],
    ) -> Relation:
        """Compare the header with the declaration and give the file as a relation of text columns."""
        names = _header(connection, path, settings) if settings.header else None
        in_file = names if names is not None else [column.name or alias for alias, column in columns.items()]
        for alias, column in columns.items():
            if (column.name or alias) not in in_file:
                raise column_problem(
                    path, column.name or alias, "is not in the header.", "Correct the name in node.toml."
                )
        declared = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in in_file)
        items = ", ".join(
            f"{quoted(column.name or alias)} AS {quoted(alias)}" for alias, column in columns.items()
        )
        source = f"read_csv({literal(path)}, columns = {{{declared}}}, {_options(settings)})"
        header_lines = 1 if settings.header else 0
        return Relation(
            f"(SELECT row_number() OVER () + {header_lines} AS {quoted(LINE)}, {items} FROM {source})",
            dict.fromkeys(columns, "VARCHAR"),
            header_lines,
        )


def broken_lines(connection: DuckDBPyConnection) -> tuple[tuple[int, str], ...]:
    """Give line and column of the lines that could not be split in the session's last scan."""
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE table_name = ?", [REJECTS_TABLE]
    )
    if not tables.fetchall():
        return ()
    found = connection.execute(
        f"SELECT line, min(coalesce(column_name, '')) FROM {REJECTS_TABLE}"
        f" WHERE scan_id = (SELECT max(scan_id) FROM {REJECTS_SCAN}) GROUP BY line ORDER BY line"
    ).fetchall()
    return tuple((int(line), str(column)) for line, column in found)


def _options(settings: FileSettings) -> str:
    """Give read_csv's options: everything declared, nothing detected."""
    header = "true" if settings.header else "false"
    return (
        f"auto_detect = false, header = {header}, delim = {literal(settings.delimiter)}, quote = '\"', "
        "escape = '\"', nullstr = '', null_padding = false, strict_mode = true,"
        f" max_line_size = {LINE_BYTES_MAX}, store_rejects = true, rejects_table = '{REJECTS_TABLE}',"
        f" rejects_scan = '{REJECTS_SCAN}', rejects_limit = 0"
    )


def _header(connection: DuckDBPyConnection, path: Path, settings: FileSettings) -> list[str]:
    """Read the names in the first line."""
    text = _first_bytes(connection, path).decode(settings.encoding, errors="replace").removeprefix("\ufeff")
    names = next(csv.reader(io.StringIO(text), delimiter=settings.delimiter), [])
    if not names or len(set(names)) != len(names):
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"{path.name}: the first line does not name the columns, each once.",
            remedy="Give the file a header, or declare header = false and all columns in order.",
        )
    return names


def _first_bytes(connection: DuckDBPyConnection, path: Path) -> bytes:
    """Give the file's first bytes, decompressed."""
    with path.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if magic[:2] == _GZIP_MAGIC:
            with gzip.open(raw) as unzipped:
                return _read(unzipped)
        return raw.read(HEADER_BYTES_MAX)


def _read(stream: gzip.GzipFile | BinaryIO) -> bytes:
    return stream.read(HEADER_BYTES_MAX)
