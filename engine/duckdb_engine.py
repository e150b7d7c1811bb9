"""The embedded engine: one DuckDB connection with bounded memory and its own folder to spill into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from engine.engine import Columns


class DuckDbEngine:
    """Implements Engine; not shared between threads."""

    def __init__(
        self, *, memory_limit_mb: int = 1024, threads: int = 2, temp_dir: Path | None = None
    ) -> None:
        raise NotImplementedError

    def view(self, name: str, paths: Sequence[Path], schema: Mapping[str, str] | None = None) -> None:
        """Name Parquet files; with no files, an empty table of the schema."""
        raise NotImplementedError

    def register(self, name: str, columns: Mapping[str, NDArray[Any]], schema: Mapping[str, str]) -> None:
        """Copy arrays into a table."""
        raise NotImplementedError

    def execute(self, sql: str) -> None:
        """Run a statement that gives nothing back."""
        raise NotImplementedError

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and give all its rows."""
        raise NotImplementedError

    def columns(self, sql: str) -> Columns:
        """Run a query and give its columns as arrays."""
        raise NotImplementedError

    def write_parquet(self, sql: str, path: Path) -> int:
        """Run a query into one new Parquet file; HUGEINT and floats are refused."""
        raise NotImplementedError

    def close(self) -> None:
        """End the session."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Give the session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
