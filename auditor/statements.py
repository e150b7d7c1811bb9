"""Released statements and links kept in files while an audit runs, so that memory does not grow with them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.duckdb_engine import DuckDbEngine
from engine.released import (
    FoldedAccount,
    FoldedPoints,
    ReleasedFiles,
    ReleasedRows,
    fold_accounts,
    fold_points,
    write_links,
    write_statements,
)
from privacy.links import LinkRows

MEMORY_LIMIT_MB = 2048
THREADS = 2


class StatementFiles:
    """A folder of statement files of this audit, and the engine that writes and folds them."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cgsp-audit-", ignore_cleanup_errors=True)
        self._engine = DuckDbEngine(
            memory_limit_mb=MEMORY_LIMIT_MB, threads=THREADS, temp_dir=Path(self._folder.name)
        )

    def write(self, released: ReleasedRows) -> ReleasedFiles:
        """Write one release's rows."""
        return write_statements(self._engine, Path(self._folder.name), released)

    def write_links(self, leaf_hash: bytes, links: LinkRows) -> Path:
        """Write one link batch's rows."""
        return write_links(self._engine, Path(self._folder.name), leaf_hash, links)

    def fold(self, statements: Sequence[ReleasedFiles], links: Sequence[Path]) -> Iterator[FoldedAccount]:
        """Fold the files' statements into accounts, ascending by account."""
        return fold_accounts(self._engine, statements, links)

    def fold_points(
        self, statements: Sequence[ReleasedFiles], links: Sequence[Path]
    ) -> Iterator[FoldedPoints]:
        """Fold the files' statements of points into accounts, ascending by account."""
        return fold_points(self._engine, statements, links)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.close()
        self._folder.cleanup()
