"""What each close credits is a partition of its own: nobody changes it, reads open no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.exc import DBAPIError

from hub.store import wallets
from hub.store.bulk import Column
from hub.store.database import create_database, open_readers, open_writer
from hub.store.dump import read_rows, write_rows
from hub.store.ledger_schema import credit
from hub.store.location import PostgresServer
from hub.store.partitions import has_partition, make_partitions, partition_of
from hub.store.wallets import StoredCredit, load_credits
from protos.epochs import Epoch, next_epoch
from tests.unit.hub.stores import fresh_schema

ACCOUNTS = [bytes([at]) * 16 for at in range(50)]
EPOCH = Epoch(202012)
LOCKED = (
    "select relname from pg_locks join pg_class on pg_class.oid = relation "
    "where pid = pg_backend_pid() and relname like 'credit%' and relkind = 'r'"
)


class Cut(Exception):
    """A load is cut off."""


@pytest.fixture
def server(postgres_server: str) -> Iterator[PostgresServer]:
    with fresh_schema(postgres_server) as made:
        create_database(made)
        yield made


@pytest.fixture
def writer(server: PostgresServer) -> Iterator[Engine]:
    engine = open_writer(server)
    yield engine
    engine.dispose()


@pytest.fixture
def readers(server: PostgresServer) -> Iterator[Engine]:
    engine = open_readers(server)
    yield engine
    engine.dispose()


def batches(delta: int = 1) -> list[dict[str, Column]]:
    zeros = np.zeros(len(ACCOUNTS), dtype=np.int64)
    return [
        {
            "account": np.array(ACCOUNTS, dtype=object),
            "delta": zeros + delta,
            "capped": zeros,
            "variance": zeros,
        }
    ]


def epochs(count: int) -> list[Epoch]:
    found = [EPOCH]
    while len(found) < count:
        found.append(next_epoch(found[-1]))
    return found


def close(engine: Engine, count: int) -> list[Epoch]:
    closed = epochs(count)
    for epoch in closed:
        with engine.begin() as connection:
            load_credits(connection, epoch, {"R": batches(epoch), "P:x": batches()})
    return closed


def stored(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.execute(select(credit).order_by(*credit.primary_key))]


@pytest.mark.parametrize("is_filled", [True, False])
@pytest.mark.parametrize("verb", ["update", "delete", "truncate"])
def test_no_partition_lets_its_rows_be_changed(writer: Engine, verb: str, is_filled: bool) -> None:
    name = partition_of("credit", EPOCH)
    with writer.begin() as connection:
        if not is_filled:
            make_partitions(connection, "credit", [EPOCH])
        load_credits(connection, EPOCH, {"R": batches()})
    before = stored(writer)
    for table in ("credit", name):
        statements = {
            "update": f"update {table} set delta = 5",
            "delete": f"delete from {table}",
            "truncate": f"truncate {table}",
        }
        with pytest.raises(DBAPIError, match="permission denied"), writer.begin() as connection:
            connection.execute(text(statements[verb]))
        # Who owns a table may give the right back: the triggers refuse all the same.
        with pytest.raises(DBAPIError, match="append-only"), writer.begin() as connection:
            connection.execute(text(f"grant {verb} on credit, {name} to current_user"))
            connection.execute(text(statements[verb]))
    assert stored(writer) == before


def test_a_close_cut_off_at_any_step_leaves_nothing_and_is_done_again(writer: Engine) -> None:
    steps = 0
    while True:
        left = [steps]

        def cut(*_: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Cut

        event.listen(writer, "before_cursor_execute", cut)
        try:
            with writer.begin() as connection:
                load_credits(connection, EPOCH, {"R": batches()})
            break
        except Cut:
            steps += 1
        finally:
            event.remove(writer, "before_cursor_execute", cut)
        assert stored(writer) == []
        with writer.begin() as connection:
            assert not has_partition(connection, "credit", EPOCH)
    # Looked up, made, key, trigger, rights, joined, and what proved where it belongs taken away.
    assert steps >= 7
    assert [row[2] for row in stored(writer)] == ACCOUNTS
    with writer.begin() as connection:
        assert load_credits(connection, EPOCH, {"R": batches()}) == 0


def test_a_load_whose_rows_end_early_leaves_nothing(writer: Engine) -> None:
    def failing() -> Iterator[dict[str, Column]]:
        yield from batches()
        raise Cut

    with pytest.raises(Cut), writer.begin() as connection:
        load_credits(connection, EPOCH, {"R": failing()})
    with writer.begin() as connection:
        assert not has_partition(connection, "credit", EPOCH)


def test_a_reading_goes_on_beside_a_close_and_sees_one_state(writer: Engine, readers: Engine) -> None:
    count = text("select count(*) from credit")
    close(writer, 1)
    with readers.begin() as reading:
        assert reading.scalar(count) == 2 * len(ACCOUNTS)
        with writer.begin() as connection:
            # Whoever waits here waits for the reading, which goes on for as long as it likes.
            connection.execute(text("set local lock_timeout = '5s'"))
            load_credits(connection, next_epoch(EPOCH), {"R": batches()})
            assert reading.scalar(count) == 2 * len(ACCOUNTS)
        assert reading.scalar(count) == 2 * len(ACCOUNTS)
    with readers.begin() as reading:
        assert reading.scalar(count) == 3 * len(ACCOUNTS)


def test_a_partition_joins_without_its_rows_being_read_again(writer: Engine) -> None:
    told: list[str] = []
    with writer.begin() as connection:
        driver: Any = connection.connection.driver_connection
        driver.add_notice_handler(lambda one: told.append(one.message_primary))
        connection.execute(text("set local client_min_messages = debug1"))
        load_credits(connection, EPOCH, {"R": batches()})
    assert any("implied by existing constraints" in one for one in told)


def test_a_partition_is_as_if_the_table_had_made_it(writer: Engine) -> None:
    """What differs would show in a copy that is restored, or in the next migration."""
    later = next_epoch(EPOCH)
    with writer.begin() as connection:
        load_credits(connection, EPOCH, {"R": batches()})
        make_partitions(connection, "credit", [later])
        filled, made = (_described(connection, partition_of("credit", one)) for one in (EPOCH, later))
    assert {part.replace(str(EPOCH), str(later)) for part in filled} == made


def _described(connection: Connection, name: str) -> set[str]:
    queries = (
        "select conname || pg_get_constraintdef(oid) from pg_constraint where conrelid = '{}'::regclass",
        "select indexdef from pg_indexes where tablename = '{}' and schemaname = current_schema()",
        "select pg_get_triggerdef(oid) from pg_trigger where tgrelid = '{}'::regclass",
        "select relacl::text from pg_class where oid = '{}'::regclass",
        "select attname || attnotnull || attcollation || atttypid from pg_attribute "
        "where attrelid = '{}'::regclass and attnum > 0",
    )
    return {one for query in queries for one in connection.scalars(text(query.format(name)))}


def test_a_wallets_step_reads_the_epochs_it_needs_and_no_other(writer: Engine) -> None:
    """A server locks what a statement may read; asked often, as its plan may become one for all values."""
    closed = close(writer, 24)
    needed = closed[-3:-1]
    with writer.connect() as connection:
        for at in range(20):
            keys = {("R", ACCOUNTS[at]), ("R", ACCOUNTS[at + 1])}
            with connection.begin():
                found = wallets.read_credits(connection, keys, needed)
                locked = set(connection.scalars(text(LOCKED)))
            assert found == {key: [StoredCredit(one, one, 0, 0) for one in needed] for key in keys}
            assert locked == {partition_of("credit", one) for one in needed}


def test_a_past_closes_credits_are_read_from_its_own_partition(writer: Engine) -> None:
    closed = close(writer, 12)
    with writer.begin() as connection:
        assert [row[0] for row in wallets.all_credits(connection, "P:x", closed[5])] == ACCOUNTS
        assert list(connection.scalars(text(LOCKED))) == [partition_of("credit", closed[5])]


def test_rows_of_many_epochs_restore_from_a_file(
    writer: Engine, postgres_server: str, tmp_path: Path
) -> None:
    close(writer, 3)
    with writer.begin() as connection:
        dumped = write_rows(connection, credit, tmp_path / "first")
    with fresh_schema(postgres_server) as server:
        create_database(server)
        other = open_writer(server)
        with other.begin() as connection:
            read_rows(connection, "credit", dumped, tmp_path / "first")
            assert write_rows(connection, credit, tmp_path / "second") == dumped
        assert stored(other) == stored(writer)
        other.dispose()
