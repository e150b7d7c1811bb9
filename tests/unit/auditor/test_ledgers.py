"""What a hub could do to the ledgers, and what an audit of its log says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from auditor.app import Options, verify_source
from auditor.findings import Check
from auditor.report import Report
from engine.duckdb_engine import DuckDbEngine
from privacy import codec, merkle
from privacy.claims import ratio
from protos.epochs import Epoch
from protos.problems import Problem
from protos.v1 import books_pb2
from protos.v1.programme_pb2 import ACCOUNT_CHANGE_KIND_PROVE
from tests.simulated_ledgers import SimulatedLedgers
from tests.simulator import EPOCH, ISSUED_AT, enrolled, pseudonym
from tests.unit.accounting.programmes.programmes import coupon, programme
from tests.unit.auditor.city import audited, found, parts
from tests.unit.hub.operations import cancel, confirm, deposit, gift, reserve

NEXT = Epoch(202101)
RULES = programme(
    first_epoch=int(EPOCH),
    earn={"base": {"names": {"en": "All", "zh": "全部"}, "ratio": [1, 1]}},
    gifts={"epoch_points_max": 1_000_000},
    rewards={"bus": coupon(cost_points=10, quantity_max=50)},
)


@pytest.fixture
def ledgers(tmp_path: Path) -> Iterator[SimulatedLedgers]:
    """A federation with one closed epoch, a programme, money, and an account that may spend."""
    with DuckDbEngine(threads=1) as engine:
        federation = enrolled(**parts())
        federation.publish_policy(federation.policy_message(version=2, reserve_z=ratio(Fraction(1, 1_000))))
        federation.publish_programme(RULES.canonical_bytes())
        for one in federation.enterprises:
            federation.release(one.id)
        made = SimulatedLedgers(federation, engine, tmp_path / "honest")
        made.close()
        account = made.richest("P:city")
        person = next(one for one in range(20) if federation.linked[pseudonym(one)][0] == account)
        ticket = federation.ticket("bike-share" if person < 12 else "retailer", person, "prove")
        federation.change(ACCOUNT_CHANGE_KIND_PROVE, account, ticket, effective=NEXT)
        made.operate(deposit(1))
        yield made


def released(ledgers: SimulatedLedgers) -> None:
    for one in ledgers.federation.enterprises:
        ledgers.federation.release(one.id, NEXT)


def on_ledgers(report: Report) -> list[str]:
    return [place for check, place in found(report) if check == Check.LEDGERS.value]


def test_honest_ledgers_give_no_finding(ledgers: SimulatedLedgers, tmp_path: Path) -> None:
    account = ledgers.richest("P:city")
    other = min({one for one, _ in ledgers.federation.linked.values()} - {account})
    ledgers.operate(reserve(2, account, quantity=3), confirm(3, 2), reserve(4, account))
    ledgers.operate(cancel(5, 4), gift(6, account, other, 5))
    released(ledgers)
    ledgers.close(NEXT)
    report = audited(ledgers.federation, tmp_path)
    assert found(report) == []
    assert report.results[Check.LEDGERS].examined > 6
    assert report.results[Check.LEDGERS].unchecked == []


def test_an_audit_that_was_kept_goes_on_with_the_ledgers(ledgers: SimulatedLedgers, tmp_path: Path) -> None:
    state = Options(state=tmp_path / "state")
    trust_root = ledgers.federation.write_bundle(tmp_path / "first")
    assert on_ledgers(verify_source(str(tmp_path / "first"), trust_root, None, state)) == []
    ledgers.operate(reserve(2, ledgers.richest("P:city")))
    released(ledgers)
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


@pytest.mark.parametrize("change", [off_by_one, another_root, another_system_root, ledger_left_out])
def test_a_close_with_another_figure_is_found(
    ledgers: SimulatedLedgers, tmp_path: Path, change: Callable[[books_pb2.EpochClose], None]
) -> None:
    released(ledgers)
    ledgers.close(NEXT, change)
    assert on_ledgers(audited(ledgers.federation, tmp_path)) != []


def test_a_wallet_of_one_more_in_the_hubs_books_is_found(ledgers: SimulatedLedgers, tmp_path: Path) -> None:
    """The hub credits one gram that no operation moved; root and all are those of its false books."""
    account = ledgers.richest()
    place = ("R", account)
    there = ledgers.books._found(*place)
    grown = there.wallet.__class__(there.wallet.available + 1_000)
    ledgers.books.wallets[place] = there._replace(wallet=grown)
    ledgers.books.changed.add(place)
    released(ledgers)
    ledgers.close(NEXT)
    assert on_ledgers(audited(ledgers.federation, tmp_path)) != []


def test_a_journalled_operation_that_the_rules_refuse_is_found(
    ledgers: SimulatedLedgers, tmp_path: Path
) -> None:
    unproved = min({one for one, _ in ledgers.federation.linked.values()} - {ledgers.richest("P:city")})
    operation = reserve(2, unproved)
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
    operations = [reserve(2, account), confirm(3, 2)]
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
