"""Two accounts with points and open orders become one at a running hub, spend once, and part again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounting.ledger.wallets import Wallet
from auditor.findings import Check
from hub.rebuild import rebuild
from hub.reconcile import reconcile
from hub.store.wallets import read_credits
from privacy import account_changes as changes
from privacy.asked import PURPOSE, subject
from protos.epochs import Epoch, next_epoch
from protos.v1 import ledger_pb2
from protos.v1 import problem_pb2 as reasons
from tests.unit.hub.operations import holder_of
from tests.unit.hub.spending import OPEN, PROGRAMME, reserve, settled, submit
from tests.unit.hub.test_accounts import close, release_all
from tests.unit.hub.test_ledger import audited
from tests.unit.hub.test_participation import change
from tests.unit.hub.world import World, make_home, refused, running

COST = 40
LATER = next_epoch(OPEN)
RULES = PROGRAMME.replace("quantity_max = 5", "quantity_max = 1000").replace(
    "cost_points = 20", f"cost_points = {COST}"
)
FIRST, SECOND = (1).to_bytes(16, "big"), (2).to_bytes(16, "big")


class Couple(World):
    """A hub with the accounts of two persons, each with points and an open order of one reward."""

    first: bytes
    second: bytes

    def ticket_of(self, account: bytes, purpose: str, **named: Any) -> tuple[str, bytes]:
        """Sign a ticket for the person whose account this was at first; give the enterprise as well."""
        enterprise, person = holder_of(self, account)
        return enterprise, self.ticket(enterprise, person, purpose, **named)

    def merge(self) -> bytes:
        """Merge over gRPC; give the account that stays."""
        enterprise, one = self.ticket_of(self.first, "merge")
        _, other = self.ticket_of(self.second, "merge", subject=hashlib.sha256(one).digest())
        done = change(self, changes.MERGE, one, other, enterprise=enterprise)
        return bytes(done.account)

    def order(self, payer: bytes, person_of: bytes, quantity: int) -> ledger_pb2.Operation:
        """Order as the person whose account was `person_of` at first, from an account."""
        operation = ledger_pb2.Operation(key=self.randomness.randbytes(16), reserve=reserve(payer, quantity))
        _, operation.reserve.ticket = self.ticket_of(person_of, PURPOSE, subject=subject(operation))
        return operation

    def wallet(self, account: bytes) -> Wallet:
        """Give an account's points."""
        with self.hub.parts.readers.begin() as connection:
            return self.hub.ledger.books(connection).wallet("P:city", account)

    def credited(self, account: bytes) -> int:
        """Give the points that the close of the second epoch brought an account."""
        key = ("P:city", account)
        with self.hub.parts.readers.begin() as connection:
            return sum(one.delta for one in read_credits(connection, [key], [OPEN]).get(key, ()))

    def close_epoch(self, epoch: Epoch) -> None:
        """Release everybody's figures and close."""
        close(release_all(self, epoch), epoch)
        self.follow()


@pytest.fixture
def couple(tmp_path: Path) -> Iterator[Couple]:
    world = Couple(opened=make_home(tmp_path / "hub"))
    with running(world.opened) as world.hub:
        world.first, world.second = settled(world, RULES)[:2]
        for key, account in ((FIRST, world.first), (SECOND, world.second)):
            submit(world, key, reserve=reserve(account))
        yield world


def check_proved(couple: Couple, folder: Path) -> None:
    """Everything adds up, an auditor comes to the same books, and so does a rebuild."""
    couple.hub.parts.writer.call(couple.hub.ledger.seal)
    couple.follow()
    assert [one for one in reconcile(couple.opened) if not one.is_good] == []
    ledgers = audited(couple, folder).results[Check.LEDGERS]
    assert (ledgers.findings, ledgers.unchecked) == ([], [])
    couple.hub.__exit__()
    assert rebuild(couple.opened, write=False).differences == []


