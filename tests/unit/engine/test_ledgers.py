from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.ledger.books import Received
from accounting.ledger.closing import points_terms
from accounting.ledger.wallets import Credit, Moves, Recent, Terms, Wallet, step
from engine.duckdb_engine import DuckDbEngine
from engine.ledgers import (
    ClosedLedger,
    LedgerCredits,
    LedgerFiles,
    find_wallets,
    step_wallets,
    walk_credits,
    walk_wallets,
    write_credits,
)
from privacy import merkle
from protos.epochs import Epoch, shift_epoch
from tests.unit.accounting.ledger.samples import programme

FIRST = Epoch(202011)
PERSONS = [bytes([number]) * 16 for number in range(1, 6)]
# Positions now, and what operations took (below zero) or gave (above) after the close, by person.
EPOCHS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(PERSONS), st.integers(-40, 90)),
        st.dictionaries(st.sampled_from(PERSONS), st.integers(-25, 25)),
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as opened:
        yield opened


def position_sql(engine: DuckDbEngine, positions: Mapping[bytes, int]) -> str:
    columns: dict[str, Any] = {
        "account": np.array([*positions, b""], dtype=object)[:-1],
        "position": np.array(list(positions.values()), dtype=np.int64),
        "variance": np.full(len(positions), 4, dtype=np.int64),
    }
    engine.register("position", columns, {"account": "BLOB", "position": "BIGINT", "variance": "BIGINT"})
    return "SELECT * FROM position"


def close_ledger(
    engine: DuckDbEngine,
    folder: Path,
    made: LedgerCredits,
    touched: Mapping[bytes, Wallet] | None = None,
    received: Sequence[Received] = (),
) -> ClosedLedger:
    return step_wallets(engine, folder, write_credits(engine, folder, made), touched or {}, received)


