"""Opens the engine a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.engine import Engine
from engine.spark_settings import is_spark
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

DUCKDB = "duckdb"


def open_engine(
    at: str = DUCKDB,
    *,
    memory_limit_mb: int = 1024,
    threads: int = 2,
    temp_dir: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Engine:
    """Open "duckdb", "local[2]" or "spark://host:port"; CONFIGURATION_INVALID if what it needs is missing.

    `settings` are the operator's own for Spark; `threads` are DuckDB's. A Spark starts with the first query.
    """
    check_engine(at)
    if at == DUCKDB:
        from engine.duckdb_engine import DuckDbEngine

        return DuckDbEngine(memory_limit_mb=memory_limit_mb, threads=threads, temp_dir=temp_dir)
    from engine.spark_engine import SparkEngine

    return SparkEngine(at, memory_limit_mb=memory_limit_mb, temp_dir=temp_dir, settings=settings or {})


def check_engine(at: str) -> None:
    """Refuse words that name no engine."""
    if at != DUCKDB and not is_spark(at):
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"{at!r} is no query engine.",
            remedy='Use "duckdb", "local[2]" or "spark://host:7077".',
        )