def test_merged_accounts_spend_once_what_both_had_and_part_again(couple: Couple, tmp_path: Path) -> None:
    before = [couple.wallet(one) for one in (couple.first, couple.second)]
    assert [one.pending for one in before] == [COST, COST]
    stays = couple.merge()
    ended = couple.second if stays == couple.first else couple.first
    # Until the close each has what it had; who is no more orders nothing from what was theirs.
    assert [couple.wallet(one) for one in (couple.first, couple.second)] == before
    assert refused(lambda: couple.hub.ledger.submit(couple.order(ended, ended, 1))).reason in (
        reasons.REASON_TICKET_INVALID,
        reasons.REASON_ACCOUNT_CLOSED,
    )
    couple.close_epoch(OPEN)
    joint = couple.wallet(stays)
    assert couple.wallet(ended) == Wallet()
    assert joint.pending == 2 * COST
    brought = sum(one.available for one in before)
    assert joint.available == brought + couple.credited(stays) > brought
    assert couple.credited(ended) == 0
    check_spending(couple, stays, ended, joint)
    check_parting(couple, stays, ended)
    check_proved(couple, tmp_path)


def test_frozen_and_closed_accounts_neither_merge_nor_spend(couple: Couple, tmp_path: Path) -> None:
    freeze, ledger = couple.hub.parts.participation.set_frozen, couple.hub.ledger

    def orders_refused(account: bytes) -> set[int]:
        orders = [couple.order(account, person, 1) for person in (couple.first, couple.second)]
        return {refused(lambda one=one: ledger.submit(one)).reason for one in orders}  # type: ignore[misc]

    freeze(couple.second, frozen=True)
    assert refused(couple.merge).reason == reasons.REASON_ACCOUNT_FROZEN
    freeze(couple.second, frozen=False)
    stays = couple.merge()
    couple.close_epoch(OPEN)
    freeze(stays, frozen=True)
    assert orders_refused(stays) == {reasons.REASON_ACCOUNT_FROZEN}
    # What was ordered before may be called off, by whoever it was ordered for.
    submit(couple, cancel=ledger_pb2.Cancel(reserve_key=FIRST))
    submit(couple, cancel=ledger_pb2.Cancel(reserve_key=SECOND))
    assert couple.wallet(stays).pending == 0
    freeze(stays, frozen=False)
    ledger.submit(couple.order(stays, couple.first, 1))
    enterprise, ticket = couple.ticket_of(couple.second, "close")
    change(couple, changes.CLOSE, ticket, enterprise=enterprise)
    assert orders_refused(stays) == {reasons.REASON_ACCOUNT_CLOSED}
    couple.close_epoch(LATER)
    check_proved(couple, tmp_path)


def check_spending(couple: Couple, stays: bytes, ended: bytes, joint: Wallet) -> None:
    """Either person's word counts, and nothing is there twice."""
    ledger = couple.hub.ledger
    all_of_it = couple.order(stays, ended, joint.available // COST - 5)
    answered = ledger.submit(all_of_it)
    assert ledger.submit(all_of_it) == answered
    again = couple.order(stays, stays, joint.available // COST - 5)
    assert refused(lambda: ledger.submit(again)).reason == reasons.REASON_NOT_ENOUGH_POINTS
    # Open orders of both go on: one is delivered, one called off.
    kept, returned = (FIRST, SECOND) if stays == couple.second else (SECOND, FIRST)
    submit(couple, confirm=ledger_pb2.Confirm(reserve_key=kept))
    submit(couple, cancel=ledger_pb2.Cancel(reserve_key=returned))
    left = couple.wallet(stays)
    assert left.pending == answered.outcome.points
    assert left.available == joint.available - answered.outcome.points + COST


def check_parting(couple: Couple, stays: bytes, ended: bytes) -> None:
    """The one who leaves takes what comes from then on; what there was stays."""
    enterprise, ticket = couple.ticket_of(ended, "split")
    fresh = bytes(change(couple, changes.SPLIT, ticket, enterprise=enterprise).account)
    had = couple.wallet(stays)
    couple.close_epoch(LATER)
    assert couple.wallet(stays).pending == had.pending
    assert couple.wallet(fresh) != Wallet()
    foreign = couple.order(stays, ended, 1)
    assert refused(lambda: couple.hub.ledger.submit(foreign)).reason == reasons.REASON_TICKET_INVALID
    unproved = couple.order(fresh, ended, 1)
    assert refused(lambda: couple.hub.ledger.submit(unproved)).reason == reasons.REASON_CONTROL_NOT_PROVED
