"""Orders that wait for money: served in order, never above a ceiling, passed by once their time is over."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from accounting.ledger import chart, queueing
from accounting.ledger.books import Decision, Reservation, ReservationState
from accounting.ledger.chart import MONEY
from accounting.programmes.programme import Programme
from engine.eligibility import CelConditions
from engine.kept_books import KeptBooks
from protos.epochs import Epoch, next_epoch
from protos.problems import Problem
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_FUND_EXHAUSTED
from tests.unit.accounting.programmes.programmes import NAMES, coupon, programme
from tests.unit.engine.simulated_facts import SimulatedFacts

FIRST = Epoch(202501)
PERSONS = [bytes([number]) * 16 for number in range(1, 4)]
PERSON = st.sampled_from(PERSONS)
CONDITIONS = CelConditions()
SECONDS = 60
# By reward: the funds that pay it, and fen.
REWARDS = {
    "bus": (["city"], 30),
    "card": (["bank", "city"], 70),
    "tea": (["shop", "bank"], 20),
    "book": (["city"], 100),
}


def rules_of(priorities: dict[str, int], ceilings: dict[str, int], **queue: str) -> Programme:
    """Give a programme of three funds; shop's refuses what it cannot pay unless told otherwise."""
    when_empty = {"city": "queue", "bank": "queue", "shop": "refuse", **queue}
    return programme(
        first_epoch=int(FIRST),
        funds={
            name: {
                "names": NAMES,
                "sources": ["government"],
                "priority": priorities.get(name, 0),
                "epoch_fen_max": ceilings.get(name, 0),
                "overall_fen_max": 3 * ceilings.get(name, 0),
                "when_empty": how,
            }
            for name, how in when_empty.items()
        },
        rewards={
            name: coupon(
                cost_points=0, funds=funds, unit_cost_fen=fen, timeout_seconds=SECONDS, epoch_account_max=9
            )
            for name, (funds, fen) in REWARDS.items()
        },
    )


class Books(KeptBooks):
    """Books in memory, with a clock that goes a second an act."""

    def __init__(self, rules: Programme) -> None:
        self.made_up = SimulatedFacts(rules, FIRST)
        super().__init__(self.made_up, CONDITIONS)
        self.at = 1_000
        self.acts = 0

    def act(self, name: str, /, **fields: Any) -> Decision:
        """Decide an operation."""
        self.at += 1
        self.acts += 1
        operation = ledger_pb2.Operation(key=self.acts.to_bytes(16, "big"), at=self.at)
        part = getattr(operation, name)
        part.CopyFrom(type(part)(**fields))
        return self.apply(operation)

    def order(self, reward: str, person: bytes = PERSONS[0]) -> bytes:
        """Reserve a reward; gives its key."""
        asked = {"programme": "city", "programme_version": 1, "reward": reward, "quantity": 1}
        self.act("reserve", account=person, **asked)
        return self.acts.to_bytes(16, "big")

    def deposit(self, fund: str, fen: int) -> Decision:
        """Pay into a fund."""
        return self.act("deposit", programme="city", fund=fund, source="government", fen=fen)

    def made(self, key: bytes) -> Reservation:
        """Find an order."""
        found = self.reservation(key)
        assert found is not None
        return found

    def paid_by(self, *keys: bytes) -> list[str]:
        """Name the funds that pay orders; empty while one waits."""
        return [self.made(key).fund for key in keys]

    def held(self, fund: str) -> int:
        """Give what is in a fund."""
        account = chart.fund("city", fund)
        return self.balance(account).of(account)


def books(**parts: Any) -> Books:
    """Give books whose funds are empty."""
    return Books(rules_of(parts.pop("priorities", {}), parts.pop("ceilings", {}), **parts))


def test_a_deposit_serves_who_waits_in_the_order_they_came() -> None:
    found = books()
    keys = [found.order(one) for one in ("bus", "book", "bus")]
    assert [queueing.waiting_before(found, found.made(key)) for key in keys] == [0, 1, 2]
    found.deposit("city", 129)
    assert found.paid_by(*keys) == ["city", "", ""]
    # The last would be paid by what is left, but does not slip past the one before it.
    assert found.held("city") == 99
    found.deposit("city", 31)
    assert found.paid_by(*keys) == ["city", "city", "city"]
    assert found.held("city") == 0


