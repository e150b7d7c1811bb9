"""Trading, from what is given to the pool to what is paid for it, beside sponsors, charity and issuance.

Over random programmes and orders of things: every milligram has one owner (I9), units never exceed claims and
cells (I10, P10), a gram whose title passed is never issued, and of what sales bring each fen has one owner.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from accounting.issuance import MG_PER_TONNE
from accounting.ledger import chart, stakes
from accounting.ledger.books import AccountStatus, Batch, Decision, ReservationState
from accounting.ledger.chart import CLAIMS, MONEY, UNITS
from accounting.ledger.redeeming import passed
from accounting.ledger.wallets import Wallet
from engine.ledgers import Found
from protos.problems import Problem
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_NOTHING_DUE
from tests.unit.engine.trading_books import (
    FIRST,
    GRAMS_PER_KG,
    MG_PER_GRAM,
    PERSON,
    PERSONS,
    Books,
    pooled,
    rules_of,
)


def test_a_sale_is_owed_by_the_milligram_and_paid_out_once() -> None:
    books = pooled(p0=600, p1=300, p2=100)
    batch = books.issue().batch
    books.sell(batch, 1, 1_001)
    # Of 1,001 fen 600 are the participants', by largest remainder.
    assert books.of(stakes.account_of("city")) == 601
    assert [books.stake(one).due_fen for one in PERSONS[:4]] == [360, 180, 60, 0]
    books.redeem(PERSONS[0], "share")
    assert books.of(chart.payable("bank")) == 360
    assert books.of(stakes.account_of("city")) == 241
    with pytest.raises(Problem) as nothing:
        books.order(PERSONS[0], "share")
    assert nothing.value.reason == REASON_NOTHING_DUE


def test_who_gives_after_a_batch_has_no_part_in_it() -> None:
    books = pooled(p0=1_000)
    batch = books.issue().batch
    books.made_up.pooling.add(PERSONS[1])
    books.credit(PERSONS[1], 2_000)
    books.redeem(PERSONS[1], "pool", 1_000)
    books.sell(batch, 1, 1_000)
    assert [books.stake(one).due_fen for one in PERSONS[:2]] == [600, 0]
    books.redeem(PERSONS[1], "pool", 1_000)
    books.sell(books.issue().batch, 2, 1_000)
    assert [books.stake(one).due_fen for one in PERSONS[:2]] == [600, 600]


def test_every_stake_gives_the_same_fraction_to_a_batch() -> None:
    """The pool holds 1.5 t, one whole tonne is issued: a third of each stake waits for the next."""
    books = pooled(p0=900, p1=600)
    first = books.issue()
    assert first.issued_tonnes == 1
    waiting = [books.stake(one).waiting_mg for one in PERSONS[:2]]
    assert waiting == [300_000_000, 200_000_000]
    assert stakes.whole_waiting_mg(books, "city") == books.of(chart.pool("city")) == sum(waiting)
    books.sell(first.batch, 1, 1_000)
    assert [books.stake(one).due_fen for one in PERSONS[:2]] == [360, 240]


def test_grams_that_were_paid_for_with_a_gift_bring_the_fund_its_part() -> None:
    books = pooled(p0=500)
    books.made_up.pooling.add(PERSONS[1])
    books.credit(PERSONS[1], 500)
    books.redeem(PERSONS[1], "gift", 500)
    before = books.of(chart.fund("city", "city"))
    books.sell(books.issue().batch, 1, 1_000)
    assert books.of(stakes.account_of("city")) == 300
    assert books.of(chart.fund("city", "city")) - before == 300 + 300
    assert [books.stake(one).due_fen for one in PERSONS[:2]] == [300, 0]


def test_a_payout_called_off_lapsed_or_disputed_is_due_again() -> None:
    books = pooled(p0=1_000)
    books.sell(books.issue().batch, 1, 1_000)
    key = books.order(PERSONS[0], "share")
    assert books.stake(PERSONS[0]).due_fen == 0
    books.act("cancel", reserve_key=key)
    assert books.stake(PERSONS[0]).due_fen == 600
    key = books.order(PERSONS[0], "share")
    made = books.reservation(key)
    assert made is not None
    books.acts = made.expires_at
    books.act("lapse", reserve_key=key)
    key = books.redeem(PERSONS[0], "share")
    assert (books.stake(PERSONS[0]).due_fen, books.of(chart.payable("bank"))) == (0, 600)
    books.act("dispute", reserve_key=key)
    assert (books.stake(PERSONS[0]).due_fen, books.of(chart.payable("bank"))) == (600, 0)
    assert books.of(stakes.account_of("city")) == 600


def test_who_was_merged_is_paid_under_the_account_that_stays() -> None:
    books = pooled(p0=500, p1=500)
    batch = books.issue().batch
    books.sell(batch, 1, 1_000)
    books.redeem(PERSONS[0], "share")
    books.made_up.merges[PERSONS[0]] = PERSONS[1]
    assert books.stake(PERSONS[1]).due_fen == 300
    books.redeem(PERSONS[1], "share")
    assert books.stake(PERSONS[1]).due_fen == 0


def test_what_is_owed_is_paid_out_after_the_programme_has_ended() -> None:
    books = pooled(p0=1_000)
    books.sell(books.issue().batch, 1, 1_000)
    books.made_up.has_ended = True
    with pytest.raises(Problem):
        books.order(PERSONS[0], "pool")
    books.redeem(PERSONS[0], "share")
    assert books.of(chart.payable("bank")) == 600


@st.composite
def rounds(draw: st.DrawFn) -> list[tuple[list[int], int, int]]:
    """Give rounds of contributions, by person and from elsewhere, and of how much of the pool is issued."""
    persons = draw(st.integers(1, 4))
    given = st.lists(st.integers(0, 10**10), min_size=persons, max_size=persons)
    return draw(st.lists(st.tuples(given, st.integers(0, 10**9), st.integers(0, 12)), min_size=1, max_size=5))


@settings(max_examples=100, deadline=None)
@given(rounds())
def test_parts_of_a_batch_add_up_to_no_more_than_it_took(
    story: list[tuple[list[int], int, int]],
) -> None:
    batches: list[Batch] = []
    given_by, pool = [[0] for _ in story[0][0]], 0
    for number, (given_now, elsewhere, wanted) in enumerate(story):
        for one, milligrams in zip(given_by, given_now, strict=True):
            one[-1] += milligrams
        pool += sum(given_now) + elsewhere
        tonnes = min(wanted, pool // MG_PER_TONNE)
        if tonnes:
            name = f"b{number}"
            batches.append(Batch(name, "city", 1, "r", FIRST, FIRST, frozenset(), tonnes, 1, pool))
            pool -= tonnes * MG_PER_TONNE
            for one in given_by:
                one.append(0)
    parts = [stakes.taken_parts(one, batches) for one in given_by]
    whole, waiting = stakes.taken_parts([sum(each) for each in zip(*given_by, strict=True)], batches)
    for place, batch in enumerate(batches):
        mine = sum(each[place] for each, _ in parts)
        assert mine <= whole[place] <= batch.milligrams
        assert whole[place] - mine < len(parts) * (place + 1)
    assert sum(left for _, left in parts) <= waiting <= pool


class Trading(RuleBasedStateMachine):
    """Contributions, gifts, sponsors, trees, batches, sales and payouts in any order.

    Beside the books every stake is kept as an exact fraction, moved at each batch, and paid for at each sale.
    """

    @initialize(
        share_bp=st.sampled_from([0, 1, 3_333, 9_000 - 1]),
        buffer_bp=st.sampled_from([0, 1_000]),
        duplicates_bp=st.sampled_from([0, 100]),
    )
    def begin(self, share_bp: int, buffer_bp: int, duplicates_bp: int) -> None:
        self.books = Books(rules_of(share_bp, buffer_bp, duplicates_bp=duplicates_bp))
        self.keys: list[bytes] = []
        self.batches: list[ledger_pb2.IssuedBatch] = []
        self.exact: dict[bytes, Fraction] = defaultdict(Fraction)
        self.parts: dict[str, dict[bytes, Fraction]] = {}
        self.owed: dict[bytes, Fraction] = defaultdict(Fraction)
        self.sales_fen = 0
        for person in PERSONS[:3]:
            self.contribute(person, 800)

    def attempt(self, *act: Any, **fields: Any) -> Decision | None:
        try:
            return self.books.act(*act, **fields)[1]
        except Problem as problem:
            assert problem.reason < 900, problem
            return None

    @rule(person=PERSON, pools=st.booleans())
    def choose(self, person: bytes, pools: bool) -> None:
        """What was ever pooled stays in the cells: withdrawing consent changes what comes later alone."""
        if pools:
            self.books.made_up.pooling.add(person)

    @rule(person=PERSON, kilograms=st.integers(1, 3_000))
    def credit(self, person: bytes, kilograms: int) -> None:
        self.books.credit(self.books.holder(person), kilograms)

    @rule(
        person=PERSON,
        reward=st.sampled_from(["pool", "mall", "gift", "tree", "share"]),
        quantity=st.integers(1, 1_000),
    )
    def reserve(self, person: bytes, reward: str, quantity: int) -> None:
        asked = {"programme": "city", "programme_version": 1, "reward": reward, "account": person}
        if self.attempt("reserve", quantity=1 if reward == "share" else quantity, **asked):
            self.keys.append(self.books.acts.to_bytes(16, "big"))

    @rule(person=PERSON, kilograms=st.integers(500, 1_000))
    def contribute(self, person: bytes, kilograms: int) -> None:
        """Give of what is pooled: without it no batch comes together."""
        books, person = self.books, self.books.holder(person)
        books.made_up.pooling.add(person)
        books.credit(person, kilograms)
        self.exact[person] += kilograms * GRAMS_PER_KG * MG_PER_GRAM
        books.redeem(person, "pool", kilograms)

    @precondition(lambda self: self.keys)
    @rule(name=st.sampled_from(["confirm", "confirm", "cancel", "dispute"]), data=st.data())
    def end(self, name: str, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.keys))
        made = self.books.reservation(key)
        assert made is not None
        if self.attempt(name, reserve_key=key) and name == "confirm" and made.reward == "pool":
            self.exact[made.account] += made.milligrams

    @precondition(lambda self: self.books.of(chart.pool("city")) > 2 * MG_PER_TONNE)
    @rule()
    def issue(self) -> None:
        before = self.books.of(chart.pool("city"))
        try:
            batch = self.books.issue()
        except Problem as problem:
            assert problem.reason < 900, problem
            return
        self.batches.append(batch)
        taken = (batch.issued_tonnes + batch.buffer_tonnes) * MG_PER_TONNE
        self.parts[batch.batch] = {one: had * taken / before for one, had in self.exact.items()}
        for one, had in self.exact.items():
            self.exact[one] = had * (before - taken) / before
        issued = sum(one.tonnes for one in self.books.issued) * MG_PER_TONNE
        cells = self.books.cells_grams * MG_PER_GRAM
        assert issued <= cells - self.books.count(passed("city"))

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), tonnes=st.integers(1, 3), fen=st.integers(1, 100_000))
    def sell(self, data: st.DataObject, tonnes: int, fen: int) -> None:
        batch = data.draw(st.sampled_from(self.batches)).batch
        sale = {"programme": "city", "batch": batch, "buyer": "works", "tonnes": tonnes, "fen": fen}
        account = stakes.account_of("city")
        before = self.books.of(account)
        if self.attempt("sell", **sale):
            self.sales_fen += fen
            theirs, parts = self.books.of(account) - before, self.parts[batch]
            for one, part in parts.items():
                self.owed[one] += theirs * part / (sum(parts.values()) or 1)

    @precondition(lambda self: self.sales_fen)
    @rule(person=PERSON)
    def draw(self, person: bytes) -> None:
        """Be paid all that is due."""
        books, person = self.books, self.books.holder(person)
        due, before = books.stake(person).due_fen, books.of(chart.payable("bank"))
        if due:
            books.redeem(person, "share")
        assert books.of(chart.payable("bank")) - before == due

    @rule(person=PERSON, into=PERSON)
    def merge(self, person: bytes, into: bytes) -> None:
        merged = self.books.made_up.merges
        is_free = person != into and not {person, into} & {*merged, *merged.values()}
        if is_free and not self.books._found(CLAIMS, person).wallet.pending:
            merged[person] = into
            self.books.made_up.statuses[person] = AccountStatus(closed=True)
            for kept in (self.exact, self.owed, *self.parts.values()):
                kept[into] = kept.get(into, Fraction()) + kept.pop(person, Fraction())
            there, gone = self.books._found(CLAIMS, into).wallet, self.books._found(CLAIMS, person).wallet
            self.books.wallets[CLAIMS, into] = Found(
                Wallet(there.available + gone.available, 0, there.pending)
            )
            self.books.wallets[CLAIMS, person] = Found(Wallet())

    @invariant()
    def i9_every_milligram_has_one_owner(self) -> None:
        books = self.books
        held = sum(
            found.wallet.available + found.wallet.pending
            for (ledger, _), found in books.wallets.items()
            if ledger == CLAIMS
        )
        owned = books.kind(CLAIMS, "pool", "issued", "buffer", "sponsor", "retired")
        assert held + owned == books.credited_mg

    @invariant()
    def i10_units_are_claims(self) -> None:
        books = self.books
        tonnes = books.kind(UNITS, "hold", "buffer", "sold")
        assert tonnes * MG_PER_TONNE == books.kind(CLAIMS, "issued", "buffer")

    @invariant()
    def every_fen_has_one_owner(self) -> None:
        books = self.books
        kept = books.kind(MONEY, "fund", "refundable", "payable", "paid", "fee")
        assert kept == 10**9 + self.sales_fen
        paid = Counter(
            {
                state: sum(
                    one.fen
                    for one in books.reservations.values()
                    if one is not None and one.reward == "share" and one.state is state
                )
                for state in ReservationState
            }
        )
        drawn = sum(books.count(stakes.drawn("city", one)) for one in PERSONS)
        assert drawn == paid[ReservationState.RESERVED] + paid[ReservationState.CONFIRMED]

    @invariant()
    def what_is_due_is_there_and_within_a_fen_a_batch_of_the_exact_part(self) -> None:
        books = self.books
        ending = [one for one in PERSONS if one not in books.made_up.merges]
        found = {one: books.stake(one) for one in ending}
        assert all(one.due_fen >= 0 for one in found.values())
        assert sum(one.due_fen for one in found.values()) <= books.of(stakes.account_of("city"))
        assert sum(one.waiting_mg for one in found.values()) <= books.of(chart.pool("city"))
        for person, stake in found.items():
            # A fen for the floor of each batch, and the milligrams floors took from the part before it.
            assert 0 <= self.exact[person] - stake.waiting_mg < len(self.batches) + 1
            assert abs(self.owed[person] - stake.owed_fen) < 2 * len(self.batches) + 1


Trading.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestTrading = Trading.TestCase
