"""What the rest asks of a query engine; results are integers, words and bytes, never floats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]

# What an engine keeps meanwhile lies in a folder whose name begins so; it goes with the session.
OWN_FOLDER = "cgsp-engine-"


class Engine(Protocol):
    """A session: names mean tables or views until it is closed."""

    def view(self, name: str, paths: Sequence[Path], schema: Mapping[str, str] | None = None) -> None:
        """Name Parquet files; with no files, an empty table of the schema (column to SQL type)."""
        ...

    def register(self, name: str, columns: Mapping[str, NDArray[Any]], schema: Mapping[str, str]) -> None:
        """Copy arrays of equal length into a table; bytes and words come as object arrays, NULL as None."""
        ...

    def execute(self, sql: str) -> None:
        """Run a statement that gives nothing back."""
        ...

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and give all its rows."""
        ...

    def columns(self, sql: str) -> Columns:
        """Run a query and give its columns: int64 for integers, object for words, bytes and with NULLs."""
        ...

    def write_parquet(self, sql: str, path: Path) -> int:
        """Run a query into one new Parquet file, whole or not at all; give the number of rows."""
        ...

    def write_numbered(self, sql: str, path: Path, by: str) -> int:
        """Run a query into one new Parquet file, ascending `by` a column, with a `number` from 1."""
        ...

    def keep_numbered(self, name: str, sql: str, by: str) -> None:
        """Keep a query's rows as a table, ascending `by` a column, with a `number` from 1."""
        ...

    def walk(self, name: str, columns: Sequence[str], rows_max: int) -> Iterator[Columns]:
        """Give columns of a numbered table or view of files in its order, at most so many rows at once."""
        ...

    def close(self) -> None:
        """End the session and its temporary files."""
        ...

    def __enter__(self) -> Self:
        """Give the session itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        ...
