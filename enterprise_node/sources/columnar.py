"""Parquet files in place: columns keep their own types, which must be of the declared kind."""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.sources.source import LINE, Relation, column_problem
from enterprise_node.sql_text import literal, quoted

if TYPE_CHECKING:
    from enterprise_node.file_settings import Column, TextForm
    from enterprise_node.sessions import RawSession

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_TIMES = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE", "DATE")
_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "text": ("VARCHAR",),
    "integer": (*_INTEGERS, "VARCHAR"),
    "decimal": (*_INTEGERS, "DECIMAL", "VARCHAR"),
    "double": ("DOUBLE", "FLOAT"),
    "timestamp": (*_TIMES, "VARCHAR"),
    "date": (*_TIMES, "VARCHAR"),
}


class ParquetReader:
    """Reads Parquet through DuckDB."""

    def relation(
        self, session: RawSession, path: Path, form: TextForm, columns: Mapping[str, Column]
    ) -> Relation:
        """Compare the file's schema with the declaration and give it as a relation."""
        described = session.connection.execute(
            f"DESCRIBE SELECT * FROM read_parquet({literal(path)})"
        ).fetchall()
        actual = {str(row[0]): str(row[1]) for row in described}
        types: dict[str, str] = {}
        items: list[str] = []
        for alias, column in columns.items():
            name = column.name or alias
            types[alias] = checked_type(path, name, column, actual)
            items.append(f"{quoted(name)} AS {quoted(alias)}")
        source = f"read_parquet({literal(path)}, file_row_number = true)"
        return Relation(
            f"(SELECT file_row_number + 1 AS {quoted(LINE)}, {', '.join(items)} FROM {source})", types
        )


def checked_type(path: Path, name: str, column: Column, actual: Mapping[str, str]) -> str:
    """Give the column's SQL type if it is of the declared kind."""
    if name not in actual:
        raise column_problem(path, name, "is not in the file.", "Correct the name in node.toml.")
    found = actual[name]
    if found.split("(")[0] not in _ALLOWED[column.type]:
        raise column_problem(
            path, name, f"is {found}, declared {column.type}.", "Declare the type the file has."
        )
    return found
