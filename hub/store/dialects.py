"""What SQLite and PostgreSQL do differently when they are used: connections, column types, keyed inserts.

Only the standard library's sqlite3 may open an SQLite file in this process: two SQLite libraries on one WAL
file silently lose committed writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from hub.store.location import Location, PostgresServer, SqliteFile
from protos.problems import Conflict, Malformed
from protos.v1.problem_pb2 import REASON_ALREADY_EXISTS, REASON_CONFIGURATION_INVALID

BUSY_MILLISECONDS = 10_000
CONNECT_SECONDS_MAX = 10
READERS_MAX = 16

# 64 bits on both.
Whole = BigInteger().with_variant(Integer(), "sqlite")
Bytes = LargeBinary
# Text that stands in keys: compared byte by byte, whatever language a server speaks.
Name = Text().with_variant(Text(collation="C"), "postgresql")

# How a driver wants a value marked in a statement.
PLACEHOLDERS = {"sqlite": "?", "postgresql": "%s"}

# A text and its values.
Query = tuple[str, tuple[Any, ...]]

# What is added up by what chooses a partition is so partition by partition.
_READER_OPTIONS = "-c default_transaction_read_only=on -c enable_partitionwise_aggregate=on"
# Two hubs on one database would sign two histories: the lock is held as long as the writing connection lives.
_LOCK = "select pg_advisory_lock(hashtextextended('cgsp hub writer ' || current_schema(), 0))"
# A server ends a session a moment after its client has left or was killed: so long the next one waits for it.
_LOCK_WAIT = "set local lock_timeout = '3s'"
# A table's triggers go with it, what they call does not.
_UNUSED_TRIGGERS = (
    "select proname from pg_proc as called where pronamespace = current_schema()::regnamespace "
    "and prorettype = 'trigger'::regtype "
    "and not exists (select 1 from pg_trigger where tgfoid = called.oid)"
)
# A session that inherited less is raised to: acknowledged means flushed.
_DURABLE = (
    "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'"
)


def connect_writer(location: Location) -> Engine:
    """Open the one writing connection; raises Conflict where another process holds it."""
    match location:
        case SqliteFile():
            return _sqlite(location, writes=True)
        case PostgresServer():
            return _postgres_writer(location)


def connect_readers(location: Location) -> Engine:
    """Open connections that cannot write; each transaction sees one state."""
    match location:
        case SqliteFile():
            return _sqlite(location, writes=False)
        case PostgresServer():
            return create_engine(
                "postgresql+psycopg://",
                connect_args=_arguments(location, _READER_OPTIONS),
                isolation_level="REPEATABLE READ",
                pool_size=READERS_MAX // 2,
                max_overflow=READERS_MAX // 2,
                pool_pre_ping=True,
            )


def insert_or_skip(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Insert; a row whose key is there stays as it is."""
    return _insert(connection, table).on_conflict_do_nothing()


def insert_or_replace(
    connection: Connection, table: Table, keys: Sequence[str], values: Mapping[str, Any]
) -> sqlite.Insert | postgresql.Insert:
    """Insert one row, or give the row with these keys the other values."""
    keyed = _insert(connection, table).values(**values)
    return keyed.on_conflict_do_update(index_elements=list(keys), set_=dict(values))


