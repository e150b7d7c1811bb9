"""The ledgers' invariants I1 to I11 over stories of closes and operations; others stand by what they need.

docs/contributing.md says of every invariant which test holds it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from accounting.issuance import MG_PER_TONNE, Pooled
from accounting.ledger import chart, units
from accounting.ledger.books import AccountStatus, ReservationState
from accounting.ledger.chart import CLAIMS, MONEY, OWNERS, UNITS, LedgerAccount, Side
from accounting.ledger.sources import source_of
from accounting.ledger.transfers import Balance
from accounting.ledger.wallets import Credit, Recent, Terms, Wallet, step
from protos.epochs import Epoch, previous_epoch
from protos.problems import Problem
from protos.v1 import ledger_pb2
from tests.unit.engine.story_books import LATE, METRO, PERSON, PERSONS, RIDES, Books, rules_of, worth_of


class Stories(RuleBasedStateMachine):
    """Closes and operations in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 1_000
        self.keys: list[bytes] = []
        self.journal: dict[LedgerAccount, Balance] = defaultdict(Balance)
        self.deposited = 0

    @initialize(window=st.integers(0, 2), expiry=st.integers(0, 3))
    def begin(self, window: int, expiry: int) -> None:
        self.books = Books(rules_of(window, expiry))
        self.close({(person, RIDES): 55 for person in PERSONS})
        self.deposit(5_000)
        for person in PERSONS if window else ():
            self.collect(person)
        for person in PERSONS:
            self.spend(person, "pool", 3)

    def act(self, name: str, **fields: Any) -> None:
        """Decide an operation; what is refused changes nothing (I7)."""
        self.at += 1
        operation = ledger_pb2.Operation(key=self.at.to_bytes(16, "big"), at=self.at)
        part = getattr(operation, name)
        part.CopyFrom(type(part)(**fields))
        before = self.books.snapshot()
        try:
            decision = self.books.apply(operation)
        except Problem as problem:
            assert problem.reason < 900, problem
            assert self.books.snapshot() == before
            return
        for move in decision.transfers:
            self.journal[move.debit] = self.journal[move.debit].with_debit(move.amount)
            self.journal[move.credit] = self.journal[move.credit].with_credit(move.amount)
        if name == "reserve":
            self.keys.append(operation.key)
        if name == "deposit":
            self.deposited += operation.deposit.fen

    @rule(
        grams=st.dictionaries(st.tuples(PERSON, st.sampled_from([RIDES, METRO, LATE])), st.integers(-40, 90))
    )
    def close(self, grams: dict[tuple[bytes, tuple[str, str]], int]) -> None:
        self.books.close(grams)

    @rule()
    def issue(self) -> None:
        """Issue what the pool holds: the cells would support more."""
        books = self.books
        pooled, last = Pooled(10**12, 0), previous_epoch(books.epoch)
        try:
            batch = units.batch_message(books, books.made_up.rules, "credits", last, pooled)
        except Problem:
            return
        self.act("issue", **{field.name: value for field, value in batch.ListFields()})

    @rule(tonnes=st.integers(1, 2))
    def cancel_units(self, tonnes: int) -> None:
        for one in self.books.issued[-1:]:
            self.act("cancel_units", programme="city", batch=one.name, tonnes=tonnes, reason="reversal")

    @rule(fen=st.integers(1, 500))
    def deposit(self, fen: int) -> None:
        self.act("deposit", programme="city", fund="city", source="government", fen=fen)

    @rule(
        person=PERSON,
        reward=st.sampled_from(["bus", "bank", "tree", "pool", "medal"]),
        quantity=st.integers(0, 4),
    )
    def reserve(self, person: bytes, reward: str, quantity: int) -> None:
        self.act(
            "reserve",
            programme="city",
            programme_version=1,
            reward=reward,
            account=person,
            quantity=quantity,
        )

    @rule(person=PERSON, reward=st.sampled_from(["bus", "bank", "tree", "pool"]), quantity=st.integers(1, 4))
    def spend(self, person: bytes, reward: str, quantity: int) -> None:
        """Reserve and confirm at once."""
        before = len(self.keys)
        self.reserve(person, reward, quantity)
        for key in self.keys[before:]:
            self.act("confirm", reserve_key=key)

    @rule(name=st.sampled_from(["confirm", "cancel", "lapse", "dispute"]), data=st.data(), late=st.booleans())
    def end(self, name: str, data: st.DataObject, late: bool) -> None:
        fresh = [key for key in self.keys if self.state(key) is ReservationState.RESERVED]
        keys = fresh if fresh and not late else self.keys
        if keys:
            key = data.draw(st.sampled_from(keys))
            made = self.books.reservation(key)
            assert made is not None
            self.at = max(self.at, made.expires_at if name == "lapse" else 0)
            self.act(name, reserve_key=key)

    def state(self, key: bytes) -> ReservationState | None:
        made = self.books.reservation(key)
        return made.state if made else None

    @rule(person=PERSON)
    def collect(self, person: bytes) -> None:
        self.act("collect", programme="city", account=person)

    @rule(giver=PERSON, receiver=PERSON, points=st.integers(0, 30))
    def gift(self, giver: bytes, receiver: bytes, points: int) -> None:
        self.act("gift", programme="city", from_account=giver, to_account=receiver, points=points)

    @rule(fen=st.integers(1, 200))
    def settle(self, fen: int) -> None:
        self.act("settle", partner="bus", fen=fen)

    @rule(lots=st.integers(1, 2))
    def plant(self, lots: int) -> None:
        self.act("plant", programme="city", reward="tree", lots=lots)

    @rule(person=PERSON, status=st.sampled_from([AccountStatus(), AccountStatus(frozen=True, proved=True)]))
    def restrict(self, person: bytes, status: AccountStatus) -> None:
        self.books.made_up.statuses[person] = status

    @rule(person=PERSON)
    def allow(self, person: bytes) -> None:
        self.books.made_up.statuses.pop(person, None)

    @invariant()
    def i1_every_ledger_adds_up_to_nothing(self) -> None:
        for ledger in (CLAIMS, self.books.made_up.rules.ledger, MONEY, UNITS):
            people = sum(map(worth_of, self.books.people(ledger)))
            others = sum(
                one.credits - one.debits
                for account, one in self.books.balances.items()
                if account.ledger == ledger
            )
            assert people + others == 0, ledger

    @invariant()
    def i2_balances_are_the_journal_replayed(self) -> None:
        """Of what only operations move; what closes move is in I1 and I5."""
        for account, one in self.books.balances.items():
            is_moved = account.kind not in ("src", "mint", "capped", "expired", "writeoff")
            if is_moved or account.ledger == MONEY:
                assert one == self.journal[account], account

    @invariant()
    def i3_nothing_that_may_not_goes_below_zero(self) -> None:
        for found in self.books.wallets.values():
            one = found.wallet
            assert min(one.available, one.claimable, one.pending, one.deficit) >= 0
            assert not one.deficit or not one.available + one.claimable
        for account, balance in self.books.balances.items():
            assert not account.nature.floored or balance.of(account) >= 0, account

    @invariant()
    def i5_points_are_the_statements_and_nothing_is_lost(self) -> None:
        books, ledger = self.books, self.books.made_up.rules.ledger
        people = sum(map(worth_of, books.people(ledger)))
        gone = sum(books.kind(ledger, kind) for kind in ("redeemed", "planted", "expired", "capped"))
        stated = sum(points for (one, _), points in books.positions.items() if one == ledger)
        assert people + gone - books.kind(ledger, "writeoff") == stated

    @invariant()
    def i8_what_is_pending_is_what_is_reserved(self) -> None:
        made = [one for one in self.books.reservations.values() if one is not None]
        kept = [one for one in made if one.state is ReservationState.RESERVED]
        ledger = self.books.made_up.rules.ledger
        assert sum(one.pending for one in self.books.people(ledger)) == sum(one.points for one in kept)
        assert sum(one.pending for one in self.books.people(CLAIMS)) == sum(one.milligrams for one in kept)
        assert self.books.kind(MONEY, "refundable") == sum(one.fen for one in kept if one.fund)

    @invariant()
    def i9_every_milligram_has_one_owner(self) -> None:
        """And one source: by enterprise, measure and epoch what its statements hold, whoever has it now."""
        books = self.books
        sources = {one: books.of(account) for account in books.balances if (one := source_of(account))}
        assert sources == {one: mg for one, mg in books.given.items() if mg or one in sources}
        owned = sum(books.kind(CLAIMS, kind) for kind in OWNERS)
        assert {account.kind for account in books.balances if account.ledger == CLAIMS} <= {"src", *OWNERS}
        assert sum(sources.values()) == sum(map(worth_of, books.people(CLAIMS))) + owned

    @invariant()
    def i10_every_tonne_stands_for_claims(self) -> None:
        behind = sum(
            one.credits
            for account, one in self.books.balances.items()
            if account.ledger == CLAIMS and account.kind in ("issued", "buffer")
        )
        assert self.books.kind(UNITS, "issuer") * MG_PER_TONNE == behind

    @invariant()
    def i11_no_fund_spends_more_than_it_was_given(self) -> None:
        books = self.books
        assert books.of(chart.fund("city", "city")) >= 0
        held = sum(books.kind(MONEY, kind) for kind in ("fund", "refundable", "payable", "paid"))
        assert held == self.deposited
        for name, count in books.counts.items():
            if name.startswith("spent:city:city:"):
                assert 0 <= count <= 300
            if name.startswith("stock:city:bus"):
                assert 0 <= count <= 9


