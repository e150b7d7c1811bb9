"""JSON Lines, plain or compressed: one object a line, every declared column read as text.

A column is the member of its name, or where it begins with "/" the place a JSON pointer (RFC 6901) leads to.
A line that is no JSON object is a broken line with its place; empty lines mean nothing.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.sources.decoding import decoded
from enterprise_node.sources.delimited import LINE_BYTES_MAX, REJECTS
from enterprise_node.sources.source import BROKEN, LINE, Relation
from enterprise_node.sql_text import literal, quoted

if TYPE_CHECKING:
    from enterprise_node.file_settings import Column, TextForm
    from enterprise_node.sessions import RawSession

# No text has this byte, so that a line is one column.
_NEVER = "\x01"
# DuckDB keeps integers of any length but reads other numbers as doubles, which show 15 digits exactly.
_DOUBLE_DIGITS_EXACT = 15
# Finer than any declaration: makes a number that a double cannot show "not exact".
_INEXACT_TAIL = "0000000001"


class JsonLinesReader:
    """Reads JSON Lines through DuckDB."""

    def relation(
        self, session: RawSession, path: Path, form: TextForm, columns: Mapping[str, Column]
    ) -> Relation:
        """Give the file as a relation of text columns; a member that is not there is an empty value."""
        readable = path if form.encoding == "utf-8" else decoded(session, path, form.encoding)
        lines = (
            f"read_csv({literal(readable)}, columns = {{json: 'VARCHAR'}}, auto_detect = false,"
            f" header = false, delim = {literal(_NEVER)}, quote = '', escape = '', nullstr = '',"
            f" strict_mode = true, max_line_size = {LINE_BYTES_MAX}, {REJECTS})"
        )
        items = ", ".join(
            f"{_value(column.name or alias, column)} AS {quoted(alias)}" for alias, column in columns.items()
        )
        numbered = f"SELECT row_number() OVER () AS {quoted(LINE)}, json FROM {lines}"
        objects = (
            f"SELECT {quoted(LINE)}, {_NO_OBJECT} AS {quoted(BROKEN)},"
            f" CASE WHEN NOT {_NO_OBJECT} THEN json END AS json FROM ({numbered}) WHERE json IS NOT NULL"
        )
        types = dict.fromkeys(columns, "VARCHAR") | {BROKEN: "BOOLEAN"}
        return Relation(f"(SELECT {quoted(LINE)}, {quoted(BROKEN)}, {items} FROM ({objects}))", types)


_NO_OBJECT = "(NOT json_valid(json) OR CASE WHEN json_valid(json) THEN json_type(json) END <> 'OBJECT')"


def _value(name: str, column: Column) -> str:
    """Give a member as text, a number only as far as it is exact."""
    place = literal(name if name.startswith("/") else f'$."{name}"')
    text = f"json_extract_string(json, {place})"
    if column.type not in ("integer", "decimal", "double"):
        return text
    # Looked for in the line itself: what was read is rounded already.
    member = name.rsplit("/", 1)[-1]
    written = rf'"\Q{member}\E"\s*:\s*-?(?:[0-9][.]?){{{_DOUBLE_DIGITS_EXACT},}}[1-9]'
    inexact = f"json_type(json, {place}) = 'DOUBLE' AND regexp_matches(json, {literal(written)})"
    return f"CASE WHEN {inexact} THEN {text} || '{_INEXACT_TAIL}' ELSE {text} END"
