"""Opens the hub's database: one connection that writes, durably, and others that only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, insert, inspect, select
from sqlalchemy.exc import OperationalError

from hub.store import account_schema, ledger_schema, reward_schema
from hub.store.dialects import connect_readers, connect_writer
from hub.store.location import Location, SqliteFile
from hub.store.schema import REVISION, metadata, revision, setting
from protos.problems import Malformed, Unavailable
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_PEER_UNREACHABLE

# Importing a module of tables adds them to what a database has.
TABLES = (account_schema, ledger_schema, reward_schema)


def create_database(location: Location) -> None:
    """Make the tables in a new database; one that is there is left as it is."""
    engine = connect_writer(location)
    try:
        with told(), engine.begin() as connection:
            if current_revision(connection) is None:
                metadata.create_all(connection)
                connection.execute(insert(revision).values(version_num=REVISION))
    finally:
        engine.dispose()
    if isinstance(location, SqliteFile):
        location.path.chmod(0o600)


def open_writer(location: Location) -> Engine:
    """Open the one writing connection; raises Malformed for a database of another revision.

    Raises Conflict where another process writes a PostgreSQL database already.
    """
    engine = connect_writer(location)
    try:
        with told(), engine.begin() as connection:
            found = current_revision(connection)
        if found != REVISION:
            raise Malformed(
                REASON_CONFIGURATION_INVALID,
                f"The hub's database is of revision {found}; this program needs {REVISION}.",
                remedy="Migrate it with cgsp-hub migrate; a newer one needs the program that made it.",
            )
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_readers(location: Location) -> Engine:
    """Open connections that cannot write."""
    return connect_readers(location)


@contextmanager
def readers_of(location: Location) -> Iterator[Engine]:
    """Open connections that cannot write for a while."""
    readers = open_readers(location)
    try:
        yield readers
    finally:
        readers.dispose()


def current_revision(connection: Connection) -> str | None:
    """Say of which revision the tables are; None where there are none."""
    tables = inspect(connection)
    if tables.has_table(revision.name):
        return connection.scalar(select(revision.c.version_num))
    # The first form counted for itself.
    return "0001" if tables.has_table(setting.name) else None


@contextmanager
def told() -> Iterator[None]:
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
