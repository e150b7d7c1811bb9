"""CSV and TSV files, plain or compressed: every column is read as text, so that a bad value has a place.

The header is read here and compared with the declaration; nothing is sniffed. Lines DuckDB cannot split (too
few or too many columns, broken quotes or bytes) go to its table of rejects and are counted as broken lines.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.sources.decoding import decoded, in_memory, opened
from enterprise_node.sources.source import LINE, Relation, column_problem
from enterprise_node.sql_text import literal, quoted
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

if TYPE_CHECKING:
    from enterprise_node.file_settings import Column, TextForm
    from enterprise_node.sessions import RawSession

HEADER_BYTES_MAX = 1 << 16
LINE_BYTES_MAX = 1 << 20
# What decoding puts in the place of bytes that are not of the encoding.
_UNREADABLE = "\ufffd"
_DELIMITERS = frozenset(",;\t|")
REJECTS_TABLE = "rejected_line"
REJECTS_SCAN = "rejected_scan"
# Options of read_csv that keep the places of lines it cannot read.
REJECTS = (
    f"store_rejects = true, rejects_table = '{REJECTS_TABLE}', rejects_scan = '{REJECTS_SCAN}',"
    " rejects_limit = 0"
)


@dataclass(frozen=True, slots=True)
class DelimitedReader:
    """Reads delimited text through DuckDB."""

    # Used where the declaration names none.
    delimiter: str

    def relation(
        self, session: RawSession, path: Path, form: TextForm, columns: Mapping[str, Column]
    ) -> Relation:
        """Compare the header with the declaration and give the file as a relation of text columns."""
        in_file = [column.name or alias for alias, column in columns.items()]
        delimiter = form.delimiter or self.delimiter
        if form.header:
            in_file = _header(path, form.encoding, delimiter)
        for alias, column in columns.items():
            name = column.name or alias
            if name not in in_file:
                raise _not_named(path, name, in_file, form, delimiter)
        declared = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in in_file)
        items = ", ".join(
            f"{quoted(column.name or alias)} AS {quoted(alias)}" for alias, column in columns.items()
        )
        readable = path if form.encoding == "utf-8" else decoded(session, path, form.encoding)
        options = delimited_options(delimiter, header=form.header)
        source = f"read_csv({literal(readable)}, columns = {{{declared}}}, {options})"
        line = f"row_number() OVER () + {int(form.header)} AS {quoted(LINE)}"
        return Relation(f"(SELECT {line}, {items} FROM {source})", dict.fromkeys(columns, "VARCHAR"))


def rows_in_memory(session: RawSession, data: bytes, types: Mapping[str, str]) -> Relation:
    """Give CSV rows of these columns without a header as a relation; texts become values of their types."""
    readable, stream = in_memory(session)
    with stream:
        stream.write(data)
    declared = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in types)
    items = ", ".join(
        quoted(name) if kind == "VARCHAR" else f"TRY_CAST({quoted(name)} AS {kind}) AS {quoted(name)}"
        for name, kind in types.items()
    )
    options = delimited_options(",", header=False)
    source = f"read_csv({literal(readable)}, columns = {{{declared}}}, {options})"
    return Relation(f"(SELECT row_number() OVER () AS {quoted(LINE)}, {items} FROM {source})", types)


def broken_lines(session: RawSession) -> tuple[tuple[int, str], ...]:
    """Give line and column of the lines that could not be split in the session's last scan."""
    run = session.connection.execute
    if not run("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [REJECTS_TABLE]).fetchall():
        return ()
    found = run(
        f"SELECT line, min(coalesce(column_name, '')) FROM {REJECTS_TABLE}"
        f" WHERE scan_id = (SELECT max(scan_id) FROM {REJECTS_SCAN}) GROUP BY line ORDER BY line"
    ).fetchall()
    return tuple((int(line), str(column)) for line, column in found)


def delimited_options(delimiter: str, *, header: bool) -> str:
    """Give read_csv's options: everything declared, nothing detected."""
    return (
        f"auto_detect = false, header = {str(header).lower()}, delim = {literal(delimiter)}, quote = '\"', "
        "escape = '\"', nullstr = '', null_padding = false, strict_mode = true,"
        f" max_line_size = {LINE_BYTES_MAX}, {REJECTS}"
    )


def _not_named(path: Path, name: str, in_file: Sequence[str], form: TextForm, delimiter: str) -> Malformed:
    """Say that a column is missing, and why where the header tells: another encoding, another delimiter."""
    if form.header and any(_UNREADABLE in one for one in in_file):
        other = "gb18030" if form.encoding == "utf-8" else "utf-8"
        why, remedy = f"the header is not in {form.encoding}", f'Declare encoding = "{other}".'
    elif form.header and len(in_file) == 1 and (found := _DELIMITERS.intersection(in_file[0])):
        why = f"the header is one column when cut at {delimiter!r}"
        remedy = f"Declare delimiter = {sorted(found)[0]!r}."
    else:
        # Not its names: the first line of a file without a header is a person's.
        why = f"none of its {len(in_file)} columns has this name"
        remedy = "Correct the name in node.toml, or give the file the column."
    return column_problem(path, name, f"is not in the header: {why}.", remedy)


def _header(path: Path, encoding: str, delimiter: str) -> list[str]:
    """Read the names in the first line."""
    with opened(path) as stream:
        data = stream.read(HEADER_BYTES_MAX)
    if not data:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"{path.name}: the file is empty.",
            remedy="Take it away, or write it again with its header.",
        )
    text = data.decode(encoding, errors="replace").removeprefix("\ufeff")
    names = next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
    if not names or len(set(names)) != len(names):
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"{path.name}: the first line does not name the columns, each once.",
            remedy="Give the file a header, or declare header = false and all columns in order.",
        )
    return names
