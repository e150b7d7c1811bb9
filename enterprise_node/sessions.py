"""DuckDB connections for reading raw files and for sorting out what was read.

A raw session sees identifiers, so it may not spill to disk: DuckDB writes spilled rows in plain. A working
session sees person numbers only and may spill into the home's own folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.sql_text import literal
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_QUOTA_EXCEEDED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from runtime.engines import EngineSettings


@dataclass(frozen=True, slots=True)
class RawSession:
    """A connection that keeps everything in memory, and what must be closed after it."""

    connection: DuckDBPyConnection
    closing: ExitStack
    memory_bytes_max: int


@contextmanager
def raw_session(settings: EngineSettings) -> Iterator[RawSession]:
    """Open a session that keeps all in memory; raises Refused QUOTA_EXCEEDED when that is too little."""
    import duckdb

    with ExitStack() as closing, duckdb.connect() as connection:
        _limit(connection, settings)
        connection.execute("SET temp_directory = ''")
        try:
            yield RawSession(connection, closing, settings.memory_limit_mb << 20)
        except duckdb.OutOfMemoryException as error:
            raise Refused(
                REASON_QUOTA_EXCEEDED,
                f"Reading needs more than {settings.memory_limit_mb} MB, and raw rows never go to disk.",
                remedy="Raise engine.memory_limit_mb, or split the lookup files.",
            ) from error


@contextmanager
def working_session(settings: EngineSettings, temp: Path) -> Iterator[DuckDBPyConnection]:
    """Open a session that may spill rows without identifiers."""
    import duckdb

    temp.mkdir(mode=0o700, parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        _limit(connection, settings)
        connection.execute(f"SET temp_directory = {literal(temp)}")
        yield connection


def _limit(connection: DuckDBPyConnection, settings: EngineSettings) -> None:
    connection.execute(f"SET memory_limit = '{settings.memory_limit_mb}MB'")
    connection.execute(f"SET threads = {settings.threads}")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET TimeZone = 'UTC'")
