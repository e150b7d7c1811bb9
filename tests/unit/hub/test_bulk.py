"""Many rows as columns: what is loaded is there on each store, and a load cut off goes on where it was."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Mapping

import numpy as np
import psycopg
import pytest
from sqlalchemy import Engine, select

from hub.store import books, bulk, wallets
from hub.store.books import Balance
from hub.store.bulk import Column
from hub.store.database import create_database, open_writer
from hub.store.ledger_schema import credit
from hub.store.location import Location
from hub.store.wallets import StoredCredit, load_credits
from protos.epochs import Epoch
from tests.unit.hub.stores import gathered

EPOCH = Epoch(202012)
EDGES = (0, 1, -1, (1 << 63) - 1, -(1 << 63), 256, -256)
# A NUL at an end is a byte like any other.
ACCOUNTS = sorted(
    {bytes(16), b"\0" * 15 + b"a", b"a" + b"\0" * 15, b"\xff" * 16, *map(secrets.token_bytes, [16] * 60)}
)


@pytest.fixture
def writer(location: Location) -> Iterator[Engine]:
    create_database(location)
    engine = open_writer(location)
    yield engine
    engine.dispose()


def columns(delta: int = 0) -> Mapping[str, Column]:
    figures = [EDGES[at % len(EDGES)] for at in range(len(ACCOUNTS))]
    return {
        "account": np.array(ACCOUNTS, dtype=object),
        "delta": np.array(figures, dtype=np.int64),
        "capped": np.array([delta] * len(ACCOUNTS), dtype=np.int64),
        "variance": np.arange(len(ACCOUNTS), dtype=np.int64),
    }


def stored(engine: Engine) -> list[tuple[object, ...]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.execute(select(credit).order_by(*credit.primary_key))]


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_what_is_loaded_is_there(writer: Engine, rows: int) -> None:
    with writer.begin() as connection:
        assert load_credits(connection, EPOCH, {"R": bulk.cut(columns(), rows)}) == len(ACCOUNTS)
    expected = [(EPOCH, "R", account, EDGES[at % len(EDGES)], 0, at) for at, account in enumerate(ACCOUNTS)]
    assert stored(writer) == expected


@pytest.mark.parametrize("kept", [0, 1, 3, 9, 10])
def test_a_load_cut_off_goes_on_where_it_was(writer: Engine, kept: int) -> None:
    batches = list(bulk.cut(columns(), 7))
    for batch in batches[:kept]:
        with writer.begin() as connection:
            load_credits(connection, EPOCH, {"P:x": [batch]})
    with writer.begin() as connection:
        added = load_credits(connection, EPOCH, {"P:x": batches})
    assert added == max(0, len(ACCOUNTS) - 7 * kept)
    assert len(stored(writer)) == len(ACCOUNTS)
    with writer.begin() as connection:
        assert load_credits(connection, EPOCH, {"P:x": batches}) == 0


def test_a_load_that_fails_leaves_nothing(writer: Engine) -> None:
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)), writer.begin() as connection:
        load_credits(connection, EPOCH, {"R": [columns(), columns(-1)]})
    assert stored(writer) == []


def test_one_wallets_credits_come_in_the_order_of_epochs(writer: Engine) -> None:
    epochs = [Epoch(202012), Epoch(202101), Epoch(202102)]
    with writer.begin() as connection:
        for epoch in epochs:
            load_credits(connection, epoch, {"R": bulk.cut(columns(), 1000), "P:x": [columns(5)]})
        keys = {("R", ACCOUNTS[1]), ("P:x", ACCOUNTS[2]), ("R", b"nobody" + bytes(10))}
        found = wallets.read_credits(connection, keys, epochs[1:])
    assert found == {
        ("R", ACCOUNTS[1]): [StoredCredit(epoch, 1, 0, 1) for epoch in epochs[1:]],
        ("P:x", ACCOUNTS[2]): [StoredCredit(epoch, -1, 5, 2) for epoch in epochs[1:]],
    }


def test_balances_are_swapped_for_newer_ones(writer: Engine) -> None:
    older = [Balance(account, -5, (1 << 100) + 1, 2, EPOCH) for account in ACCOUNTS]
    newer = [Balance(account, at, at, 1, 202101) for at, account in enumerate(ACCOUNTS[5:])]
    with writer.begin() as connection:
        books.replace_balances(connection, gathered(older, EPOCH))
        assert list(books.walk_balances(connection)) == older
        books.replace_balances(connection, gathered(newer, 202101))
        assert list(books.walk_balances(connection)) == newer
        books.replace_balances(connection, gathered([], EPOCH))
        assert books.count_accounts(connection) == 0


def test_balances_are_walked_as_they_were_added() -> None:
    rows = [Balance(account, -at, (1 << 127) + at, at, EPOCH) for at, account in enumerate(ACCOUNTS)]
    assert list(gathered(rows, EPOCH)) == rows
    assert len(gathered(rows, EPOCH)) == len(rows)
