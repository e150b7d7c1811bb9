"""Lies about the books: points nobody spent, ledgers that do not add up, tonnes that nothing carries."""

from __future__ import annotations

import functools
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accounting.ledger import chart
from accounting.ledger.closing import System, added
from accounting.ledger.transfers import Balance
from engine.closing import ClosedBooks
from engine.duckdb_engine import DuckDbEngine
from hub.store.reservations import walk_balances
from privacy import codec, envelope, merkle
from privacy.account_changes import CLOSE, build_change
from privacy.envelope import Kind
from privacy.journal import build_segment
from privacy.standing import HUB_ID, Role
from protos.v1 import books_pb2, ledger_pb2
from tests.conformance.tamper.liar import Liar, counted, lying, story
from tests.simulated_ledgers import SimulatedLedgers
from tests.simulator import ISSUED_AT, Federation, pseudonym
from tests.unit.auditor.funded import LEDGER, NEXT, funded, release_next
from tests.unit.hub.operations import asked, confirm, deposit, holder_of, reserve
from tests.unit.hub.pool_world import close_next, draw, issue, pool_world, sell
from tests.unit.hub.pool_world import confirm as confirm_payout

# After every operation a running hub has taken.
LATER = 4_000_000_000
Change = Callable[[books_pb2.EpochClose], None]


def spending(folder: Path, act: Callable[[SimulatedLedgers], None] = lambda ledgers: None) -> Liar:
    """An account may spend; then the hub does something."""
    hub = counted()
    with DuckDbEngine(threads=1) as engine:
        act(funded(hub, engine, folder / "honest"))
    return hub


def closing(folder: Path, change: Change) -> Liar:
    """The hub closes the next epoch with another figure than its books give."""

    def close(ledgers: SimulatedLedgers) -> None:
        ledgers.operate(asked(ledgers.federation, reserve(2, ledgers.richest(LEDGER))))
        release_next(ledgers.federation)
        ledgers.close(NEXT, change)

    return spending(folder, close)


def journal(ledgers: SimulatedLedgers, *operations: ledger_pb2.Operation) -> None:
    """Log operations that were not decided."""
    for one in operations:
        one.at = ISSUED_AT
    ledgers.journal([codec.encode(one) for one in operations])


@functools.cache
def _issued() -> Federation:
    """Run a hub until it has issued what its pool carries; the log outlives it."""
    with tempfile.TemporaryDirectory() as folder, pool_world(Path(folder) / "hub") as world:
        issue(world)
        world.follow()
        return world


def issued() -> Liar:
    """Take over the log of a hub that has issued."""
    hub = lying(_issued())
    hub.entries = list(hub.entries)
    hub.state = pickle.loads(pickle.dumps(hub.state))
    return hub


@functools.cache
def _sold() -> tuple[Federation, System]:
    """Run a hub until a person has drawn what a sale owes; the log, and the books of its last close."""
    with tempfile.TemporaryDirectory() as folder, pool_world(Path(folder) / "hub") as world:
        sell(world, issue(world).batch.batch, 1_001)
        confirm_payout(world, draw(world, 0)[1].order_key)
        close_next(world)
        with world.hub.parts.readers.begin() as connection:
            return world, dict(walk_balances(connection))


def sold() -> tuple[Liar, System]:
    """Take over the log of a hub that has sold and paid out."""
    federation, balances = _sold()
    hub = lying(federation)
    hub.entries = list(hub.entries)
    hub.state = pickle.loads(pickle.dumps(hub.state))
    return hub, balances


def _issuance(hub: Liar) -> tuple[int, Any]:
    """Give the entry that says what was issued."""
    index = hub.find(Kind.ISSUANCE)
    return index, envelope.open_envelope(hub.entries[index].data).parse(ledger_pb2.Issuance)


@story
def points_spent_that_nobody_spent(folder: Path) -> Liar:
    """The hub reserves a reward from a person's points without being asked."""
    return spending(folder, lambda ledgers: journal(ledgers, reserve(2, ledgers.richest(LEDGER))))


@story
def one_ticket_for_two_rewards(folder: Path) -> Liar:
    """The hub lets a person's one order pay twice, under another key."""

    def act(ledgers: SimulatedLedgers) -> None:
        account = ledgers.richest(LEDGER)
        first, second = asked(ledgers.federation, reserve(2, account)), reserve(3, account)
        second.reserve.ticket = first.reserve.ticket
        journal(ledgers, first, second)

    return spending(folder, act)


