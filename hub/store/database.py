"""Opens the SQLite file: WAL, synchronous=FULL, one connection that writes, others that only read.

Only the standard library's sqlite3 may open this file in this process: two SQLite libraries on one WAL file
silently lose committed writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.pool import StaticPool

from hub.store.schema import SCHEMA_VERSION, metadata, setting
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

BUSY_MILLISECONDS = 10_000
READERS_MAX = 16


def create_database(path: Path) -> None:
    """Make the tables in a new file; an existing file is left as it is."""
    engine = _engine(path, writes=True)
    with engine.begin() as connection:
        metadata.create_all(connection)
        if read_setting(connection, "schema") is None:
            connection.execute(insert(setting).values(name="schema", value=str(SCHEMA_VERSION)))
    engine.dispose()
    path.chmod(0o600)


def open_writer(path: Path) -> Engine:
    """Open the one writing connection; raises Malformed for a database of another schema version."""
    engine = _engine(path, writes=True)
    with engine.begin() as connection:
        version = read_setting(connection, "schema")
    if version != str(SCHEMA_VERSION):
        engine.dispose()
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"The hub's database has schema version {version}; this program needs {SCHEMA_VERSION}.",
            remedy="Run the program version that made it, or migrate the database.",
        )
    return engine


def open_readers(path: Path) -> Engine:
    """Open connections that cannot write."""
    return _engine(path, writes=False)


def read_setting(connection: Connection, name: str) -> str | None:
    """Give a stored setting."""
    return connection.scalar(select(setting.c.value).where(setting.c.name == name))


def _engine(path: Path, *, writes: bool) -> Engine:
    url = f"sqlite:///{path}"
    if writes:
        engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = create_engine(url, pool_size=READERS_MAX // 2, max_overflow=READERS_MAX // 2)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: object) -> None:
        # The driver's own transaction handling breaks savepoints: BEGIN is ours.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _pragmas(writes=writes):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return engine


def _pragmas(*, writes: bool) -> list[str]:
    shared = [f"pragma busy_timeout={BUSY_MILLISECONDS}", "pragma foreign_keys=on"]
    if writes:
        # What is overwritten by an erasure order does not linger in freed pages.
        return [
            "pragma journal_mode=wal",
            "pragma synchronous=full",
            "pragma secure_delete=on",
            *shared,
        ]
    return ["pragma query_only=on", *shared]