class Oracle:
    """All wallets stepped one by one at each close: what the set-based close must equal."""

    def __init__(self) -> None:
        self.wallets: dict[bytes, Wallet] = {}
        self.positions: dict[bytes, int] = defaultdict(int)
        self.gains: list[tuple[bytes, Epoch, int]] = []
        self.received: list[Received] = []

    def close(self, terms: Terms, positions: Mapping[bytes, int], cap: int) -> Moves:
        total = Moves()
        for person in sorted({*self.positions, *positions, *self.wallets}):
            moved = positions.get(person, 0) - self.positions[person]
            capped = max(moved - cap, 0) if cap else 0
            self.positions[person] += moved
            self.gains.append((person, terms.epoch, max(moved - capped, 0)))
            recent = Recent(
                self._since(person, terms.expiry_cutoff or Epoch(0), gifts=True),
                self._since(person, terms.claim_cutoff or Epoch(0), gifts=False),
            )
            stepped, moves = step(
                self.wallets.get(person, Wallet()), Credit(moved - capped, capped), recent, terms
            )
            self.wallets[person] = stepped
            total = Moves(*(a + b for a, b in zip(total, moves, strict=True)))
        return total

    def operate(self, epoch: Epoch, person: bytes, points: int) -> Wallet | None:
        wallet = self.wallets.get(person, Wallet())
        if points > 0 and not wallet.deficit:
            self.received.append(Received("P:x", person, epoch, points))
            return Wallet(wallet.available + points, wallet.claimable, wallet.pending)
        taken = min(-points, wallet.available)
        if taken <= 0:
            return None
        return Wallet(wallet.available - taken, wallet.claimable, wallet.pending + taken // 2)

    def _since(self, person: bytes, cutoff: Epoch, *, gifts: bool) -> int:
        found = sum(points for one, epoch, points in self.gains if one == person and epoch > cutoff)
        return found + sum(
            one.points for one in self.received if gifts and one.account == person and one.epoch > cutoff
        )


def leaf(account: bytes, wallet: Wallet) -> bytes:
    figures = (wallet.available, wallet.claimable, wallet.pending, wallet.deficit)
    return account + b"".join(figure.to_bytes(8, "big", signed=True) for figure in figures)


@settings(max_examples=25, deadline=None)
@given(EPOCHS, st.integers(0, 3), st.integers(0, 2), st.sampled_from([0, 15]))
def test_a_close_of_all_wallets_is_every_wallets_own_step(
    engine: DuckDbEngine, story: list[Any], expiry: int, window: int, cap: int
) -> None:
    oracle, files, rules = Oracle(), LedgerFiles(), programme(expiry, window, cap)
    touched: dict[bytes, Wallet] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (positions, operations) in enumerate(story):
            terms = points_terms(rules, shift_epoch(FIRST, number))
            closed = close_ledger(
                engine,
                Path(folder),
                LedgerCredits(
                    rules.ledger,
                    terms,
                    position_sql(engine, positions),
                    files,
                    cap,
                ),
                touched,
                oracle.received,
            )
            assert closed.moves == oracle.close(terms, positions, cap)
            expected = sorted(oracle.wallets.items())
            assert (closed.wallets, closed.root) == (
                len(expected),
                merkle.root(leaf(*one) for one in expected),
            )
            files, touched = closed.files, {}
            for person, points in operations.items():
                changed = oracle.operate(shift_epoch(FIRST, number + 1), person, points)
                if changed is not None:
                    oracle.wallets[person] = touched[person] = changed


def test_what_a_close_left_is_found_and_walked(engine: DuckDbEngine, tmp_path: Path) -> None:
    files = LedgerFiles()
    for epoch, positions in ((FIRST, {PERSONS[0]: 50, PERSONS[1]: 8}), (Epoch(202012), {PERSONS[0]: 30})):
        made = LedgerCredits("R", Terms(epoch), position_sql(engine, positions), files)
        files = close_ledger(engine, tmp_path, made).files
    found = find_wallets(engine, files, [PERSONS[0], PERSONS[4]])
    assert list(found) == [PERSONS[0]]
    assert found[PERSONS[0]] == (Wallet(30), 4, 30)
    [columns] = walk_credits(engine, files.credits[1])
    named = (columns[name].tolist() for name in ("account", "delta", "capped", "variance"))
    assert list(zip(*named, strict=True)) == [(PERSONS[0], -20, 0, 4), (PERSONS[1], -8, 0, 0)]
    [columns] = walk_wallets(engine, files.wallets or tmp_path)
    assert columns["available"].tolist() == [30, 0]
    assert find_wallets(engine, LedgerFiles(), PERSONS) == {}


def test_merged_accounts_step_as_one_and_are_not_credited_twice(engine: DuckDbEngine, tmp_path: Path) -> None:
    older, younger, other = PERSONS[:3]
    first = LedgerCredits("R", Terms(FIRST), position_sql(engine, {older: 50, younger: 30, other: 7}))
    files = close_ledger(engine, tmp_path, first).files
    second = LedgerCredits(
        "R",
        Terms(Epoch(202012)),
        position_sql(engine, {older: 95, other: 7}),
        files,
        merged={younger: older},
    )
    closed = close_ledger(engine, tmp_path, second, {younger: Wallet(0, 0, 10, 20, FIRST)})
    # 50 less the younger's deficit of 20, and the 15 that were new.
    assert closed.moves == Moves(credited=15)
    assert closed.root == merkle.root([leaf(older, Wallet(45, 0, 10)), leaf(other, Wallet(7))])


@settings(max_examples=10, deadline=None)
@given(st.permutations(PERSONS), st.dictionaries(st.sampled_from(PERSONS), st.integers(-40, 90)))
def test_i14_the_order_rows_come_in_changes_nothing(
    engine: DuckDbEngine, order: list[bytes], positions: dict[bytes, int]
) -> None:
    roots = []
    for persons in (PERSONS, order):
        with tempfile.TemporaryDirectory() as folder:
            files = LedgerFiles()
            for factor, epoch in ((1, FIRST), (-2, Epoch(202012))):
                rows = {one: factor * positions[one] for one in persons if one in positions}
                touched = {one: Wallet(3) for one in persons if one in PERSONS[:2]} if factor < 0 else {}
                gifts = [Received("P:x", one, epoch, 4) for one in persons] if factor < 0 else []
                made = LedgerCredits("P:x", Terms(epoch), position_sql(engine, rows), files)
                closed = close_ledger(engine, Path(folder), made, touched, gifts)
                files = closed.files
            roots.append((closed.root, closed.moves))
    assert len(set(roots)) == 1