@story
def one_nonce_for_two_rewards(folder: Path) -> Liar:
    """The hub lets two orders pay whose tickets an enterprise signed over the same nonce."""

    def act(ledgers: SimulatedLedgers) -> None:
        account, nonce = ledgers.richest(LEDGER), bytes(range(16))
        orders = (asked(ledgers.federation, reserve(number, account), nonce=nonce) for number in (2, 3))
        journal(ledgers, *orders)

    return spending(folder, act)


@story
def nonce_of_a_reward_changes_an_account(folder: Path) -> Liar:
    """The hub closes an account by a ticket over the nonce with which its person has redeemed."""
    nonce = bytes(range(16))

    def act(ledgers: SimulatedLedgers) -> None:
        federation = ledgers.federation
        account = ledgers.richest(LEDGER)
        ledgers.operate(asked(federation, reserve(2, account), nonce=nonce))
        signer, person = holder_of(federation, account)
        ticket = federation.ticket(signer, person, "close", nonce=nonce)
        built = build_change(
            federation.header(Role.HUB, HUB_ID),
            kind=CLOSE,
            effective=NEXT,
            salt=bytes(32),
            account=account,
            tickets=[ticket],
        )
        assert isinstance(federation, Liar)
        federation.lie(Kind.ACCOUNT_CHANGE, built.message, HUB_ID, bodies=built.bodies)

    return spending(folder, act)


@story
def ledger_root_off(folder: Path) -> Liar:
    """A close signs other wallets than its operations and releases give."""

    def change(close: books_pb2.EpochClose) -> None:
        close.ledgers[0].root = merkle.EMPTY_ROOT

    return closing(folder, change)


@story
def system_accounts_root_off(folder: Path) -> Liar:
    """A close signs other funds, pools and debts than its operations give."""

    def change(close: books_pb2.EpochClose) -> None:
        close.system_accounts_root = merkle.EMPTY_ROOT

    return closing(folder, change)


@story
def operations_swapped(folder: Path) -> Liar:
    """A delivery stands in the journal before what was ordered."""

    def act(ledgers: SimulatedLedgers) -> None:
        ordered = asked(ledgers.federation, reserve(2, ledgers.richest(LEDGER)))
        journal(ledgers, confirm(3, 2), ordered)

    return spending(folder, act)


@story
def journal_with_a_gap(folder: Path) -> Liar:
    """A segment begins after an operation that no segment holds."""
    hub = spending(folder)
    header = hub.header(Role.HUB, HUB_ID)
    built = build_segment(header, hub.state.operations + 1, [codec.encode(deposit(9))])
    hub.lie(Kind.JOURNAL_SEGMENT, built.message, HUB_ID, bodies=built.bodies)
    return hub


@story
def issued_one_tonne_too_many(folder: Path) -> Liar:
    """The hub says it issued one tonne more than pool and deductions carry."""
    hub = issued()
    index, message = _issuance(hub)
    message.batch.issued_tonnes += 1
    hub.replace(index, hub.signed(Kind.ISSUANCE, message, HUB_ID))
    return hub


@story
def share_of_a_sale_kept(folder: Path) -> Liar:
    """The hub books one fen of the participants' share as the operator's, and closes over those books."""
    hub, balances = sold()
    theirs, kept = chart.fund("city", "participants"), chart.fee("operator")
    false = added(balances, {theirs: Balance(1, 0), kept: Balance(0, 1)})
    index = hub.find(Kind.EPOCH_CLOSE, 1)
    message = envelope.open_envelope(hub.entries[index].data).parse(books_pb2.EpochClose)
    assert message.system_accounts_root == ClosedBooks((), {}, balances).system_root
    message.system_accounts_root = ClosedBooks((), {}, false).system_root
    hub.replace(index, hub.signed(Kind.EPOCH_CLOSE, message, HUB_ID))
    return hub


@story
def share_of_a_sale_paid_twice(folder: Path) -> Liar:
    """The hub pays a person, who asks for it, the part of a sale that was paid before."""
    hub, _ = sold()
    account = hub.linked[pseudonym(0)][0]
    again = asked(hub, reserve(99, account, reward="share"), issued_at=LATER)
    again.at = LATER
    built = build_segment(hub.header(Role.HUB, HUB_ID), hub.state.operations, [codec.encode(again)])
    hub.append(hub.signed(Kind.JOURNAL_SEGMENT, built.message, HUB_ID), built.bodies)
    return hub


@story
def issued_without_an_operation(folder: Path) -> Liar:
    """The hub says it issued a second batch, for which nothing left the pool."""
    hub = issued()
    _, message = _issuance(hub)
    message.header.CopyFrom(hub.header(Role.HUB, HUB_ID))
    message.batch.rule, message.batch.batch = "meals", "city/meals/2020-12"
    hub.is_lying = True
    hub.append(hub.signed(Kind.ISSUANCE, message, HUB_ID))
    return hub
