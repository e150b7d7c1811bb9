"""What the grams are good for: two programmes, a redemption of each of five kinds, tonnes issued and sold."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from examples.federation.app import App, Order, first, open_app
from examples.federation.founding import TEMPLATES, Founding, hub_addresses
from examples.federation.layout import ENTERPRISES, EPOCHS, Layout
from examples.federation.prepare import FULL, RawData, Scale
from examples.federation.processes import StepFailed
from examples.federation.progress import Progress
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_NOT_ELIGIBLE

CITY, FOREST = "demo-city", "demo-forest"
RULE = "electricity"
FILES = {CITY: "city.toml", FOREST: "forest.toml"}
SIGNERS = ("regulator", "operator")
KINDS = {"commercial", "policy", "trading", "charity", "honour"}
CITY_FEN, FOREST_FEN, FEN_PER_TONNE = 1_000_000, 100_000, 8_500
BUYER = "steel-works"
TEA, CARD = Order(CITY, "tea"), Order(CITY, "bus-card")
HONOUR, TREE = Order(CITY, "first-steps"), Order(FOREST, "tree")
# Certified: an honour, and what a bank is shown.
STEADY = Order(CITY, "steady")
CERTIFIED = (HONOUR, STEADY)
TEA_HOUSE = "tea-house"
SHARE = Order(CITY, "share")
# So many contributors ask at once for what the sale owes them; the others may whenever they like.
PAID_OUT_MAX = 20
PAYING_BANK = "city-bank"
# What a person must be able to spend for tea, card and their part of a tree.
POINTS_NEEDED = 10
LEAVES_NEEDED = 5
# Each contributor gives all whole kilograms of a claim of at least so many; together at most so much.
CLAIM_KG_MIN, POOL_KG = 20, 8_000
_MG_PER_KG = 1_000_000
_PARTICIPANTS = f"fund:{CITY}:participants"
# Exit code of a command that a rule said no to.
_REFUSED = 30
# Which file of an enterprise lists its persons.
REGISTERS = {"retailer": "customers", "bikeshare": "riders", "utility": "meters"}


class Incentives:
    """The demo's programmes, and what persons do with them through the enterprises' apps."""

    def __init__(
        self, layout: Layout, founding: Founding, raw: RawData, scale: Scale, progress: Progress
    ) -> None:
        self._layout = layout
        # A handful of persons is below its own noise: nobody of them can spend, and no tonne comes together.
        self._is_full = scale is FULL
        self._founding = founding
        self._raw = raw
        self._progress = progress
        self._contributors: list[str] = []

    def publish(self) -> None:
        """Publish both programmes, each signed by two."""
        keys = [part for name in SIGNERS for part in ("--key", str(self._layout.key(name)))]
        for name in FILES.values():
            self._hub("programme", "publish", str(TEMPLATES / "programmes" / name), *keys)

    def fund(self) -> None:
        """Let the city and a company pay for the rewards, once the programmes are in force."""
        pay = ("fund", "deposit", "--programme")
        self._hub(*pay, CITY, "--fund", "city", "--source", "government", "--fen", str(CITY_FEN))
        self._hub(*pay, FOREST, "--fund", "planting", "--source", "enterprise", "--fen", str(FOREST_FEN))

    def consent(self) -> int:
        """Let the utility's customers hand in that the city's programme may pool their grams."""
        with self._app("utility") as app:
            return app.let_pool(CITY, self._mobiles("utility"))

    def redeem(self) -> list[dict[str, Any]]:
        """Redeem one reward of each kind; gives each with its enterprise and kind."""
        done: list[dict[str, Any]] = []
        for enterprise in ("bikeshare", "retailer"):
            with self._app(enterprise) as app:
                spender = first(self._mobiles(enterprise), lambda mobile: _can_spend(app, mobile))
                if spender is None:
                    continue
                app.prove(spender)
                kinds = (
                    *(("commercial", TEA), ("policy", CARD), ("policy", STEADY)),
                    *(("honour", HONOUR), ("charity", TREE)),
                )
                done += [
                    {"kind": kind, "enterprise": enterprise, **app.redeem(spender, order)}
                    for kind, order in kinds
                ]
                break
        done += self._contribute()
        missing = KINDS - {one["kind"] for one in done}
        if missing and self._is_full:
            raise StepFailed(f"Nobody could redeem: {', '.join(sorted(missing))}.")
        return done

    def certificates(self, redemptions: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
        """Give the certificates of what was redeemed, by reward; without those that noise makes uncertain."""
        names = {one.reward for one in CERTIFIED}
        found: dict[str, dict[str, str]] = {}
        for one in redemptions:
            if one["reward"] not in names:
                continue
            with self._app(one["enterprise"]) as app:
                try:
                    found[one["reward"]] = app.certificate(one["order"])
                except Refused as refused:
                    if refused.reason != REASON_NOT_ELIGIBLE:
                        raise
                    self._progress.say(f"  {one['reward']} is not certified: {refused}")
        return found

    def issue(self) -> dict[str, Any]:
        """Issue what the pool supports, sell all of it, use one tonne; gives every figure."""
        place = ("--programme", CITY)
        asked = ("units", "issue", *place, "--rule", RULE, "--last", EPOCHS[-1])
        batch = self._founding.hub_at_home(*asked, accept=(0,) if self._is_full else (0, _REFUSED))
        if not batch:
            return {"refused": "the pool supports no whole tonne yet"}
        tonnes, named = batch["issued_tonnes"], (*place, "--batch", batch["batch"], "--buyer", BUYER)
        before = self._money()
        sale = self._hub(
            *("units", "sell", *named, "--tonnes", str(tonnes), "--fen", str(tonnes * FEN_PER_TONNE))
        )
        after = self._money()
        self._hub("units", "retire", *named, "--tonnes", "1", "--purpose", "voluntary")
        proceeds = {path: after[path] - before.get(path, 0) for path in after if not path.startswith("src")}
        return {
            **batch,
            "sold_tonnes": tonnes,
            "sold_fen": sale["fen"],
            "proceeds": {path: fen for path, fen in proceeds.items() if fen},
            "participants": self._pay_out(proceeds.get(_PARTICIPANTS, 0)),
            "retired_tonnes": 1,
            "serials_by_owner": self._hub("units", "serials", "--batch", batch["batch"])["ranges"],
        }

    def balances(self) -> dict[str, dict[str, int]]:
        """Give the hub's balances of all ledgers, persons' wallets apart."""
        ledgers = ("R", "M", "U", f"P:{CITY}", f"P:{FOREST}")
        return {ledger: self._hub("fund", "show", ledger)["balances"] for ledger in ledgers}

    def _contribute(self) -> list[dict[str, Any]]:
        """Let utility customers give the whole kilograms of their claims to the pool."""
        given, persons, last = 0, 0, {}
        with self._app("utility") as app:
            for mobile in self._mobiles("utility"):
                kilograms = app.held_milligrams(mobile) // _MG_PER_KG
                if kilograms < CLAIM_KG_MIN:
                    continue
                app.prove(mobile)
                last = app.redeem(mobile, Order(CITY, "pool", kilograms))
                given, persons = given + kilograms, persons + 1
                self._contributors.append(mobile)
                if given >= POOL_KG:
                    break
        self._progress.say(f"  {persons} persons gave {given:,} kg of claims to the pool")
        return [{"kind": "trading", "enterprise": "utility", **last}] if last else []

    def _pay_out(self, brought_fen: int) -> dict[str, Any]:
        """Let contributors draw what the sale owes them, and the bank be paid for it; gives what moved."""
        drawn = []
        with self._app("utility") as app:
            for mobile in self._contributors[:PAID_OUT_MAX]:
                due = app.due_fen(mobile, CITY)
                if due:
                    drawn.append(app.redeem(mobile, SHARE)["payout_fen"])
                    if drawn[-1] != due:
                        raise StepFailed(f"A person is owed {due} fen and was paid {drawn[-1]}.")
        paid_fen = sum(drawn)
        if paid_fen:
            self._hub("fund", "settle", "--partner", PAYING_BANK, "--fen", str(paid_fen))
        self._progress.say(f"  {len(drawn)} of them drew {paid_fen / 100:,.2f} yuan of the sale")
        return {
            "contributors": len(self._contributors),
            "brought_fen": brought_fen,
            "drawn_by": len(drawn),
            "drawn_fen": paid_fen,
            "left_fen": brought_fen - paid_fen,
        }

    def _money(self) -> dict[str, int]:
        balances: dict[str, int] = self._hub("fund", "show", "M")["balances"]
        return balances

    def _hub(self, *arguments: str) -> dict[str, Any]:
        return self._founding.hub_at_home(*arguments)

    def _app(self, enterprise: str) -> AbstractContextManager[App]:
        party = next(one for one in ENTERPRISES if one.id == enterprise)
        return open_app(self._layout.node(party), hub_addresses(self._layout)[0])

    def _mobiles(self, enterprise: str) -> list[str]:
        return mobiles(self._raw.paths[REGISTERS[enterprise]])


def mobiles(register: Path) -> list[str]:
    """Read who an enterprise's persons are, each once, in the register's order."""
    with register.open(encoding="utf-8", newline="") as file:
        return list(dict.fromkeys(row["mobile"] for row in csv.DictReader(file) if row["mobile"]))


def _can_spend(app: App, mobile: str) -> bool:
    return app.spendable(mobile, TEA) >= POINTS_NEEDED and app.spendable(mobile, TREE) >= LEAVES_NEEDED
