from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.ledger.wallets import (
    STEP_COLUMNS,
    Credit,
    Moves,
    Recent,
    Terms,
    Wallet,
    credit_sql,
    recent_sql,
    step,
    step_sql,
)
from engine.duckdb_engine import DuckDbEngine
from protos.epochs import Epoch

EPOCH = Epoch(202103)
AMOUNT = st.integers(0, 50)
EARLIER = st.sampled_from([Epoch(202011), Epoch(202012), Epoch(202101), Epoch(202102)])

WALLET_SCHEMA = {
    "account": "BLOB",
    **dict.fromkeys(("available", "claimable", "pending", "deficit", "deficit_since"), "BIGINT"),
}
CREDIT_SCHEMA = {"account": "BLOB", "delta": "BIGINT", "capped": "BIGINT"}
RECENT_SCHEMA = {"account": "BLOB", "unexpired": "BIGINT", "unclaimed": "BIGINT"}


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as opened:
        yield opened


@st.composite
def wallets(draw: st.DrawFn) -> Wallet:
    deficit = draw(st.sampled_from([0, 0, 3, 20]))
    if deficit:
        return Wallet(0, 0, draw(AMOUNT), deficit, draw(EARLIER))
    return Wallet(draw(AMOUNT), draw(AMOUNT), draw(AMOUNT))


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    cutoff = st.none() | EARLIER
    claims = draw(st.booleans())
    return Terms(EPOCH, claims, draw(cutoff), draw(cutoff) if claims else None, draw(cutoff))


RECENTS = st.builds(Recent, AMOUNT, AMOUNT)
CREDITS = st.builds(Credit, st.integers(-60, 60), st.integers(0, 5))


def register(engine: DuckDbEngine, name: str, schema: dict[str, str], rows: list[tuple[Any, ...]]) -> None:
    columns = {
        column: np.array([row[at] for row in rows], dtype=object if kind == "BLOB" else np.int64)
        for at, (column, kind) in enumerate(schema.items())
    }
    engine.register(name, columns, schema)


@settings(max_examples=60, deadline=None)
@given(st.data(), terms())
def test_the_sql_steps_every_wallet_as_the_rule_does(engine: DuckDbEngine, data: Any, terms: Terms) -> None:
    ids = [bytes([number]) * 16 for number in range(6)]
    some = st.sets(st.sampled_from(ids))
    held = {one: data.draw(wallets()) for one in sorted(data.draw(some))}
    credits = {one: data.draw(CREDITS) for one in sorted(data.draw(some))}
    recents = {one: data.draw(RECENTS) for one in sorted(data.draw(some))}
    register(engine, "wallet", WALLET_SCHEMA, [(one, *vars_of(wallet)) for one, wallet in held.items()])
    register(engine, "credit", CREDIT_SCHEMA, [(one, *credit) for one, credit in credits.items()])
    register(engine, "recent", RECENT_SCHEMA, [(one, *recent) for one, recent in recents.items()])
    expected = []
    for one in sorted(held.keys() | credits.keys()):
        stepped, moves = step(
            held.get(one, Wallet()), credits.get(one, Credit()), recents.get(one, Recent()), terms
        )
        expected.append((one, *vars_of(stepped), *moves))
    sql = step_sql("wallet", "credit", "SELECT * FROM recent", terms)
    found = engine.rows(f"SELECT {', '.join(STEP_COLUMNS)} FROM ({sql}) AS s ORDER BY account")
    assert found == expected


def vars_of(wallet: Wallet) -> tuple[int, ...]:
    return (wallet.available, wallet.claimable, wallet.pending, wallet.deficit, wallet.deficit_since)


@given(wallets(), CREDITS, RECENTS, terms())
def test_a_step_keeps_every_part_at_zero_or_above_and_loses_nothing(
    wallet: Wallet, credit: Credit, recent: Recent, terms: Terms
) -> None:
    stepped, moves = step(wallet, credit, recent, terms)
    assert min(vars_of(stepped)) >= 0
    assert not stepped.deficit or not (stepped.available or stepped.claimable)
    assert bool(stepped.deficit) == bool(stepped.deficit_since)
    assert stepped.pending == wallet.pending
    before = wallet.available + wallet.claimable - wallet.deficit
    after = stepped.available + stepped.claimable - stepped.deficit
    assert after - before == credit.delta - moves.expired + moves.written_off
    assert moves.credited - moves.clawed_back == credit.delta
    assert moves.capped == credit.capped


@given(st.lists(st.integers(-40, 40), max_size=30))
def test_noise_of_idle_accounts_is_carried_and_never_paid_twice(deltas: list[int]) -> None:
    """D5: the wallet less its deficit is the sum of what was stated, whatever its signs were."""
    wallet = Wallet()
    for delta in deltas:
        wallet, _ = step(wallet, Credit(delta), Recent(), Terms(EPOCH))
    assert wallet.available - wallet.deficit == sum(deltas)


