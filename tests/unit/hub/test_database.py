"""What every store must do, on each: the database itself keeps the log's promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, Table, insert, text, types
from sqlalchemy.exc import DatabaseError, DBAPIError

from hub.store import books, entries, erasures, parties
from hub.store.books import Link
from hub.store.database import create_database, open_readers, open_writer
from hub.store.entries import StoredEntry, TreeHead
from hub.store.ledger_schema import credit, operation, received, segment, transfer
from hub.store.location import Location, PostgresServer, SqliteFile
from hub.store.parties import Party
from hub.store.partitions import is_by_value, make_partitions
from hub.store.schema import body, entry, metadata, revision, setting
from privacy.envelope import Kind
from protos.problems import Conflict, Malformed, Unavailable
from tests.unit.hub.world import refused

STORED = StoredEntry(0, b"envelope", bytes(32), "pack", "", 0, 1, b"receipt")
APPEND_ONLY = (entry, body, operation, segment, transfer, credit, received)
NUMBER = 1
ROWS = {bytes: b"0" * 16, int: NUMBER, str: "R"}


@pytest.fixture
def database(location: Location) -> Iterator[tuple[Engine, Engine]]:
    create_database(location)
    engines = open_writer(location), open_readers(location)
    yield engines
    for engine in engines:
        engine.dispose()


def fill(writer: Engine) -> None:
    with writer.begin() as connection:
        entries.add_entry(connection, STORED, [(b"body", False), (b"opening", True)])


@pytest.mark.parametrize("table", APPEND_ONLY, ids=str)
@pytest.mark.parametrize("verb", ["update", "delete", "truncate"])
def test_a_journals_rows_cannot_be_changed_or_deleted(
    database: tuple[Engine, Engine], table: Table, verb: str
) -> None:
    writer, readers = database
    if writer.dialect.name == "sqlite" and verb == "truncate":
        pytest.skip("SQLite has no such statement")
    fill(writer)
    if table not in (entry, body):
        with writer.begin() as connection:
            row = {one.name: ROWS[one.type.python_type] for one in table.c}
            row.update({"debit": b"1" * 16} if table is transfer else {})
            if is_by_value(connection, table.name):
                make_partitions(connection, table.name, [NUMBER])
            connection.execute(insert(table).values(row))
    statements = {
        "update": f"update {table} set {next(iter(table.c)).name} = 5",
        "delete": f"delete from {table}",
        "truncate": f"truncate {table} cascade",
    }
    with pytest.raises(DBAPIError, match=r"append-only|permission denied"), writer.begin() as connection:
        connection.execute(text(statements[verb]))
    with readers.begin() as connection:
        assert entries.read_entry(connection, 0) == STORED
        assert entries.read_bodies(connection, 0) == [b"body", b"opening"]


def test_an_ordered_erasure_overwrites_a_private_body_once_and_nothing_else(
    database: tuple[Engine, Engine],
) -> None:
    fill(database[0])
    order = replace(STORED, index=1, leaf_hash=bytes(31) + b"1", kind=Kind.ERASURE_ORDER.value)
    with database[0].begin() as connection:
        entries.add_entry(connection, order, [])
        erasures.overwrite(connection, 1, 0, 1, b"0000000")
    for order_index, position, data in ((1, 0, b"0000"), (1, 1, b"longer than it was"), (0, 1, b"1111111")):
        with pytest.raises(DBAPIError, match="append-only"), database[0].begin() as connection:
            erasures.overwrite(connection, order_index, 0, position, data)
    with pytest.raises(DBAPIError, match="append-only"), database[0].begin() as connection:
        connection.execute(body.update().where(body.c.position == 1).values(data=b"1111111"))
    with database[1].begin() as connection:
        assert entries.read_bodies(connection, 0) == [b"body", b"0000000"]


def test_readers_cannot_write(database: tuple[Engine, Engine]) -> None:
    with pytest.raises(DBAPIError, match=r"readonly|read-only"), database[1].begin() as connection:
        connection.execute(insert(setting).values(name="x", value="y"))


def test_a_reading_sees_one_state(database: tuple[Engine, Engine]) -> None:
    writer, readers = database
    with readers.begin() as connection:
        assert len(list(entries.read_entries(connection))) == 0
        fill(writer)
        assert len(list(entries.read_entries(connection))) == 0
    with readers.begin() as connection:
        assert len(list(entries.read_entries(connection))) == 1


def test_a_commit_is_flushed(database: tuple[Engine, Engine]) -> None:
    with database[0].begin() as connection:
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("pragma synchronous").scalar() == 2
        else:
            assert connection.exec_driver_sql("show synchronous_commit").scalar() == "on"


def test_integers_have_64_bits_and_bytes_come_back(database: tuple[Engine, Engine]) -> None:
    wrong = [
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, types.Integer) and not isinstance(column.type, types.BigInteger)
    ]
    assert wrong == []
    writer, readers = database
    largest = (1 << 63) - 1
    head = TreeHead(largest, bytes(range(256)))
    for _ in range(2):
        with writer.begin() as connection:
            entries.set_tree_head(connection, head)
    with readers.begin() as connection:
        assert entries.tree_head(connection) == head


def test_keyed_rows_are_kept_or_replaced(database: tuple[Engine, Engine]) -> None:
    party = Party("node", "a", "A", "", b"k", "host:1", b"s", 5, 1)
    other = Party("node", "a", "A", "", b"other", "host:2", b"s", 5, 2)
    with database[0].begin() as connection:
        for one in (party, other):
            parties.put_party(connection, one)
        books.add_links(connection, [Link(bytes(16), b"a" * 16, 202012, 3)])
        books.add_links(connection, [Link(bytes(16), b"b" * 16, 202101, 4)])
    with database[1].begin() as connection:
        assert parties.list_parties(connection) == [other]
        assert books.account_pseudonyms(connection, b"a" * 16) == 1


def test_reading_streams_while_others_are_read(database: tuple[Engine, Engine]) -> None:
    fill(database[0])
    with database[1].begin() as connection:
        found = [
            (one, entries.read_bodies(connection, one.index)) for one in entries.read_entries(connection)
        ]
    assert found == [(STORED, [b"body", b"opening"])]


def test_a_second_writing_process_is_refused_or_waits(location: Location) -> None:
    create_database(location)
    first = open_writer(location)
    if isinstance(location, PostgresServer):
        assert isinstance(refused(lambda: open_writer(location)), Conflict)
        first.dispose()
    open_writer(location).dispose()
    first.dispose()


def test_what_is_there_is_left_as_it_is(location: Location) -> None:
    create_database(location)
    writer = open_writer(location)
    fill(writer)
    writer.dispose()
    create_database(location)
    readers = open_readers(location)
    with readers.begin() as connection:
        assert len(list(entries.read_entries(connection))) == 1
    readers.dispose()


def test_a_database_of_another_revision_is_not_opened(location: Location) -> None:
    create_database(location)
    engine = open_writer(location)
    with engine.begin() as connection:
        connection.execute(revision.update().values(version_num="9999"))
    engine.dispose()
    assert isinstance(refused(lambda: open_writer(location)), Malformed)


def test_no_database_is_made_by_opening(location: Location) -> None:
    assert isinstance(refused(lambda: open_writer(location)), Malformed)


def test_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    create_database(SqliteFile(path))
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(DatabaseError):
        open_writer(SqliteFile(path))


def test_the_connection_string_is_in_no_error(postgres_server: str) -> None:
    secret = "hunter2canary"
    for dsn in (f"host=/nowhere user=u password={secret}", f"nonsense {secret}", f"postgresql://{secret}:[/"):
        location = PostgresServer(dsn)
        problem = refused(lambda location=location: open_writer(location))  # type: ignore[misc]
        assert isinstance(problem, Malformed | Unavailable)
        assert secret not in f"{problem} {problem.remedy} {problem.__cause__} {location!r}"
