"""What a source of activities offers: its files, and each file as an SQL relation of declared columns.

A relation has the declared columns, as text or in their native type, and `#line` for the row's place. Types
are never sniffed; what a file really holds is compared with the declaration before it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from protos.problems import Malformed, Unavailable
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_NOT_FOUND

if TYPE_CHECKING:
    from enterprise_node.configuration import Column, FileSettings
    from enterprise_node.sessions import RawSession

LINE = "#line"


@dataclass(frozen=True, slots=True)
class Relation:
    """One file as a FROM item, and the SQL type each declared column has in it."""

    sql: str
    types: Mapping[str, str]


class Reader(Protocol):
    """Reads files of one format."""

    def relation(
        self, session: RawSession, path: Path, settings: FileSettings, columns: Mapping[str, Column]
    ) -> Relation:
        """Compare the file with the declaration and give it as a relation."""
        ...


def find_files(home: Path, settings: FileSettings) -> list[Path]:
    """Give the files a path or glob names, in name order; raises Unavailable NOT_FOUND if there is none."""
    pattern = home / settings.path
    root = Path(pattern.anchor)
    found = sorted(path for path in root.glob(str(pattern.relative_to(root))) if path.is_file())
    if not found:
        raise Unavailable(
            REASON_NOT_FOUND,
            f"No file matches {settings.path}.",
            remedy="Put the file there, or correct `path` in node.toml (relative to its folder).",
        )
    return found


def reader_for(settings: FileSettings) -> Reader:
    """Choose the reader of a file's format."""
    if settings.format == "parquet":
        from enterprise_node.sources.columnar import ParquetReader

        return ParquetReader()
    from enterprise_node.sources.delimited import CsvReader

    return CsvReader()


def column_problem(path: Path, column: str, said: str, remedy: str) -> Malformed:
    """Say that a file and its declaration differ."""
    return Malformed(REASON_CONFIGURATION_INVALID, f"{path.name}, column {column!r}: {said}", remedy=remedy)