def test_who_comes_later_does_not_slip_past_who_waits() -> None:
    found = books()
    found.deposit("city", 90)
    first = found.order("book")
    second = found.order("bus")
    assert found.paid_by(first, second) == ["", ""]
    with pytest.raises(Problem) as waits:
        found.act("confirm", reserve_key=second)
    assert waits.value.reason == REASON_FUND_EXHAUSTED
    found.act("cancel", reserve_key=first)
    assert found.paid_by(second) == ["city"]


def test_priorities_come_before_the_order_of_coming() -> None:
    found = books(priorities={"city": 0, "bank": 5})
    late, early = found.order("card"), found.order("bus")
    assert queueing.waiting_before(found, found.made(late)) == 1
    found.deposit("city", 70)
    assert found.paid_by(late, early) == ["", "city"]
    found.deposit("bank", 70)
    assert found.paid_by(late) == ["bank"]


def test_money_that_comes_back_serves() -> None:
    found = books()
    found.deposit("city", 100)
    first, second = found.order("book"), found.order("book")
    found.act("confirm", reserve_key=first)
    found.act("dispute", reserve_key=first)
    assert found.paid_by(second) == ["city"]


def test_an_order_whose_time_is_over_is_passed_by_and_lapses() -> None:
    found = books()
    old = found.order("book")
    found.at += SECONDS
    fresh = found.order("bus")
    found.deposit("city", 100)
    assert found.paid_by(old, fresh) == ["", "city"]
    found.act("lapse", reserve_key=old)
    assert found.made(old).state is ReservationState.LAPSED
    assert found.waiting("city") == ()


def test_what_was_paid_late_counts_for_the_epoch_it_was_paid_in() -> None:
    found = books(ceilings={"city": 100})
    key = found.order("book")
    found.made_up.epoch = next_epoch(FIRST)
    found.deposit("city", 1_000)
    assert found.paid_by(key) == ["city"]
    assert (found.count(f"spent:city:city:{FIRST}"), found.count("spent:city:city:202502")) == (0, 100)
    assert found.paid_by(found.order("bus")) == [""]
    found.act("cancel", reserve_key=key)
    assert found.count("spent:city:city:202502") == 30
    counters = [name for name, count in found.counts.items() if name.startswith("taken:") and count]
    assert counters == [f"taken:city:bus:{PERSONS[0].hex()}:202502"]


def test_a_new_epoch_lets_a_confirmation_serve() -> None:
    found = books(ceilings={"city": 100})
    found.deposit("city", 1_000)
    keys = [found.order("book"), found.order("book")]
    found.made_up.epoch = next_epoch(FIRST)
    found.act("confirm", reserve_key=keys[1])
    assert found.made(keys[1]).state is ReservationState.CONFIRMED


def test_no_more_wait_than_one_operation_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queueing, "WAITING_MAX", 2)
    found = books()
    for _ in range(2):
        found.order("bus")
    with pytest.raises(Problem) as full:
        found.order("bus")
    assert full.value.reason == REASON_FUND_EXHAUSTED


