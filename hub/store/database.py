"""Opens the hub's database: one connection that writes, durably, and others that only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, insert, inspect, select
from sqlalchemy.exc import OperationalError

from hub.store import account_schema, ledger_schema
from hub.store.dialects import connect_readers, connect_writer
from hub.store.location import Location, SqliteFile
from hub.store.schema import SCHEMA_VERSION, metadata, setting
from protos.problems import Malformed, Unavailable
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_PEER_UNREACHABLE

# Importing a module of tables adds them to what a database has.
TABLES = (account_schema, ledger_schema)


def create_database(location: Location) -> None:
    """Make the tables in a new database; one that is there is left as it is."""
    engine = connect_writer(location)
    try:
        with _told(), engine.begin() as connection:
            metadata.create_all(connection)
            if read_setting(connection, "schema") is None:
                connection.execute(insert(setting).values(name="schema", value=str(SCHEMA_VERSION)))
    finally:
        engine.dispose()
    if isinstance(location, SqliteFile):
        location.path.chmod(0o600)


def open_writer(location: Location) -> Engine:
    """Open the one writing connection; raises Malformed for a database of another schema version.

    Raises Conflict where another process writes a PostgreSQL database already.
    """
    engine = connect_writer(location)
    try:
        with _told(), engine.begin() as connection:
            has_tables = inspect(connection).has_table(setting.name)
            version = read_setting(connection, "schema") if has_tables else None
        if version != str(SCHEMA_VERSION):
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                f"The hub's database has schema version {version}; this program needs {SCHEMA_VERSION}.",
                remedy="Run the program version that made it, or migrate the database.",
            )
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_readers(location: Location) -> Engine:
    """Open connections that cannot write."""
    return connect_readers(location)


def read_setting(connection: Connection, name: str) -> str | None:
    """Give a stored setting."""
    return connection.scalar(select(setting.c.value).where(setting.c.name == name))


@contextmanager
def _told() -> Iterator[None]:
    """Say that a database cannot be reached, without the connection string."""
    try:
        yield
    except OperationalError as error:
        kind = type(error.orig).__name__
        raise Unavailable(
            REASON_PEER_UNREACHABLE,
            f"The hub's database cannot be opened ({kind}).",
            remedy="Check that the server runs, and what the store's connection string says.",
        ) from None
