"""Books for trading: a programme whose participants have a share, and what stories do to its books."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st

from accounting.issuance import Pooled
from accounting.ledger import chart, stakes
from accounting.ledger.books import Decision
from accounting.ledger.chart import CLAIMS
from accounting.ledger.transfers import Balance
from accounting.ledger.units import batch_message
from accounting.ledger.wallets import Wallet
from accounting.programmes.programme import Programme
from engine.eligibility import CelConditions
from engine.kept_books import KeptBooks
from engine.ledgers import Found
from protos.epochs import Epoch, next_epoch
from protos.v1 import ledger_pb2
from tests.unit.accounting.programmes.programmes import NAMES, coupon, programme
from tests.unit.engine.simulated_facts import SimulatedFacts

FIRST = Epoch(202501)
PERSONS = [bytes([number]) * 16 for number in range(1, 6)]
PERSON = st.sampled_from(PERSONS)
CONDITIONS = CelConditions()
GRAMS_PER_KG, MG_PER_GRAM = 1_000, 1_000


def rules_of(share_bp: int, buffer_bp: int, **deduction: Any) -> Programme:
    """Give a programme whose participants have a share, and rewards for every fate of a claim."""
    kilogram = {"claim_grams": GRAMS_PER_KG, "quantity_max": 1_000}
    split = {"fund": 9_000 - share_bp, "operator": 1_000} | ({"participants": share_bp} if share_bp else {})
    rule = {
        "names": NAMES,
        "registry": "phcer",
        "packs": ["bike"],
        "enterprises": ["bike-share"],
        "buffer_bp": buffer_bp,
        "proceeds_fund": "city",
        "proceeds_split_bp": split,
        **deduction,
    }
    return programme(
        first_epoch=int(FIRST),
        rewards={
            "pool": {"names": NAMES, "kind": "trading", "claim": "to_pool", **kilogram},
            "share": {"names": NAMES, "kind": "trading", "partner": "bank", "payout": {"fen_min": 1}},
            "mall": coupon(cost_points=0, claim="to_sponsor", sponsor="bank", unit_cost_fen=1, **kilogram),
            "gift": coupon(cost_points=0, claim="to_pool", unit_cost_fen=1, **kilogram),
            "tree": {
                "names": NAMES,
                "kind": "charity",
                "claim": "retired",
                "tree": {"points": 8, "names": NAMES},
                **kilogram,
            },
        },
        issue={"credits": rule},
    )


class Books(KeptBooks):
    """Books whose closes are given as kilograms."""

    def __init__(self, rules: Programme) -> None:
        self.made_up = SimulatedFacts(rules, next_epoch(FIRST))
        super().__init__(self.made_up, CONDITIONS)
        self.balances[chart.fund("city", "city")] = Balance(0, 10**9)
        self.balances[chart.money_source("government")] = Balance(10**9, 0)
        self.credited_mg = 0
        self.cells_grams = 0
        self.acts = 0

    def credit(self, person: bytes, kilograms: int) -> None:
        """Give a person claims; a cell holds them where the person lets the programme pool."""
        there = self._found(CLAIMS, person).wallet
        grams = kilograms * GRAMS_PER_KG
        milligrams = grams * MG_PER_GRAM
        self.wallets[CLAIMS, person] = Found(Wallet(there.available + milligrams, 0, there.pending))
        self.credited_mg += milligrams
        self.cells_grams += grams if person in self.made_up.pooling else 0

    def act(self, name: str, message: Any = None, /, **fields: Any) -> tuple[bytes, Decision]:
        """Decide an operation; gives its key and what it did."""
        self.acts += 1
        operation = ledger_pb2.Operation(key=self.acts.to_bytes(16, "big"), at=self.acts)
        part = getattr(operation, name)
        part.CopyFrom(type(part)(**fields) if message is None else message)
        return operation.key, self.apply(operation)

    def order(self, person: bytes, reward: str, quantity: int = 1) -> bytes:
        """Reserve a reward."""
        asked = {"programme": "city", "programme_version": 1, "reward": reward, "quantity": quantity}
        return self.act("reserve", account=person, **asked)[0]

    def redeem(self, person: bytes, reward: str, quantity: int = 1) -> bytes:
        """Reserve a reward and have it delivered."""
        key = self.order(person, reward, quantity)
        self.act("confirm", reserve_key=key)
        return key

    def issue(self) -> ledger_pb2.IssuedBatch:
        """Issue what the pool supports at the end of the last closed epoch, and open the next."""
        rules = self.made_up.rules
        last, self.made_up.epoch = self.made_up.epoch, next_epoch(self.made_up.epoch)
        message = batch_message(self, rules, "credits", last, Pooled(self.cells_grams, 0))
        self.act("issue", message)
        return message

    def sell(self, batch: str, tonnes: int, fen: int) -> None:
        """Sell units."""
        self.act("sell", programme="city", batch=batch, buyer="works", tonnes=tonnes, fen=fen)

    def stake(self, person: bytes) -> stakes.Stake:
        """Read a person's stake."""
        return stakes.stake_of(self, "city", person)

    def of(self, account: chart.LedgerAccount) -> int:
        """Give a balance on the account's own side."""
        return self.balance(account).of(account)

    def kind(self, ledger: str, *kinds: str) -> int:
        """Add up the balances of kinds."""
        found = self.balances.items()
        return sum(one.of(at) for at, one in found if at.ledger == ledger and at.kind in kinds)


def pooled(share_bp: int = 6_000, **kilograms: int) -> Books:
    """Give books whose persons, by number, have given so many kilograms to the pool."""
    books = Books(rules_of(share_bp, 0, deduction="none"))
    for name, count in kilograms.items():
        person = PERSONS[int(name[1:])]
        books.made_up.pooling.add(person)
        books.credit(person, count)
        books.redeem(person, "pool", count)
    return books