class Waiting(RuleBasedStateMachine):
    """Orders, deposits and returns in any order; every serving is held against who stood before."""

    @initialize(
        priorities=st.fixed_dictionaries(dict.fromkeys(("city", "bank", "shop"), st.integers(0, 2))),
        ceilings=st.fixed_dictionaries(
            dict.fromkeys(("city", "bank", "shop"), st.sampled_from([0, 100, 250]))
        ),
        shop=st.sampled_from(["queue", "refuse"]),
    )
    def begin(self, priorities: dict[str, int], ceilings: dict[str, int], shop: str) -> None:
        self.books = Books(rules_of(priorities, ceilings, shop=shop))
        self.deposited = 0
        self.keys: list[bytes] = []

    def act(self, name: str, /, **fields: Any) -> None:
        before = {one.key: one for one in self.books.waiting("city")}
        order = sorted(before.values(), key=self.rank)
        try:
            decision = self.books.act(name, **fields)
        except Problem as problem:
            assert problem.reason < 900, problem
            return
        funded = {one.key: one for one in decision.funded}
        made = decision.reservation
        if made is not None and name == "confirm" and made.key in before:
            funded[made.key] = made
        self.check_served(order, funded, gone=made.key if made is not None else b"")
        if name == "reserve" and made is not None:
            self.check_joined(order, made)
            self.keys.append(made.key)

    def rank(self, made: Reservation) -> tuple[int, int]:
        rules = self.books.made_up.rules
        return rules.funds[rules.rewards[made.reward].funds[0]].priority, int.from_bytes(made.key, "big")

    def queues(self, made: Reservation) -> set[str]:
        rules = self.books.made_up.rules
        return set(queueing.queues(rules, rules.rewards[made.reward]))

    def check_served(self, order: list[Reservation], funded: dict[bytes, Reservation], gone: bytes) -> None:
        """Nobody is served from a fund that somebody before them still waits for."""
        blocked: set[str] = set()
        for one in order:
            if one.key in funded:
                assert funded[one.key].fund not in blocked
                assert one.expires_at > self.books.at
            elif one.expires_at > self.books.at and one.key != gone:
                blocked |= self.queues(one)

    def check_joined(self, order: list[Reservation], made: Reservation) -> None:
        """Who is paid at once passes by nobody."""
        assert not made.fund or all(made.fund not in self.queues(one) for one in order)

    @rule(person=PERSON, reward=st.sampled_from(sorted(REWARDS)))
    def reserve(self, person: bytes, reward: str) -> None:
        asked = {"programme": "city", "programme_version": 1, "reward": reward, "quantity": 1}
        self.act("reserve", account=person, **asked)

    @rule(fund=st.sampled_from(["city", "bank", "shop"]), fen=st.integers(1, 150))
    def deposit(self, fund: str, fen: int) -> None:
        self.act("deposit", programme="city", fund=fund, source="government", fen=fen)
        self.deposited += fen
        self.check_idle()

    def check_idle(self) -> None:
        """After a deposit nobody who stands first for a fund waits for money that is there."""
        books, rules = self.books, self.books.made_up.rules
        blocked: set[str] = set()
        for one in sorted(books.waiting("city"), key=self.rank):
            if one.expires_at <= books.at:
                continue
            for name in self.queues(one) - blocked:
                maxima = (rules.funds[name].epoch_fen_max, rules.funds[name].overall_fen_max)
                counters = (f"spent:city:{name}:{books.epoch}", f"spent:city:{name}")
                is_below = all(
                    not most or books.count(counter) + one.fen <= most
                    for most, counter in zip(maxima, counters, strict=True)
                )
                assert books.held(name) < one.fen or not is_below
            blocked |= self.queues(one)

    @precondition(lambda self: self.keys)
    @rule(name=st.sampled_from(["confirm", "confirm", "cancel", "lapse", "dispute"]), data=st.data())
    def end(self, name: str, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.keys))
        self.act(name, reserve_key=key)

    @rule(seconds=st.sampled_from([1, SECONDS // 2, SECONDS]))
    def wait(self, seconds: int) -> None:
        self.books.at += seconds

    @rule()
    def close(self) -> None:
        self.books.made_up.epoch = next_epoch(self.books.made_up.epoch)

    @invariant()
    def no_fund_is_above_its_ceilings_or_below_nothing(self) -> None:
        books = self.books
        for name, fund in books.made_up.rules.funds.items():
            assert books.held(name) >= 0
            for counter, spent in books.counts.items():
                if counter == f"spent:city:{name}":
                    assert 0 <= spent <= (fund.overall_fen_max or spent)
                elif counter.startswith(f"spent:city:{name}:"):
                    assert 0 <= spent <= (fund.epoch_fen_max or spent)

    @invariant()
    def who_waits_is_counted_and_every_fen_is_somewhere(self) -> None:
        books = self.books
        made = [one for one in books.reservations.values() if one is not None]
        waiting = [one for one in made if one.is_waiting]
        assert list(books.waiting("city")) == waiting
        assert books.count("waiting:city") == len(waiting)
        for name in books.made_up.rules.funds:
            here = [one for one in waiting if name in self.queues(one)]
            assert books.count(f"waiting:city:{name}") == len(here)
        kinds = ("fund", "refundable", "payable", "paid")
        money = [one.of(at) for at, one in books.balances.items() if at.ledger == MONEY and at.kind in kinds]
        assert sum(money) == self.deposited


Waiting.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestWaiting = Waiting.TestCase
