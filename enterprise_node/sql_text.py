"""Names and literals in SQL text; everything that comes from configuration or files passes through here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def quoted(name: str) -> str:
    """Quote a column or table name."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | Path) -> str:
    """Quote a text value."""
    return "'" + str(value).replace("'", "''") + "'"


def literals(values: Iterable[str | Path]) -> str:
    """Give a list of text values, for IN or for a list of files."""
    return ", ".join(literal(value) for value in values)