def run_many(connection: Connection, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run one statement for many rows by the driver itself; errors are the engine's all the same."""
    driver: Any = connection.connection.driver_connection
    with _told_as_engine(connection), closing(driver.cursor()) as cursor:
        cursor.executemany(text, rows)


def run_one(connection: Connection, text: str, values: Sequence[Any]) -> None:
    """Run one statement that gives nothing by the driver itself, prepared once."""
    driver: Any = connection.connection.driver_connection
    with _told_as_engine(connection):
        driver.execute(text, values, prepare=True)


def run_queries(connection: Connection, queries: Sequence[Query]) -> list[list[tuple[Any, ...]]]:
    """Run queries by the driver itself and give the rows of each; a server is waited for once."""
    driver: Any = connection.connection.driver_connection
    with _told_as_engine(connection):
        if connection.dialect.name == "sqlite":
            return [driver.execute(text, values).fetchall() for text, values in queries]
        with driver.pipeline():
            cursors = [driver.execute(text, values, prepare=True) for text, values in queries]
        return [cursor.fetchall() for cursor in cursors]


@contextmanager
def each_commits(connection: Connection) -> Iterator[None]:
    """Let each statement be a transaction of its own on a server, which is then waited for once.

    A file's statements commit with the transaction they are in, as always.
    """
    if connection.dialect.name == "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.autocommit = True
    try:
        yield
    finally:
        if not driver.closed:
            driver.autocommit = False


def is_lost(connection: Connection) -> bool:
    """Say whether nobody can tell any more what became of the last statement."""
    driver: Any = connection.connection.driver_connection
    return connection.dialect.name != "sqlite" and bool(driver.closed)


def wipe(connection: Connection, metadata: MetaData, tables: Sequence[Table] | None = None) -> None:
    """Take away tables, all by default, and what belongs to them."""
    metadata.drop_all(connection, tables)
    if connection.dialect.name == "postgresql":
        for name in connection.scalars(text(_UNUSED_TRIGGERS)).all():
            connection.execute(text(f'drop function "{name}"()'))


def scrub(location: Location, tables: Sequence[Table]) -> bool:
    """Take what was overwritten out of a database's files; False where readers of an SQLite file prevent it.

    An SQLite file zeroes what it overwrites, so its log of writes is emptied; a server writes tables anew.
    """
    match location:
        case SqliteFile():
            with closing(sqlite3.connect(location.path)) as connection:
                connection.execute(f"pragma busy_timeout={BUSY_MILLISECONDS}")
                busy: int = connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
            return not busy
        case PostgresServer():
            server = create_engine(
                "postgresql+psycopg://", connect_args=_arguments(location), isolation_level="AUTOCOMMIT"
            )
            try:
                with server.connect() as connected:
                    for table in tables:
                        connected.execute(text(f'vacuum (full, analyze) "{table.name}"'))
            finally:
                server.dispose()
            return True


@contextmanager
def _told_as_engine(connection: Connection) -> Iterator[None]:
    """Raise a driver's errors as the engine raises them."""
    kind = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except kind as error:
        raise DBAPIError.instance(None, None, error, kind) from error


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _sqlite(location: SqliteFile, *, writes: bool) -> Engine:
    url = f"sqlite:///{location.path}"
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


def _postgres_writer(location: PostgresServer) -> Engine:
    engine = create_engine("postgresql+psycopg://", connect_args=_arguments(location), poolclass=StaticPool)
    from psycopg.errors import LockNotAvailable

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: object) -> None:
        try:
            for statement in (_LOCK_WAIT, _LOCK, _DURABLE):
                connection.execute(statement)
        except LockNotAvailable:
            connection.close()
            raise Conflict(
                REASON_ALREADY_EXISTS,
                "Another process already writes this hub's database.",
                remedy="Stop the hub that runs with this database before starting another.",
            ) from None
        connection.commit()

    return engine


def _arguments(location: PostgresServer, options: str = "") -> dict[str, Any]:
    """Take the connection string apart; what is wrong with it is told without it."""
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            "The hub's store needs the PostgreSQL driver, which is not installed.",
            remedy="pip install 'cgsp-gateway[postgres]'",
        ) from error
    try:
        found: dict[str, Any] = dict(conninfo_to_dict(location.dsn))
    except ProgrammingError:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            "The store's connection string is not one.",
            remedy="Write it as postgresql://user:password@host/database or host=… user=… dbname=….",
        ) from None
    found.setdefault("connect_timeout", CONNECT_SECONDS_MAX)
    found.setdefault("application_name", "cgsp-hub")
    found["options"] = f"{found.get('options') or ''} {options}".strip()
    return found
