"""The same SQL on a Spark cluster: it reads the same Parquet, and only results come back, as Parquet.

Executors write a result beside the engine's own files and the embedded engine reads it, so types, bytes and
order are exact and memory is bounded; no Python runs on a worker. A row a worker wrote where this process
cannot see it would be lost in silence: Spark counts what it wrote, and the count must be what is read.
"""

# ruff: noqa: S608  (names are checked or made here)

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

from engine.duckdb_engine import DuckDbEngine
from engine.engine import OWN_FOLDER, Columns
from engine.names import broken, check_name, checked_columns
from engine.spark_dialect import spark_text
from engine.spark_session import check_exact, check_installed, start_session, stop_session
from engine.spark_settings import LOCAL_MB, check_settings
from protos.problems import InvariantBroken, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY, REASON_INVARIANT_BROKEN, REASON_NOT_FOUND

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_EXACT_TYPE = re.compile(r"tinyint|smallint|int|bigint|boolean|string|binary|decimal\([0-9]+,0\)")
_GLOB = re.compile(r"([\\{}\[\]*?^])")
_EXHAUSTED = ("OutOfMemoryError", "ExecutorLostFailure", "SparkContext was shut down", "SparkOutOfMemory")
_UNREADABLE = ("PATH_NOT_FOUND", "FAILED_READ_FILE", "UNABLE_TO_INFER_SCHEMA", "java.io.")
_TABLE_OF = re.compile(r"CREATE OR REPLACE TABLE (?P<name>\w+) AS (?P<query>.+)", re.DOTALL)
_LANDED, _STAGED = "_landed", "_staged"


