"""Released statements and links kept in files while an audit runs, so that memory does not grow with them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.duckdb_engine import DuckDbEngine
from engine.folding import FoldedAccount, FoldedPoints, fold_accounts, fold_points, sum_statements
from engine.moved import apply_moves
from engine.released import Released, ReleasedFiles, ReleasedRows, write_links, write_statements
from privacy.links import LinkRows
from privacy.ownership import Move

MEMORY_LIMIT_MB = 2048
THREADS = 2


class StatementFiles:
    """A folder of statement files of this audit (kept where one is named), and the engine over them."""

    def __init__(self, kept: Path | None = None) -> None:
        self._temporary = None
        if kept is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="cgsp-audit-", ignore_cleanup_errors=True)
            kept = Path(self._temporary.name)
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = kept
        self._engine = DuckDbEngine(memory_limit_mb=MEMORY_LIMIT_MB, threads=THREADS, temp_dir=kept)

    @property
    def engine(self) -> DuckDbEngine:
        """Give the engine over the files."""
        return self._engine

    @property
    def folder(self) -> Path:
        """Give the folder the files lie in."""
        return self._folder

    def write(self, released: ReleasedRows) -> ReleasedFiles:
        """Write one release's rows."""
        return write_statements(self._engine, self._folder, released)

    def write_links(self, leaf_hash: bytes, links: LinkRows) -> Path:
        """Write one link batch's rows."""
        return write_links(self._engine, self._folder, leaf_hash, links)

    def forget(self) -> None:
        """Remove the files that name pseudonyms: persons were erased since they were written."""
        for path in self._folder.glob("*.parquet"):
            path.unlink()

    def moved(
        self, statements: Sequence[ReleasedFiles], links: Sequence[Path], moves: Sequence[Move]
    ) -> Released:
        """Give the files with what changes to accounts make of them."""
        return apply_moves(self._engine, self._folder, Released(statements, links), moves)

    def fold(self, released: Released) -> Iterator[FoldedAccount]:
        """Fold the files' statements into accounts, ascending by account."""
        return fold_accounts(self._engine, released)

    def fold_points(self, released: Released) -> Iterator[FoldedPoints]:
        """Fold the files' statements of points into accounts, ascending by account."""
        return fold_points(self._engine, released)

    def sums(self, statements: Sequence[ReleasedFiles]) -> dict[tuple[str, int, str], int]:
        """Add up the grams of months by enterprise, epoch and measure, whoever they are linked to."""
        return sum_statements(self._engine, statements)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.close()
        if self._temporary is not None:
            self._temporary.cleanup()
