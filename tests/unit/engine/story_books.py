"""Books for stories: a programme with every rule, and closes reckoned wallet by wallet."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st

from accounting.issuance import MG_PER_TONNE
from accounting.ledger.chart import CLAIMS, LedgerAccount
from accounting.ledger.closing import check_balanced, claims_terms, close_system, points_terms
from accounting.ledger.sources import Source, check_drawn, drawn
from accounting.ledger.wallets import Credit, Moves, Recent, Terms, Wallet, step
from accounting.programmes.programme import Programme
from engine.eligibility import CelConditions
from engine.kept_books import KeptBooks
from engine.ledgers import Found
from protos.epochs import Epoch, next_epoch
from tests.unit.accounting.ledger.test_units import rule_document
from tests.unit.accounting.programmes.programmes import NAMES, coupon, programme
from tests.unit.engine.simulated_facts import SimulatedFacts

FIRST = Epoch(202101)
PERSONS = [bytes([number]) * 16 for number in range(1, 5)]
PERSON = st.sampled_from(PERSONS)
CONDITIONS = CelConditions()
# A measure of each of two enterprises, and one of a third that says what changed in the first epoch.
RIDES, METRO, LATE = ("bikes", "rides"), ("metro", "trips"), ("power", "own")
# What a unit of a story is in claims: a tenth of a tonne, so that pools fill.
CLAIM_MG = MG_PER_TONNE // 10


def rules_of(window: int, expiry: int) -> Programme:
    return programme(
        first_epoch=int(FIRST),
        caps={"epoch_points": 60},
        claim_window_epochs=window,
        deficit_epochs_max=2,
        expiry={"kind": "rolling", "epochs": expiry} if expiry else {},
        gifts={"epoch_points_max": 40},
        funds={"city": {"names": NAMES, "sources": ["government", "sale"], "epoch_fen_max": 300}},
        issue={"credits": rule_document(offset={})},
        rewards={
            "bus": coupon(cost_points=7, unit_cost_fen=50, quantity_max=3, stock=9),
            "bank": coupon(
                cost_points=5,
                claim="to_sponsor",
                claim_grams=100_000,
                sponsor="bank",
                unit_cost_fen=30,
                quantity_max=4,
            ),
            "tree": {
                "names": NAMES,
                "kind": "charity",
                "cost_points": 4,
                "quantity_max": 4,
                "claim": "retired",
                "claim_grams": 200_000,
                "tree": {"points": 8, "names": NAMES},
            },
            "pool": {
                "names": NAMES,
                "kind": "trading",
                "claim": "to_pool",
                "claim_grams": 300_000,
                "quantity_max": 4,
            },
            "medal": {"names": NAMES, "kind": "honour", "eligible": "lifetime_points > 20"},
        },
    )


class Books(KeptBooks):
    """Books in memory that close by stepping every wallet on its own."""

    def __init__(self, rules: Programme) -> None:
        self.made_up = SimulatedFacts(rules, FIRST)
        super().__init__(self.made_up, CONDITIONS)
        self.positions: dict[tuple[str, bytes], int] = defaultdict(int)
        self.gains: list[tuple[str, bytes, Epoch, int]] = []
        self.given: dict[Source, int] = defaultdict(int)

    def close(self, grams: Mapping[tuple[bytes, tuple[str, str]], int]) -> None:
        """Close the open epoch over positions that moved by so much for a person and measure."""
        moved: dict[bytes, int] = defaultdict(int)
        for (person, measure), amount in grams.items():
            moved[person] += amount
            epoch = FIRST if measure == LATE else self.made_up.epoch
            self.given[Source(*measure, epoch)] += amount * CLAIM_MG
        for ledger, unit in ((CLAIMS, CLAIM_MG), (self.made_up.rules.ledger, 1)):
            self._close(ledger, {person: amount * unit for person, amount in moved.items()})
        self.made_up.epoch = next_epoch(self.made_up.epoch)

    def _close(self, ledger: str, deltas: Mapping[bytes, int]) -> None:
        rules, epoch = self.made_up.rules, self.made_up.epoch
        is_points = ledger != CLAIMS
        terms = points_terms(rules, epoch) if is_points else claims_terms(epoch)
        total = Moves()
        for person in PERSONS:
            delta = deltas.get(person, 0)
            capped = max(0, delta - rules.caps.epoch_points) if is_points else 0
            self.positions[ledger, person] += delta
            self.gains.append((ledger, person, epoch, max(delta - capped, 0)))
            found = self._found(ledger, person)
            wallet, moves = step(
                found.wallet, Credit(delta - capped, capped), self._recent(ledger, person, terms), terms
            )
            self.wallets[ledger, person] = Found(wallet, 1, found.lifetime + delta - capped)
            total = Moves(*(a + b for a, b in zip(total, moves, strict=True)))
        given = drawn(self.balances, self.given)
        if not is_points:
            check_drawn(given, total)
        self.balances = close_system(self.balances, ledger, total, given)
        check_balanced(self.balances, ledger, sum(map(worth_of, self.people(ledger))))

    def _recent(self, ledger: str, person: bytes, terms: Terms) -> Recent:
        def since(cutoff: Epoch | None, *, gifts: bool) -> int:
            found = [
                points
                for one, holder, epoch, points in self.gains
                if (one, holder) == (ledger, person) and epoch > (cutoff or 0)
            ]
            given = [
                one.points
                for one in self.received
                if gifts and (one.ledger, one.account) == (ledger, person) and one.epoch > (cutoff or 0)
            ]
            return sum(found) + sum(given)

        return Recent(since(terms.expiry_cutoff, gifts=True), since(terms.claim_cutoff, gifts=False))

    def people(self, ledger: str) -> list[Wallet]:
        """Give all wallets of a ledger."""
        return [found.wallet for (one, _), found in self.wallets.items() if one == ledger]

    def of(self, account: LedgerAccount) -> int:
        """Give a balance on the account's own side."""
        return self.balance(account).of(account)

    def kind(self, ledger: str, kind: str) -> int:
        """Add up the balances of a kind."""
        return sum(
            one.of(account)
            for account, one in self.balances.items()
            if account.ledger == ledger and account.kind == kind
        )

    def snapshot(self) -> tuple[Any, ...]:
        """Give all that an operation may change."""
        wallets = {place: found for place, found in self.wallets.items() if found.wallet != Wallet()}
        counts = {name: count for name, count in self.counts.items() if count}
        made = {key: one for key, one in self.reservations.items() if one is not None}
        return copy.deepcopy((wallets, self.balances, counts, made, self.received))


def worth_of(one: Wallet) -> int:
    """Give what a wallet has, its parts added, the deficit taken off."""
    return one.available + one.claimable + one.pending - one.deficit