class SparkEngine:
    """Implements Engine; Spark starts with the first query. Not shared between threads."""

    def __init__(
        self,
        master: str,
        *,
        memory_limit_mb: int = 1024,
        temp_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        check_settings(settings or {})
        check_installed()
        self._master = master
        self._memory_limit_mb = memory_limit_mb
        self._settings = dict(settings or {})
        self._own_folder = tempfile.TemporaryDirectory(
            prefix=OWN_FOLDER, dir=temp_dir, ignore_cleanup_errors=True
        )
        self._folder = Path(self._own_folder.name).absolute()
        self._local = DuckDbEngine(memory_limit_mb=LOCAL_MB, threads=1, temp_dir=self._folder)
        self._numbers = itertools.count(1)
        self._tables: dict[str, Path] = {}
        self._files: dict[str, Sequence[Path]] = {}
        self._session: SparkSession | None = None

    def view(self, name: str, paths: Sequence[Path], schema: Mapping[str, str] | None = None) -> None:
        """Name Parquet files; with no files, an empty table of the schema."""
        check_name(name)
        if not paths:
            self._local.view(_STAGED, [], schema or {})
            self._stage(name)
            return
        self._drop(name)
        self._name(name, paths, schema or {})

    def register(self, name: str, columns: Mapping[str, NDArray[Any]], schema: Mapping[str, str]) -> None:
        """Copy arrays into a table."""
        check_name(name)
        self._local.register(_STAGED, columns, schema)
        self._stage(name)

    def execute(self, sql: str) -> None:
        """Run a statement that gives nothing back; CREATE OR REPLACE TABLE … AS keeps its rows in a file."""
        made = _TABLE_OF.fullmatch(sql)
        if made:
            check_name(made["name"])
            path = self._table_path()
            self.write_parquet(made["query"], path)
            self._take(made["name"], path)
            return
        with _problems():
            self._exact_session().sql(spark_text(sql)).collect()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and give all its rows."""
        with self._landed(sql):
            return self._local.rows(f"SELECT * FROM {_LANDED}")

    def columns(self, sql: str) -> Columns:
        """Run a query and give its columns as arrays."""
        with self._landed(sql) as named:
            return self._local.columns(f"SELECT {named} FROM {_LANDED}")

    def write_parquet(self, sql: str, path: Path) -> int:
        """Run a query into one new Parquet file; the embedded engine writes it."""
        with self._landed(sql) as named:
            return self._local.write_parquet(f"SELECT {named} FROM {_LANDED}", path)

    def write_numbered(self, sql: str, path: Path, by: str) -> int:
        """Run a query into one new Parquet file: the cluster sorts, the embedded engine counts as it writes.

        A window over all rows would bring them all to one worker.
        """
        with self._landed(_ascending(sql, by)) as named:
            return self._local.write_parquet(
                f"SELECT row_number() OVER () AS number, {named} FROM {_LANDED}", path
            )

    def keep_numbered(self, name: str, sql: str, by: str) -> None:
        """Keep a query's rows as a table, numbered by a column."""
        check_name(name)
        path = self._table_path()
        self.write_numbered(sql, path, by)
        self._take(name, path)

    def walk(self, name: str, columns: Sequence[str], rows_max: int) -> Iterator[Columns]:
        """Give columns in the order of numbers, read from the files themselves: no job of the cluster's."""
        self._local.view(name, self._files[name])
        yield from self._local.walk(name, columns, rows_max)

    def close(self) -> None:
        """End the session, its Java machine and its temporary files."""
        try:
            if self._session is not None:
                stop_session(self._session)
        finally:
            self._session = None
            self._local.close()
            self._own_folder.cleanup()

    def __enter__(self) -> Self:
        """Give the session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _exact_session(self) -> SparkSession:
        """Give the session, started now if it was not, and still under the exact settings."""
        if self._session is None:
            self._session = start_session(
                self._master, self._settings, memory_limit_mb=self._memory_limit_mb, folder=self._folder
            )
        check_exact(self._session)
        return self._session

    def _stage(self, name: str) -> None:
        """Move the embedded engine's staged table into a file of Spark's."""
        path = self._table_path()
        self._local.write_parquet(f"SELECT * FROM {_STAGED}", path)
        self._take(name, path)

    def _table_path(self) -> Path:
        return self._folder / f"table-{next(self._numbers)}.parquet"

    def _take(self, name: str, path: Path) -> None:
        """Name a file of the engine's own; it goes when the name is taken anew."""
        self._drop(name)
        self._tables[name] = path
        self._name(name, [path], {})

    def _name(self, name: str, paths: Sequence[Path], schema: Mapping[str, str]) -> None:
        casts = [
            f"CAST({column} AS {spark_text(kind)}) AS {column}" for column, kind in checked_columns(schema)
        ]
        with _problems():
            reader = self._exact_session().read.schema(self._found_columns(paths))
            frame = reader.parquet(*map(_location, paths))
            frame.selectExpr(*(casts or ["*"])).createOrReplaceTempView(name)
        self._files[name] = tuple(paths)

    def _found_columns(self, paths: Sequence[Path]) -> str:
        """Read what columns the files have, here, where it costs no job of the cluster's."""
        self._local.view(_LANDED, paths)
        found = self._local.rows(f"DESCRIBE {_LANDED}")
        return ", ".join(f'"{row[0]}" {spark_text(row[1])}' for row in found)

    def _drop(self, name: str) -> None:
        with _problems():
            self._exact_session().catalog.dropTempView(name)
        if name in self._tables:
            self._tables.pop(name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _landed(self, sql: str) -> Iterator[str]:
        """Run a query into files the embedded engine sees as one table; give its columns by their names."""
        folder = self._folder / f"result-{next(self._numbers)}"
        try:
            with _problems():
                frame = self._exact_session().sql(spark_text(sql))
                names = _exact(frame)
                written = _write(frame, folder)
            self._read_back(folder, written)
            yield ", ".join(f'c{index} AS "{name}"' for index, name in enumerate(names))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _read_back(self, folder: Path, written: int) -> None:
        files = sorted(folder.glob("part-*.parquet"))
        found = 0
        if files:
            self._local.view(_LANDED, files)
            [(found,)] = self._local.rows(f"SELECT COUNT(*) FROM {_LANDED}")
        if not files or found != written:
            raise Unavailable(
                REASON_NOT_FOUND,
                f"Spark wrote {written} rows, of which {found} can be read here.",
                remedy="Workers must see the engine's folder under the same path: put it on a shared disk.",
            )


def _ascending(sql: str, by: str) -> str:
    check_name(by)
    return f"SELECT q.* FROM ({sql}) AS q ORDER BY {by}"


def _exact(frame: DataFrame) -> list[str]:
    """Give the result's column names; a type that is not exact stops the program."""
    inexact = [one.name for one in frame.schema if not _EXACT_TYPE.fullmatch(one.dataType.simpleString())]
    if inexact:
        raise broken(f"the columns {', '.join(inexact)} have no exact type: cast them to BIGINT")
    return [one.name.replace('"', '""') for one in frame.schema]


def _write(frame: DataFrame, folder: Path) -> int:
    """Write a result in its order and give the number of rows Spark says it wrote."""
    from pyspark.sql import Observation
    from pyspark.sql import functions as sql

    observed = Observation()
    numbered = frame.toDF(*(f"c{index}" for index in range(len(frame.columns))))
    counted = numbered.observe(observed, sql.count(sql.lit(1)).alias("written"))
    counted.write.parquet(f"file://{folder}")
    return int(observed.get["written"])


def _location(path: Path) -> str:
    """Spell a path so that Spark takes it as it is, not as a pattern."""
    return "file://" + _GLOB.sub(r"\\\1", str(path.absolute()))


@contextlib.contextmanager
def _problems() -> Iterator[None]:
    """Let no exception of Spark's out, nor the values its messages quote."""
    from py4j.protocol import Py4JError, Py4JNetworkError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        condition = error.getCondition() if isinstance(error, PySparkException) else None
        name, words = str(condition or type(error).__name__), str(error)
        if isinstance(error, Py4JNetworkError) or any(one in words for one in _EXHAUSTED):
            raise Unavailable(
                REASON_BUSY,
                "Spark ran out of memory or lost its workers.",
                remedy="Raise memory_limit_mb or spark.executor.memory, and see that the cluster runs.",
            ) from error
        if any(one in words for one in _UNREADABLE):
            raise Unavailable(
                REASON_NOT_FOUND,
                "Spark could not read or write a file.",
                remedy="Workers must see the node's folder under the same path: put it on a shared disk.",
            ) from error
        raise InvariantBroken(REASON_INVARIANT_BROKEN, f"Spark stopped with {name}.") from error