Stories.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestStories = Stories.TestCase


@pytest.mark.parametrize("ending", ["confirm", "cancel", "lapse"])
def test_i8_a_reservation_ends_once_and_in_one_way(ending: str) -> None:
    """What was confirmed can be disputed, once; what was given back cannot."""
    story = Stories()
    story.begin(0, 0)
    story.reserve(PERSONS[0], "bus", 2)
    *_, key = story.keys
    made = story.books.reservation(key)
    assert made is not None
    assert story.books._found("P:city", PERSONS[0]).wallet == Wallet(55 - 14, 0, 14)
    story.at = made.expires_at if ending == "lapse" else story.at
    story.act(ending, reserve_key=key)
    kept = 14 if ending == "confirm" else 0
    assert story.books._found("P:city", PERSONS[0]).wallet == Wallet(55 - kept)
    for others in (("confirm", "cancel", "lapse"), ("confirm", "cancel", "lapse", "dispute")):
        ended = story.books.snapshot()
        for name in others:
            story.act(name, reserve_key=key)
            assert story.books.snapshot() == ended, name
        if kept:
            story.act("dispute", reserve_key=key)
    assert story.books._found("P:city", PERSONS[0]).wallet == Wallet(55)
    assert story.books.of(chart.payable("bus")) == 0


@settings(max_examples=60)
@given(
    st.lists(st.integers(-50, 90), min_size=2, max_size=8),
    st.data(),
)
def test_i16_restating_an_epoch_is_the_same_as_having_had_the_value_first(
    deltas: list[int], data: st.DataObject
) -> None:
    """A close credits positions: what an earlier epoch should have had comes with the next close."""
    place = data.draw(st.integers(0, len(deltas) - 2))
    error = data.draw(st.integers(-50, 50))
    wrong = [*deltas]
    wrong[place] += error
    wrong[place + 1] -= error
    wallets = []
    for story in (deltas, wrong):
        wallet = Wallet()
        for number, delta in enumerate(story):
            wallet, _ = step(wallet, Credit(delta), Recent(), Terms(Epoch(202001 + number)))
        wallets.append((wallet.available, wallet.deficit))
    assert wallets[0] == wallets[1]


def test_every_kind_has_a_side_and_unknown_kinds_stop() -> None:
    for ledger, kinds in chart.NATURES.items():
        for kind in kinds:
            assert LedgerAccount(ledger, kind).nature.side in Side
    with pytest.raises(Problem):
        _ = LedgerAccount(CLAIMS, "fund:x").nature
