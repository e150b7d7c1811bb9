"""The embedded engine: one DuckDB connection with bounded memory and its own folder to spill into.

DuckDB's SUM of BIGINT is HUGEINT, which Parquet and NumPy would silently turn into a double: a result column
of such a type stops the program. Each query is fetched whole: an unfinished cursor blocks the connection.
"""

# ruff: noqa: S608  (names are checked, paths quoted)

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
from numpy.typing import NDArray

from engine.engine import OWN_FOLDER, Columns
from engine.names import broken, check_name, checked_columns
from protos.problems import InvariantBroken, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY, REASON_INVARIANT_BROKEN, REASON_NOT_FOUND

_FLOATS = frozenset({"DOUBLE", "FLOAT", "REAL"})
_INEXACT = _FLOATS | {"HUGEINT", "UHUGEINT"}
_INTEGERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "BOOLEAN", "UTINYINT", "USMALLINT", "UINTEGER"}
)
_ROW_GROUP = 122_880


class DuckDbEngine:
    """Implements Engine; not shared between threads."""

    def __init__(
        self, *, memory_limit_mb: int = 1024, threads: int = 2, temp_dir: Path | None = None
    ) -> None:
        self._own_folder = tempfile.TemporaryDirectory(
            prefix=OWN_FOLDER, dir=temp_dir, ignore_cleanup_errors=True
        )
        with _problems():
            self._connection = duckdb.connect(
                ":memory:",
                config={
                    "memory_limit": f"{memory_limit_mb}MB",
                    "threads": threads,
                    "temp_directory": self._own_folder.name,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )

    def view(self, name: str, paths: Sequence[Path], schema: Mapping[str, str] | None = None) -> None:
        """Name Parquet files; with no files, an empty table of the schema."""
        self._drop(name)
        if not paths:
            self._create(name, schema or {})
            return
        files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        casts = ", ".join(
            f"CAST({column} AS {kind}) AS {column}" for column, kind in checked_columns(schema or {})
        )
        self.execute(f"CREATE VIEW {name} AS SELECT {casts or '*'} FROM read_parquet([{files}])")

    def register(self, name: str, columns: Mapping[str, NDArray[Any]], schema: Mapping[str, str]) -> None:
        """Copy arrays into a table."""
        if set(columns) != set(schema) or len({len(array) for array in columns.values()}) > 1:
            raise broken("arrays and schema of a table do not fit each other")
        self._drop(name)
        self._create(name, schema)
        if not columns or not len(next(iter(columns.values()))):
            return
        with _problems():
            self._connection.register("_arrays", dict(columns))
            try:
                self._connection.execute(f"INSERT INTO {name} SELECT {', '.join(schema)} FROM _arrays")
            finally:
                self._connection.unregister("_arrays")

    def execute(self, sql: str) -> None:
        """Run a statement that gives nothing back."""
        with _problems():
            self._connection.execute(sql).fetchall()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and give all its rows."""
        with _problems():
            result = self._connection.execute(sql)
            _exact(result.description or (), _FLOATS)
            rows: list[tuple[Any, ...]] = result.fetchall()
        return rows

    def columns(self, sql: str) -> Columns:
        """Run a query and give its columns as arrays."""
        with _problems():
            result = self._connection.execute(sql)
            kinds = _exact(result.description or (), _INEXACT)
            arrays = result.fetchnumpy()
        return {name: _plain(arrays[name], kind) for name, kind in kinds.items()}

    def write_parquet(self, sql: str, path: Path) -> int:
        """Run a query into one new Parquet file; HUGEINT and floats are refused."""
        with _problems():
            _exact(self._connection.execute(f"DESCRIBE {sql}").fetchall(), _INEXACT)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.unfinished")
        target = "'" + str(unfinished).replace("'", "''") + "'"
        options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP}"
        try:
            with _problems():
                [[count]] = self._connection.execute(f"COPY ({sql}) TO {target} ({options})").fetchall()
            _sync(unfinished)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        return int(count)

    def write_numbered(self, sql: str, path: Path, by: str) -> int:
        """Run a query into one new Parquet file, numbered by a column."""
        return self.write_parquet(f"{_numbered(sql, by)} ORDER BY number", path)

    def keep_numbered(self, name: str, sql: str, by: str) -> None:
        """Keep a query's rows as a table, numbered by a column."""
        self._drop(name)
        self.execute(f"CREATE TABLE {name} AS {_numbered(sql, by)}")

    def walk(self, name: str, columns: Sequence[str], rows_max: int) -> Iterator[Columns]:
        """Give columns in the order of numbers, a query for each batch."""
        check_name(name)
        [(count,)] = self.rows(f"SELECT COUNT(*) FROM {name}")
        for first in range(1, count + 1, rows_max):
            yield self.columns(
                f"SELECT {', '.join(columns)} FROM {name} WHERE number >= {first} "
                f"AND number < {first + rows_max} ORDER BY number"
            )

    def close(self) -> None:
        """End the session."""
        self._connection.close()
        self._own_folder.cleanup()

    def __enter__(self) -> Self:
        """Give the session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _drop(self, name: str) -> None:
        check_name(name)
        found = self._connection.execute(
            "SELECT table_type FROM information_schema.tables WHERE table_name = ?", [name]
        ).fetchall()
        for (kind,) in found:
            self.execute(f"DROP {'VIEW' if kind == 'VIEW' else 'TABLE'} {name}")

    def _create(self, name: str, schema: Mapping[str, str]) -> None:
        columns = ", ".join(f"{column} {kind}" for column, kind in checked_columns(schema))
        self.execute(f"CREATE TABLE {name} ({columns})")


def _numbered(sql: str, by: str) -> str:
    check_name(by)
    return f"SELECT row_number() OVER (ORDER BY {by}) AS number, q.* FROM ({sql}) AS q"


def _exact(described: Sequence[Sequence[Any]], refused: frozenset[str]) -> dict[str, str]:
    """Give the result's columns and types; a type that is refused stops the program."""
    kinds = {str(row[0]): str(row[1]) for row in described}
    inexact = [name for name, kind in kinds.items() if kind in refused]
    if inexact:
        raise broken(f"the columns {', '.join(inexact)} have no exact type: cast them to BIGINT")
    return kinds


def _plain(array: NDArray[Any], kind: str) -> NDArray[Any]:
    """Give integers as int64, bytes as bytes objects; NULLs make an object array with None."""
    if isinstance(array, np.ma.MaskedArray):
        missing = np.ma.getmaskarray(array)
        if missing.any():
            full = np.asarray(array.data).astype(object)
            full[missing] = None
            return _bytes(full) if kind == "BLOB" else full
        array = np.asarray(array.data)
    if kind in _INTEGERS:
        return array.astype(np.int64, copy=False)
    return _bytes(array) if kind == "BLOB" else array


def _bytes(array: NDArray[Any]) -> NDArray[Any]:
    full = np.empty(len(array), dtype=object)
    full[:] = [None if one is None else bytes(one) for one in array]
    return full


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _problems() -> Iterator[None]:
    """Let no exception of DuckDB's out, nor the values its messages quote."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise Unavailable(
            REASON_BUSY,
            "The query engine ran out of memory.",
            remedy="Raise its memory limit or free disk space.",
        ) from error
    except duckdb.IOException as error:
        raise Unavailable(
            REASON_NOT_FOUND,
            "The query engine could not read or write a file.",
            remedy="Check folder and disk.",
        ) from error
    except duckdb.Error as error:
        raise InvariantBroken(
            REASON_INVARIANT_BROKEN, f"The query engine stopped with {type(error).__name__}."
        ) from error
