"""What a hub could do to the ledgers, and what an audit of its log says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from auditor.app import Options, verify_source
from auditor.findings import Check
from auditor.report import Report
from engine.duckdb_engine import DuckDbEngine
from privacy import codec, merkle
from protos.problems import Problem
from protos.v1 import books_pb2, ledger_pb2
from tests.simulated_ledgers import SimulatedLedgers
from tests.simulator import ISSUED_AT, enrolled
from tests.unit.auditor.city import audited, found, parts
from tests.unit.auditor.funded import NEXT, funded, release_next
from tests.unit.hub.operations import asked, cancel, confirm, deposit, gift, reserve


@pytest.fixture
def ledgers(tmp_path: Path) -> Iterator[SimulatedLedgers]:
    """A federation with one closed epoch, a programme, money, and an account that may spend."""
    with DuckDbEngine(threads=1) as engine:
        yield funded(enrolled(**parts()), engine, tmp_path / "honest")


def on_ledgers(report: Report) -> list[str]:
    return [place for check, place in found(report) if check == Check.LEDGERS.value]


def test_honest_ledgers_give_no_finding(ledgers: SimulatedLedgers, tmp_path: Path) -> None:
    account = ledgers.richest("P:city")
    other = min({one for one, _ in ledgers.federation.linked.values()} - {account})
    ledgers.operate(
        asked(ledgers.federation, reserve(2, account, quantity=3)),
        confirm(3, 2),
        asked(ledgers.federation, reserve(4, account)),
    )
    ledgers.operate(cancel(5, 4), asked(ledgers.federation, gift(6, account, other, 5)))
    release_next(ledgers.federation)
    ledgers.close(NEXT)
    report = audited(ledgers.federation, tmp_path)
    assert found(report) == []
    assert report.results[Check.LEDGERS].examined > 6
    assert report.results[Check.LEDGERS].unchecked == []


def test_an_audit_that_was_kept_goes_on_with_the_ledgers(ledgers: SimulatedLedgers, tmp_path: Path) -> None:
    state = Options(state=tmp_path / "state")
    trust_root = ledgers.federation.write_bundle(tmp_path / "first")
    assert on_ledgers(verify_source(str(tmp_path / "first"), trust_root, None, state)) == []
    ledgers.operate(asked(ledgers.federation, reserve(2, ledgers.richest("P:city"))))
    release_next(ledgers.federation)
    ledgers.close(NEXT)
    trust_root = ledgers.federation.write_bundle(tmp_path / "second")
    report = verify_source(str(tmp_path / "second"), trust_root, None, state)
    assert on_ledgers(report) == []
    assert report.results[Check.LEDGERS].examined > 3


def off_by_one(message: books_pb2.EpochClose) -> None:
    message.ledgers[0].credited += 1


def another_root(message: books_pb2.EpochClose) -> None:
    message.ledgers[0].root = merkle.EMPTY_ROOT


def another_system_root(message: books_pb2.EpochClose) -> None:
    message.system_accounts_root = merkle.EMPTY_ROOT


def ledger_left_out(message: books_pb2.EpochClose) -> None:
    del message.ledgers[0]


def another_measure(message: books_pb2.EpochClose) -> None:
    message.sources[0].measure_id = "another"


def another_vintage(message: books_pb2.EpochClose) -> None:
    message.sources[-1].epoch = 202011


def moved_between_enterprises(message: books_pb2.EpochClose) -> None:
    message.sources[0].milligrams += 1_000
    message.sources[-1].milligrams -= 1_000


CHANGES = [
    off_by_one,
    another_root,
    another_system_root,
    ledger_left_out,
    another_measure,
    another_vintage,
    moved_between_enterprises,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_close_with_another_figure_is_found(
    ledgers: SimulatedLedgers, tmp_path: Path, change: Callable[[books_pb2.EpochClose], None]
) -> None:
    release_next(ledgers.federation)
    ledgers.close(NEXT, change)
    assert on_ledgers(audited(ledgers.federation, tmp_path)) != []


def test_a_wallet_of_one_more_in_the_hubs_books_is_found(ledgers: SimulatedLedgers, tmp_path: Path) -> None:
    """The hub moves one gram that no operation moved; root and all are those of its false books."""
    rich = ledgers.richest()
    holders = {account for account, _ in ledgers.federation.linked.values()} - {rich}
    poor = next(one for one in sorted(holders) if ledgers.books.wallet("R", one).available)
    for account, amount in ((rich, -1_000), (poor, 1_000)):
        there = ledgers.books._found("R", account)
        moved = replace(there.wallet, available=there.wallet.available + amount)
        ledgers.books.wallets["R", account] = there._replace(wallet=moved)
        ledgers.books.changed.add(("R", account))
    release_next(ledgers.federation)
    ledgers.close(NEXT)
    assert on_ledgers(audited(ledgers.federation, tmp_path)) != []


def test_a_journalled_operation_that_the_rules_refuse_is_found(
    ledgers: SimulatedLedgers, tmp_path: Path
) -> None:
    unproved = min({one for one, _ in ledgers.federation.linked.values()} - {ledgers.richest("P:city")})
    operation = asked(ledgers.federation, reserve(2, unproved))
    operation.at = ISSUED_AT
    with pytest.raises(Problem):
        ledgers.books.take(operation)
    ledgers.journal([codec.encode(operation)])
    report = audited(ledgers.federation, tmp_path)
    last = len(ledgers.federation.entries) - 1
    assert on_ledgers(report) == [f"entry {last}, operation 1"]
    assert "CONTROL_NOT_PROVED" in report.results[Check.LEDGERS].findings[0].reason


def test_swapped_and_repeated_operations_are_found(ledgers: SimulatedLedgers, tmp_path: Path) -> None:
    account = ledgers.richest("P:city")
    operations = [asked(ledgers.federation, reserve(2, account)), confirm(3, 2)]
    for one in operations:
        one.at = ISSUED_AT
    ledgers.journal([codec.encode(one) for one in reversed(operations)])
    ledgers.journal([codec.encode(operations[0])])
    last = len(ledgers.federation.entries) - 1
    assert on_ledgers(audited(ledgers.federation, tmp_path)) == [
        f"entry {last - 1}, operation 1",
        f"entry {last}, operation 3",
    ]


def test_a_gap_between_segments_does_not_stand_in_the_log(ledgers: SimulatedLedgers) -> None:
    operation = deposit(9)
    with pytest.raises(Problem, match="1 is next"):
        ledgers.journal([codec.encode(operation)], first=2)


def tampered(operation: ledger_pb2.Operation, at: int) -> ledger_pb2.Operation:
    """Change one byte of a reserve's ticket."""
    changed = ledger_pb2.Operation()
    changed.CopyFrom(operation)
    data = operation.reserve.ticket
    changed.reserve.ticket = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    return changed


def test_a_reserve_nobody_asked_for_is_found(ledgers: SimulatedLedgers, tmp_path: Path) -> None:
    """Without a ticket, with one of another order, of another time, of another purpose: each by its place."""
    account = ledgers.richest("P:city")
    asked_for = partial(asked, ledgers.federation)
    reused = reserve(3, account)
    reused.reserve.ticket = asked_for(reserve(2, account)).reserve.ticket
    operations = [
        reserve(2, account),
        reused,
        asked_for(reserve(4, account), issued_at=ISSUED_AT - 601),
        asked_for(reserve(5, account), purpose="view"),
        tampered(asked_for(reserve(6, account)), 100),
        gift(7, account, min({one for one, _ in ledgers.federation.linked.values()} - {account}), 5),
    ]
    for one in operations:
        one.at = ISSUED_AT
    ledgers.journal([codec.encode(one) for one in operations])
    last = len(ledgers.federation.entries) - 1
    assert on_ledgers(audited(ledgers.federation, tmp_path)) == [
        f"entry {last}, operation {number}" for number in range(1, 7)
    ]
