"""Units: issued once from what books hold, sold to the last fen, used within caps, numbered once (I10)."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from accounting.issuance import MG_PER_TONNE, Pooled
from accounting.ledger import chart, units
from accounting.ledger.redeeming import passed
from accounting.serials import serials
from protos.epochs import Epoch
from protos.problems import Conflict, Malformed, Problem, Refused
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_EPOCH_NOT_READY,
    REASON_NOTHING_TO_ISSUE,
    REASON_OFFSET_CAP_EXCEEDED,
    REASON_PROGRAMME_UNKNOWN,
    REASON_UNKNOWN_FIELD_VALUE,
)
from tests.unit.accounting.ledger.unit_books import UnitBooks
from tests.unit.accounting.programmes.programmes import NAMES, programme

POOL = chart.pool("city")
NEW_YEAR = int(datetime.datetime(2025, 12, 31, 16, tzinfo=datetime.UTC).timestamp())
# Three tonnes and a half, and noise of 100 kg: 1.645 standard deviations are 164.5 kg.
POOLED = Pooled(3_500_000, 100_000**2)


def rule_document(**changes: Any) -> dict[str, Any]:
    return {
        "names": NAMES,
        "registry": "phcer",
        "packs": ["bike"],
        "enterprises": ["bike-share"],
        "buffer_bp": 1_000,
        "proceeds_fund": "city",
        "proceeds_split_bp": {"fund": 8_000, "operator": 1_000, "verifier": 1_000},
        "offset": {"obligation_basis_points": 1_000, "year_tonnes_max": 5},
    } | changes


def books(*, pool_mg: int = 10 * MG_PER_TONNE, open_epoch: int = 202507, **changes: Any) -> UnitBooks:
    made = UnitBooks(programme(issue={"credits": rule_document(**changes)}), Epoch(open_epoch))
    made.give(POOL, pool_mg)
    return made


def operation(number: int, **act: Any) -> ledger_pb2.Operation:
    return ledger_pb2.Operation(key=number.to_bytes(16, "big"), at=NEW_YEAR - 1, **act)


def issue(found: UnitBooks, last: int = 202503, pooled: Pooled = POOLED) -> ledger_pb2.IssuedBatch:
    batch = units.batch_message(found, found.offered, "credits", Epoch(last), pooled)
    found.take(operation(len(found.done), issue=batch))
    return batch


def sold(found: UnitBooks, tonnes: int, batch: str, buyer: str = "works", fen: int = 10_007) -> None:
    sale = ledger_pb2.Sell(programme="city", batch=batch, buyer=buyer, tonnes=tonnes, fen=fen)
    found.take(operation(len(found.done), sell=sale))


def retirement(found: UnitBooks, batch: str, **changes: Any) -> ledger_pb2.Operation:
    fields: dict[str, Any] = {
        "buyer": "works",
        "tonnes": 1,
        "purpose": "compliance",
        "obligation_tonnes": 100,
    }
    asked = ledger_pb2.Retire(programme="city", batch=batch, **(fields | changes))
    return operation(len(found.done), retire=asked)


def reason(call: Callable[[], object]) -> int:
    with pytest.raises(Problem) as raised:
        call()
    return raised.value.reason


def test_a_batch_explains_every_tonne() -> None:
    found = books()
    batch = issue(found)
    assert (batch.batch, batch.pool_epoch, batch.first_epoch) == ("city/credits/2025-03", 202501, 202501)
    assert (batch.pooled_grams, batch.deduction_grams) == (3_500_000, 164_500)
    assert (batch.issued_tonnes, batch.buffer_tonnes, batch.first_serial) == (2, 1, 1)
    assert found.of(chart.issued(batch.batch)) == 2 * MG_PER_TONNE
    assert found.of(chart.claims_buffer("city")) == MG_PER_TONNE
    assert found.of(POOL) == 7 * MG_PER_TONNE
    assert found.of(chart.units_hold(batch.batch)) == 2


def test_the_next_batch_takes_off_what_was_issued() -> None:
    found = books()
    issue(found)
    batch = issue(found, 202506, Pooled(7_000_000, 2 * 100_000**2))
    assert (batch.pool_epoch, batch.first_epoch, batch.issued_before_milligrams) == (
        202501,
        202504,
        3 * MG_PER_TONNE,
    )
    assert (batch.issued_tonnes, batch.buffer_tonnes, batch.first_serial) == (2, 1, 4)


def test_grams_whose_title_passed_are_never_issued() -> None:
    found = books()
    found.counts[passed("city")] = MG_PER_TONNE
    assert (issue(found).issued_tonnes, found.made[0].tonnes) == (1, 2)


def test_claims_in_the_pool_bound_what_cells_support() -> None:
    assert issue(books(pool_mg=2 * MG_PER_TONNE + 999)).issued_tonnes == 1


def test_an_epoch_is_issued_from_once_and_after_its_close() -> None:
    found = books()
    issue(found)
    with pytest.raises(Conflict) as again:
        issue(found)
    assert again.value.reason == REASON_ALREADY_EXISTS
    assert reason(lambda: issue(found, 202507)) == REASON_EPOCH_NOT_READY


def test_what_was_pooled_by_a_programme_that_has_ended_is_issued() -> None:
    """Its last month is closed when it is over: without it no programme could issue its last batch."""
    found = books(open_epoch=202601)
    found.offered = found.offered.model_copy(update={"last_epoch": 202503})
    assert issue(found).issued_tonnes == 2
    later = Pooled(9_000_000, 100_000**2)
    assert reason(lambda: issue(found, 202504, later)) == REASON_PROGRAMME_UNKNOWN


def test_a_pool_that_supports_nothing_issues_nothing() -> None:
    assert reason(lambda: issue(books(), pooled=Pooled(1_100_000, 100_000**2))) == REASON_NOTHING_TO_ISSUE
    assert reason(lambda: issue(books(min_tonnes=3))) == REASON_NOTHING_TO_ISSUE


# What the cells hold is not in the books: hub and auditor hold these two against the log.
_OF_THE_LOG = {"pooled_grams", "variance_grams2"}


@pytest.mark.parametrize(
    "field",
    [one.name for one in ledger_pb2.IssuedBatch.DESCRIPTOR.fields if one.name not in _OF_THE_LOG],
)
def test_a_batch_off_by_one_anywhere_is_refused(field: str) -> None:
    found = books()
    batch = units.batch_message(found, found.offered, "credits", Epoch(202503), POOLED)
    value = getattr(batch, field)
    setattr(batch, field, value + ("x" if isinstance(value, str) else 1))
    with pytest.raises((Refused, Malformed)):
        found.take(operation(1, issue=batch))
    assert found.done == []


def test_proceeds_are_split_to_the_last_fen() -> None:
    found = books()
    batch = issue(found).batch
    sold(found, 2, batch)
    assert found.of(chart.fund("city", "city")) == 8_005
    assert (found.of(chart.fee("operator")), found.of(chart.fee("verifier"))) == (1_001, 1_001)
    assert found.of(chart.money_source(f"sale:{batch}")) == 10_007
    assert reason(lambda: sold(found, 1, batch)) == REASON_NOTHING_TO_ISSUE


@pytest.mark.parametrize(
    "changes", [{"tonnes": 0}, {"buyer": ""}, {"buyer": "a:b"}, {"fen": 0}, {"fen": units.FEN_MAX + 1}]
)
def test_a_sale_without_sense_is_malformed(changes: dict[str, Any]) -> None:
    found = books()
    asked = {"tonnes": 1, "batch": issue(found).batch, **changes}
    assert reason(lambda: sold(found, **asked)) == REASON_UNKNOWN_FIELD_VALUE


def test_a_batch_nobody_issued_is_not_sold() -> None:
    assert reason(lambda: sold(books(), 1, "city/credits/2025-03")) == REASON_PROGRAMME_UNKNOWN


def test_offsets_stay_within_both_caps_of_their_year() -> None:
    found = books(pool_mg=20 * MG_PER_TONNE, buffer_bp=0)
    batch = issue(found, pooled=Pooled(13_000_000, 1)).batch
    sold(found, 10, batch)
    for _ in range(2):
        found.take(retirement(found, batch, obligation_tonnes=20))
    assert reason(lambda: found.take(retirement(found, batch, obligation_tonnes=20))) == (
        REASON_OFFSET_CAP_EXCEEDED
    )
    found.take(retirement(found, batch, tonnes=3))
    assert reason(lambda: found.take(retirement(found, batch))) == REASON_OFFSET_CAP_EXCEEDED
    next_year = retirement(found, batch)
    # A second later a new year begins in Beijing.
    next_year.at = NEW_YEAR
    found.take(next_year)
    found.take(retirement(found, batch, purpose="voluntary", tonnes=4))
    assert found.of(chart.units_retired(batch, "works")) == 10
    assert reason(lambda: found.take(retirement(found, batch, purpose="sport"))) != 0


def test_units_nobody_bought_are_retired_for_no_obligation() -> None:
    found = books()
    batch = issue(found)
    found.take(retirement(found, batch.batch, buyer="", purpose="voluntary", obligation_tonnes=0))
    assert found.of(chart.units_retired(batch.batch, "")) == 1
    assert [(one.owner, one.block.first) for one in serials(batch, found.done)] == [
        ("retired", 1),
        ("hold", 2),
        ("buffer", 3),
    ]
    for wrong in ({"purpose": "compliance", "obligation_tonnes": 0}, {"purpose": "voluntary"}, {"tonnes": 0}):
        asked = retirement(found, batch.batch, **{"buyer": "", "purpose": "voluntary", **wrong})
        assert reason(partial(found.take, asked)) == REASON_UNKNOWN_FIELD_VALUE
    asked = retirement(found, batch.batch, buyer="", purpose="voluntary", obligation_tonnes=0, tonnes=2)
    assert reason(lambda: found.take(asked)) == REASON_NOTHING_TO_ISSUE


def test_cancelling_takes_the_buffer_first_and_ends_the_claims() -> None:
    found = books()
    batch = issue(found).batch
    asked = ledger_pb2.CancelUnits(programme="city", batch=batch, tonnes=2, reason="a meter ran backwards")
    found.take(operation(9, cancel_units=asked))
    assert found.of(chart.units_cancelled(batch)) == 2
    assert found.of(chart.units_hold(batch)) == 1
    assert found.of(chart.retired("cancelled")) == 2 * MG_PER_TONNE
    assert found.of(chart.issued(batch)) == MG_PER_TONNE


class UnitMachine(RuleBasedStateMachine):
    """Issues, sells, uses and cancels at random; what is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.books = books(pool_mg=60 * MG_PER_TONNE, open_epoch=203001)
        self.last = 202412
        self.grams = 0
        self.batches: list[ledger_pb2.IssuedBatch] = []

    @rule(tonnes=st.integers(1, 9))
    def issue(self, tonnes: int) -> None:
        self.last += 1 if self.last % 100 < 12 else 89
        self.grams += tonnes * 1_000_000
        try:
            self.batches.append(issue(self.books, self.last, Pooled(self.grams, 1)))
        except Refused as refused:
            assert refused.reason == REASON_NOTHING_TO_ISSUE

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), tonnes=st.integers(1, 6), buyer=st.sampled_from(["works", "mill"]))
    def sell(self, data: st.DataObject, tonnes: int, buyer: str) -> None:
        self._attempt(lambda: sold(self.books, tonnes, data.draw(st.sampled_from(self.batches)).batch, buyer))

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), tonnes=st.integers(1, 3), buyer=st.sampled_from(["works", "mill", ""]))
    def retire(self, data: st.DataObject, tonnes: int, buyer: str) -> None:
        batch = data.draw(st.sampled_from(self.batches)).batch
        named = {"tonnes": tonnes, "buyer": buyer, "purpose": "voluntary", "obligation_tonnes": 0}
        asked = retirement(self.books, batch, **named)
        self._attempt(lambda: self.books.take(asked))

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), tonnes=st.integers(1, 3))
    def cancel(self, data: st.DataObject, tonnes: int) -> None:
        batch = data.draw(st.sampled_from(self.batches)).batch
        asked = ledger_pb2.CancelUnits(programme="city", batch=batch, tonnes=tonnes, reason="over-issued")
        self._attempt(lambda: self.books.take(operation(len(self.books.done), cancel_units=asked)))

    def _attempt(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Refused as refused:
            assert refused.reason == REASON_NOTHING_TO_ISSUE

    @invariant()
    def units_never_exceed_claims_and_blocks_are_disjoint(self) -> None:
        next_serial = 1
        for batch in self.batches:
            owned = serials(batch, self.books.done)
            for one in owned:
                assert one.block.first == next_serial
                next_serial += one.block.tonnes
            for owner, account in self._accounts(batch.batch).items():
                held = sum(one.block.tonnes for one in owned if one.owner == owner)
                assert held == self.books.of(account)
            live = sum(one.block.tonnes for one in owned if one.owner not in ("buffer", "cancelled"))
            assert self.books.of(chart.issued(batch.batch)) == live * MG_PER_TONNE

    @invariant()
    def nothing_is_issued_beyond_the_cells(self) -> None:
        assert sum(one.tonnes for one in self.books.made) * 1_000_000 <= self.grams

    def _accounts(self, batch: str) -> dict[str, chart.LedgerAccount]:
        found = {"hold": chart.units_hold(batch), "buffer": chart.units_buffer(batch)}
        found["cancelled"] = chart.units_cancelled(batch)
        found["retired"] = chart.units_retired(batch, "")
        for buyer in ("works", "mill"):
            found[f"sold:{buyer}"] = chart.units_sold(batch, buyer)
            found[f"retired:{buyer}"] = chart.units_retired(batch, buyer)
        return found


TestUnitMachine = UnitMachine.TestCase
TestUnitMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