def test_a_deficit_is_written_off_when_it_has_stood_as_long_as_the_rule_says() -> None:
    owing, _ = step(Wallet(5), Credit(-12), Recent(), Terms(Epoch(202001)))
    assert owing == Wallet(deficit=7, deficit_since=202001)
    kept, moves = step(owing, Credit(), Recent(), Terms(EPOCH, deficit_cutoff=Epoch(201912)))
    assert (kept, moves) == (owing, Moves())
    free, moves = step(owing, Credit(2), Recent(), Terms(EPOCH, deficit_cutoff=Epoch(202001)))
    assert free == Wallet()
    assert moves == Moves(credited=2, written_off=5)


POSITION_SCHEMA = {"account": "BLOB", "position": "BIGINT", "variance": "BIGINT"}


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.integers(0, 5), st.tuples(st.integers(-50, 90), st.integers(0, 9))),
    st.dictionaries(st.integers(0, 5), st.integers(-50, 90)),
    st.sampled_from([0, 7]),
)
def test_a_credit_is_the_difference_of_positions_and_the_cap_only_takes_from_gains(
    engine: DuckDbEngine, now: dict[int, tuple[int, int]], before: dict[int, int], cap: int
) -> None:
    register(engine, "position", POSITION_SCHEMA, [(bytes([k]) * 16, *v) for k, v in sorted(now.items())])
    register(
        engine,
        "earlier",
        {"account": "BLOB", "position": "BIGINT"},
        [(bytes([k]) * 16, v) for k, v in sorted(before.items())],
    )
    expected = []
    for key in sorted(now.keys() | before.keys()):
        position, variance = now.get(key, (0, 0))
        moved = position - before.get(key, 0)
        capped = max(moved - cap, 0) if cap else 0
        expected.append((bytes([key]) * 16, moved - capped, capped, variance))
    sql = credit_sql("position", "earlier", epoch_points=cap)
    assert (
        engine.rows(f"SELECT account, delta, capped, variance FROM ({sql}) AS c ORDER BY account") == expected
    )


class Lots:
    """A wallet as explicit lots, first in first out: what the closed form of expiry must equal (I4)."""

    def __init__(self) -> None:
        self.lots: list[list[int]] = []
        self.deficit = 0

    def take(self, amount: int) -> int:
        taken = 0
        while amount > taken and self.lots:
            part = min(amount - taken, self.lots[0][1])
            self.lots[0][1] -= part
            taken += part
            if not self.lots[0][1]:
                self.lots.pop(0)
        return taken

    def credit(self, epoch: int, delta: int) -> None:
        if delta < 0:
            self.deficit += -delta - self.take(-delta)
            return
        repaid = min(delta, self.deficit)
        self.deficit -= repaid
        if delta > repaid:
            self.lots.append([epoch, delta - repaid])

    def expire(self, cutoff: int) -> None:
        self.lots = [lot for lot in self.lots if lot[0] > cutoff]

    @property
    def total(self) -> int:
        return sum(amount for _, amount in self.lots)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-20, 40), st.integers(0, 30)), min_size=1, max_size=40),
    st.integers(1, 5),
)
def test_i4_expiry_in_closed_form_equals_first_in_first_out_lots(
    story: list[tuple[int, int]], epochs: int
) -> None:
    wallet, lots, gained = Wallet(), Lots(), {}
    for number, (delta, spent) in enumerate(story, start=1):
        cutoff = number - epochs
        gained[number] = max(delta, 0)
        recent = Recent(sum(points for birth, points in gained.items() if birth > cutoff))
        terms = Terms(Epoch(number), expiry_cutoff=Epoch(cutoff))
        wallet, _ = step(wallet, Credit(delta), recent, terms)
        lots.credit(number, delta)
        lots.expire(cutoff)
        assert (wallet.available, wallet.deficit) == (lots.total, lots.deficit)
        spent = min(spent, wallet.available)
        wallet = Wallet(wallet.available - spent, deficit=wallet.deficit, deficit_since=wallet.deficit_since)
        lots.take(spent)


def test_recent_counts_what_came_after_the_cutoff_and_no_gift_as_claimable(engine: DuckDbEngine) -> None:
    one = b"1" * 16
    register(
        engine,
        "credits",
        {"account": "BLOB", "epoch": "INTEGER", "delta": "BIGINT"},
        [(one, 202101, 5), (one, 202102, -3), (one, 202103, 7)],
    )
    register(
        engine, "received", {"account": "BLOB", "epoch": "INTEGER", "points": "BIGINT"}, [(one, 202103, 11)]
    )
    sql = recent_sql("credits", "received", Terms(EPOCH, True, Epoch(202101), Epoch(202102)))
    assert engine.rows(sql) == [(one, 18, 7)]
