"""What operations write is read back as it was, on each store; what has a key is replaced or kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from accounting.ledger import chart
from accounting.ledger.books import Outcome, Received, Reservation, ReservationState
from accounting.ledger.transfers import Balance, Code, Transfer
from hub.store import operations, reservations, wallets
from hub.store.database import create_database, open_writer
from hub.store.keyed import read_keyed
from hub.store.ledger_schema import RARE_CODES, transfer
from hub.store.location import Location
from hub.store.operations import StoredOperation
from hub.store.rows import Rows, write
from hub.store.wallets import StoredWallet
from protos.epochs import Epoch
from tests.unit.hub.plans import plan_of

EPOCH = Epoch(202101)
ANNA, BERT = b"a" * 16, b"b" * 16
LARGEST = (1 << 63) - 1
WALLET = StoredWallet(ANNA, "P:x", 5, 4, 3, 0, 0, 20, 6, 0, LARGEST, EPOCH)
RESERVED = Reservation(b"k" * 16, "x", 2, "tree", ANNA, 1, 10, "main", 100, 0, EPOCH, 50)


@pytest.fixture
def writer(location: Location) -> Iterator[Engine]:
    create_database(location)
    engine = open_writer(location)
    yield engine
    engine.dispose()


def performed(seq: int) -> StoredOperation:
    return StoredOperation(
        seq, seq.to_bytes(16, "big"), bytes([seq % 256]) * 32, 100 + seq, b"data", Outcome(seq, LARGEST, 1, 2)
    )


def test_operations_are_found_by_key_and_read_in_order(writer: Engine) -> None:
    rows = [performed(seq) for seq in range(1000)]
    with writer.begin() as connection:
        assert (operations.next_operation(connection), operations.sealed_operations(connection)) == (0, 0)
        write(connection, operations.operation_rows(rows))
        write(connection, operations.operation_rows([]))
        operations.add_segment(connection, 0, 600, 7)
        operations.add_segment(connection, 600, 100, 9)
        assert operations.next_operation(connection) == 1000
        assert operations.sealed_operations(connection) == 700
        assert list(operations.read_operations(connection, 700)) == rows[700:]
        assert list(operations.read_operations(connection, 10, 20)) == rows[10:20]
        found = operations.find_operations(connection, {row.key for row in rows[::2]} | {b"x" * 16})
        assert found == {row.key: row for row in rows[::2]}


def test_a_key_is_used_once(writer: Engine) -> None:
    with writer.begin() as connection:
        write(connection, operations.operation_rows([performed(0)]))
    with pytest.raises(IntegrityError), writer.begin() as connection:
        write(connection, operations.operation_rows([performed(1)._replace(key=performed(0).key)]))


def test_transfers_have_two_sides_and_a_positive_amount(writer: Engine) -> None:
    moved = Transfer(chart.wallet("x", ANNA), chart.pending("P:x", ANNA), 5, Code.RESERVE)
    with writer.begin() as connection:
        write(connection, operations.transfer_rows([(0, 0, moved), (0, 1, moved)], EPOCH))
        write(connection, operations.transfer_rows([], EPOCH))
    with pytest.raises(IntegrityError), writer.begin() as connection:
        connection.exec_driver_sql(
            "insert into transfer (operation, position, ledger, debit, credit, amount, code, epoch) "
            "select operation, 2, ledger, debit, credit, 0, code, epoch from transfer where position = 0"
        )
    with pytest.raises(IntegrityError), writer.begin() as connection:
        connection.exec_driver_sql(
            "insert into transfer (operation, position, ledger, debit, credit, amount, code, epoch) "
            "select operation, 2, ledger, debit, debit, 1, code, epoch from transfer where position = 0"
        )


@pytest.mark.parametrize("code", RARE_CODES)
def test_rare_transfers_are_found_without_a_scan_of_all(writer: Engine, code: Code) -> None:
    codes = [code if seq % 700 == 699 else Code.RESERVE for seq in range(2000)]
    rows = [(seq, 0, "P:x", ANNA, BERT, 5, int(one), EPOCH) for seq, one in enumerate(codes)]
    with writer.begin() as connection:
        write(connection, operations.operation_rows(performed(seq) for seq in range(2000)))
        write(connection, Rows(transfer, rows))
        for read in (operations.operations_moving, operations.numbered_moving):
            assert len(read(connection, code)) == 2
            plan = plan_of(connection, partial(read, connection, code))
            assert "transfer_by_rare_code" in plan
            assert "Seq Scan on transfer" not in plan
        assert [one.seq for one in operations.numbered_moving(connection, code, 1000)] == [1399]


def test_wallets_are_replaced_by_key_and_never_below_zero(writer: Engine) -> None:
    other, newer = replace(WALLET, account=BERT), replace(WALLET, available=0, claimable=0, deficit=9)
    keys = {("P:x", ANNA), ("P:x", BERT), ("R", ANNA)}
    with writer.begin() as connection:
        wallets.put_wallets(connection, [WALLET, other])
        wallets.put_wallets(connection, [newer])
        wallets.put_wallets(connection, [])
        rows = read_keyed(connection, wallets.wallet_lookup({account for _, account in keys}))[0]
        found = wallets.keyed_wallets(rows)
        assert found == {("P:x", ANNA): newer, ("P:x", BERT): other}
    for wrong in (replace(WALLET, available=-1), replace(WALLET, deficit=1)):
        with pytest.raises(IntegrityError), writer.begin() as connection:
            wallets.put_wallets(connection, [wrong])


def test_points_received_come_in_the_order_of_operations(writer: Engine) -> None:
    first, second = Received("P:x", ANNA, EPOCH, 5), Received("P:x", ANNA, Epoch(202012), 7)
    with writer.begin() as connection:
        write(
            connection,
            operations.received_rows([(3, second), (1, first), (2, Received("P:x", BERT, EPOCH, 1))]),
        )
        assert wallets.read_received(connection, {("P:x", ANNA)}) == {("P:x", ANNA): [first, second]}


def test_counters_and_balances_are_as_they_were_put_last(writer: Engine) -> None:
    fund, paid = chart.fund("x", "main"), chart.paid("shop")
    with writer.begin() as connection:
        write(connection, reservations.count_rows({"stock:x:tree": 1, "spent:x:main": LARGEST}))
        write(connection, reservations.count_rows({"stock:x:tree": 2}))
        found = reservations.read_counts(connection, {"stock:x:tree", "spent:x:main", "never"})
        assert found == {"stock:x:tree": 2, "spent:x:main": LARGEST}
        reservations.put_balances(connection, {fund: Balance(1, 2), paid: Balance(0, 3)})
        reservations.put_balances(connection, {fund: Balance(1, LARGEST)})
        walked = dict(reservations.walk_balances(connection))
        assert walked == {fund: Balance(1, LARGEST), paid: Balance(0, 3)}


def test_reservations_lapse_in_the_order_of_their_time(writer: Engine) -> None:
    later = replace(RESERVED, key=b"l" * 16, expires_at=60)
    done = replace(RESERVED, key=b"d" * 16, state=ReservationState.CONFIRMED)
    with writer.begin() as connection:
        write(
            connection,
            reservations.reservation_rows([later, RESERVED, replace(done, state=ReservationState.RESERVED)]),
        )
        write(connection, reservations.reservation_rows([done]))
        assert reservations.lapsing_reservations(connection, 60, 10) == [RESERVED, later]
        assert reservations.lapsing_reservations(connection, 59, 10) == [RESERVED]
        assert reservations.lapsing_reservations(connection, 60, 1) == [RESERVED]
        found = reservations.read_reservations(connection, [done.key, later.key])
        assert found == {done.key: done, later.key: later}


def test_who_waits_for_money_is_given_in_the_order_of_operations(writer: Engine) -> None:
    rows = [performed(seq)._replace(key=key) for seq, key in enumerate((b"z" * 16, b"y" * 16, b"k" * 16))]
    first, second = (replace(RESERVED, key=one.key, fund="") for one in rows[:2])
    aside = {"other programme": replace(first, key=b"1" * 16, programme="y"), "paid": RESERVED}
    aside |= {"free": replace(first, key=b"2" * 16, fen=0)}
    aside |= {"over": replace(first, key=b"3" * 16, state=ReservationState.LAPSED)}
    with writer.begin() as connection:
        write(
            connection,
            operations.operation_rows(
                [*rows, *(performed(9 + at)._replace(key=bytes([49 + at]) * 16) for at in range(3))]
            ),
        )
        write(connection, reservations.reservation_rows([second, first, *aside.values()]))
        assert reservations.waiting_reservations(connection, "x") == [first, second]


def test_any_text_and_bytes_come_back_as_they_were(writer: Engine) -> None:
    names = {'plain"quote', "back\\slash", "{a,b}", "NULL", "", " 公交 ", "new\nline"}
    odd = replace(RESERVED, key=bytes(range(16)), account=b"\\x\x00\"'{},;\xff\xfe......", fund='"\\", 税')
    with writer.begin() as connection:
        write(connection, reservations.count_rows({name: -at for at, name in enumerate(sorted(names))}))
        write(connection, reservations.reservation_rows([odd]))
        assert reservations.read_counts(connection, names) == {n: -at for at, n in enumerate(sorted(names))}
        assert reservations.read_reservations(connection, [odd.key]) == {odd.key: odd}


def test_lookups_of_many_keys_and_of_none_are_answered_each_for_itself(writer: Engine) -> None:
    rows = [performed(seq) for seq in range(1000)]
    with writer.begin() as connection:
        write(connection, operations.operation_rows(rows))
        write(connection, reservations.count_rows({"stock": 5}))
        asked = (
            operations.operation_lookup([row.key for row in rows]),
            reservations.reservation_lookup([]),
            reservations.count_lookup({"stock", "never"}),
        )
        found, none, counted = read_keyed(connection, *asked)
    assert operations.keyed_operations(found) == {row.key: row for row in rows}
    assert (none, dict(counted)) == ([], {"stock": 5})
