"""Raw files by their content, and new Parquet files written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.sql_text import literal
from enterprise_node.store.sources import SourceFile, SourceFiles
from runtime.files import sync_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Places of flawed rows: line, column, reason.
Place = tuple[int, str, str]


def hash_file(path: Path) -> str:
    """Hash a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identify(home: Path, source: str, path: Path, mapping: str, files: SourceFiles) -> SourceFile:
    """Name a file by its content; one of unchanged size and time is not hashed again."""
    state = path.stat()
    shown = str(path.relative_to(home)) if path.is_relative_to(home) else str(path)
    known = files.known_hash(source, shown, state.st_size, state.st_mtime_ns)
    return SourceFile(
        source=source,
        path=shown,
        sha256=known or hash_file(path),
        size=state.st_size,
        modified_ns=state.st_mtime_ns,
        mapping=mapping,
    )


def write_parquet(connection: DuckDBPyConnection, sql: str, path: Path) -> None:
    """Write a query's rows as a new Parquet file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    connection.execute(f"COPY ({sql}) TO {literal(unfinished)} (FORMAT parquet, COMPRESSION zstd)")
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_folder(path.parent)


def write_places(connection: DuckDBPyConnection, places: Sequence[Place], path: Path) -> None:
    """Write the places of flawed rows; without any, no file is left."""
    import numpy as np

    if not places:
        path.unlink(missing_ok=True)
        return
    lines, columns, reasons = zip(*places, strict=True)
    arrays = {
        "line": np.array(lines, dtype=np.int64),
        "column_name": np.array(columns, dtype=object),
        "reason": np.array([str(reason) for reason in reasons], dtype=object),
    }
    connection.register("places", arrays)
    write_parquet(connection, 'SELECT line, column_name AS "column", reason FROM places ORDER BY line', path)
    connection.unregister("places")
