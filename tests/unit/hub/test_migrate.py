"""Revisions lead to the tables as they stand, on each store, and what was stored survives."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy.exc import DBAPIError

from hub.store import books, entries
from hub.store.books import Balance
from hub.store.database import create_database, current_revision, open_writer
from hub.store.dialects import connect_writer
from hub.store.entries import StoredEntry, TreeHead
from hub.store.ledger_schema import credit
from hub.store.location import Location
from hub.store.migrate import migrate, upgrade
from hub.store.schema import REVISION, revision, setting
from protos.problems import Malformed
from tests.unit.hub.stores import gathered
from tests.unit.hub.world import refused

BALANCES = [Balance(bytes([number]) * 16, -number, 1 << 100, 2, 202012) for number in range(3)]
STORED = StoredEntry(0, b"envelope", bytes(32), "pack", "", 0, 1, b"receipt")
# What a PostgreSQL database is made of.
DESCRIBED = """
with here as (select * from pg_class where relnamespace = current_schema()::regnamespace)
select 'column', table_name, column_name, data_type || ' ' || is_nullable from information_schema.columns
  where table_schema = current_schema()
union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
  from pg_constraint where connamespace = current_schema()::regnamespace
union all select 'index', tablename, indexname, indexdef from pg_indexes where schemaname = current_schema()
union all select 'trigger', relname, tgname, pg_get_triggerdef(t.oid)
  from pg_trigger t join here on here.oid = tgrelid
union all select 'function', '', proname, prosrc from pg_proc
  where pronamespace = current_schema()::regnamespace
union all select 'partition', inhparent::regclass::text, relname, ''
  from pg_inherits join here on here.oid = inhrelid
union all select 'rights', relname, '', relacl::text from here where relacl is not null
"""

PARTITIONS = "select relname from pg_inherits join pg_class on oid = inhrelid where inhparent ="


def described(connection: Connection) -> set[tuple[str, ...]]:
    """Say everything a database is made of."""
    names = r"\s+"
    if connection.dialect.name == "sqlite":
        query = "select type, tbl_name, name, sql from sqlite_master where sql is not null"
    else:
        query = DESCRIBED
        # Schema and role have one name here, another in each database.
        names += f"|{connection.scalar(text('select current_user'))}"
    return {
        tuple(re.sub(names, " ", str(part)) for part in row)
        for row in connection.exec_driver_sql(query)
        if "alembic_version" not in row
    }


# All revisions but the first.
LATER = [f"{number:04d}" for number in range(2, int(REVISION) + 1)]


@pytest.fixture
def first(location: Location) -> Iterator[Location]:
    """A database of the first form, with an entry in it."""
    engine = connect_writer(location)
    with engine.begin() as connection:
        upgrade(connection, "0001")
        revision.drop(connection)
        connection.execute(insert(setting).values(name="schema", value="1"))
        entries.add_entry(connection, STORED, [(b"body", False)])
        entries.set_tree_head(connection, TreeHead(1, bytes(32)))
        books.replace_balances(connection, gathered(BALANCES, 202012))
    engine.dispose()
    yield location


def closing(engine: Engine) -> set[tuple[str, ...]]:
    with engine.begin() as connection:
        found = described(connection)
    engine.dispose()
    return found


def test_all_revisions_make_the_tables_as_they_stand(first: Location, twin: Location) -> None:
    migrate(first, dry_run=False)
    create_database(twin)
    assert closing(open_writer(first)) == closing(open_writer(twin))


def test_what_was_stored_survives(first: Location) -> None:
    done = migrate(first, dry_run=False)
    assert (done.before, done.after, done.kept) == ("0001", REVISION, True)
    assert [step.split()[0] for step in done.steps] == LATER
    engine = open_writer(first)
    with engine.begin() as connection:
        assert entries.read_entry(connection, 0) == STORED
        assert entries.tree_head(connection) == TreeHead(1, bytes(32))
        assert list(books.walk_balances(connection)) == BALANCES
        assert books.read_balance(connection, BALANCES[1].account) == BALANCES[1]
        assert connection.scalar(text("select count(*) from setting")) == 0
    engine.dispose()
    assert migrate(first, dry_run=False).steps == ()


def test_credits_keep_their_rows_as_they_become_partitions_of_epochs(location: Location) -> None:
    rows = [(epoch, "R", bytes([at]) * 16, at, 0, 1) for epoch in (202012, 202101) for at in range(40)]
    engine = connect_writer(location)
    with engine.begin() as connection:
        upgrade(connection, "0012")
        connection.execute(insert(credit), [dict(zip(credit.c.keys(), row, strict=True)) for row in rows])
    engine.dispose()
    assert [step.split()[0] for step in migrate(location, dry_run=False).steps] == ["0013"]
    engine = open_writer(location)
    with engine.begin() as connection:
        found = connection.execute(select(credit).order_by(*credit.primary_key))
        assert [tuple(row) for row in found] == rows
        if connection.dialect.name == "postgresql":
            parts = connection.scalars(text(f"{PARTITIONS} 'credit'::regclass order by relname")).all()
            assert parts == ["credit_202012", "credit_202101"]
    for statement in ("update credit set delta = 0", "delete from credit where epoch = 202012"):
        with pytest.raises(DBAPIError, match=r"append-only|permission denied"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()


def test_a_dry_run_tries_all_and_changes_nothing(first: Location) -> None:
    before = closing(connect_writer(first))
    done = migrate(first, dry_run=True)
    assert (len(done.steps), done.kept) == (len(LATER), False)
    assert closing(connect_writer(first)) == before


def test_opening_an_older_database_says_to_migrate(first: Location) -> None:
    problem = refused(lambda: open_writer(first))
    assert "cgsp-hub migrate" in problem.remedy
    engine = connect_writer(first)
    with engine.begin() as connection:
        assert current_revision(connection) == "0001"
    engine.dispose()


def test_a_newer_or_an_empty_database_is_refused(location: Location) -> None:
    assert isinstance(refused(lambda: migrate(location, dry_run=False)), Malformed)
    create_database(location)
    engine = open_writer(location)
    with engine.begin() as connection:
        connection.execute(revision.update().values(version_num="9999"))
    engine.dispose()
    assert "newer" in refused(lambda: migrate(location, dry_run=False)).message
