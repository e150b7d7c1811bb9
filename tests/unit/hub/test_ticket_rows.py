"""Tickets taken are kept alike on both stores: each once, the newest first, and gone with whose they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from hub.store.database import create_database, open_writer
from hub.store.location import Location
from hub.store.tickets import (
    TakenTicket,
    add_tickets,
    find_index,
    forget_looks,
    is_taken,
    read_tickets,
    remove_tickets,
)

ANNA, BERT = bytes(16), bytes([1]) * 16
ACCOUNT, OTHER = bytes([2]) * 16, bytes([3]) * 16


@pytest.fixture
def connection(location: Location) -> Iterator[Connection]:
    create_database(location)
    engine = open_writer(location)
    with engine.begin() as found:
        yield found
    engine.dispose()


def taken(
    number: int, *, pseudonym: bytes = ANNA, account: bytes = ACCOUNT, index: int | None
) -> TakenTicket:
    name = bytes([number])
    return TakenTicket(name * 32, "bank", name * 16, pseudonym, "view", account, 1_000 + number, index)


def test_a_nonce_is_taken_once_and_an_entry_found_by_its_ticket(connection: Connection) -> None:
    add_tickets(connection, [])
    add_tickets(connection, [taken(1, index=7), taken(2, index=None)])
    add_tickets(connection, [taken(1, index=8)])
    assert (find_index(connection, bytes([1]) * 32), find_index(connection, bytes([2]) * 32)) == (7, None)
    assert is_taken(connection, "bank", bytes([2]) * 16)
    assert not is_taken(connection, "shop", bytes([2]) * 16)


def test_an_account_lists_its_own_the_newest_first(connection: Connection) -> None:
    mine = [taken(number, index=number) for number in (1, 2, 3)]
    add_tickets(connection, [*mine, taken(4, account=OTHER, index=4)])
    assert read_tickets(connection, [ACCOUNT], 2) == [mine[2], mine[1]]
    assert len(read_tickets(connection, [ACCOUNT, OTHER], 10)) == 4


def test_looks_are_forgotten_and_persons_erased_but_nothing_else(connection: Connection) -> None:
    rows = [taken(1, index=None), taken(2, index=5), taken(3, pseudonym=BERT, index=None)]
    add_tickets(connection, rows)
    forget_looks(connection, before=1_002)
    assert read_tickets(connection, [ACCOUNT], 10) == [rows[2], rows[1]]
    remove_tickets(connection, [ANNA])
    assert read_tickets(connection, [ACCOUNT], 10) == [rows[2]]
