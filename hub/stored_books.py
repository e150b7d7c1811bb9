"""The books as the store keeps them, read for one batch of operations: one query a kind of row.

A wallet's row is stepped through the closes since it was written last, when somebody touches it: no operation
has touched it between those closes, so the result is the one of stepping it at each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

from sqlalchemy import Connection

from accounting.ledger.books import Batch, Received, Reservation
from accounting.ledger.chart import CLAIMS, LedgerAccount, points_ledger
from accounting.ledger.decide import accounts_of, counters_of, is_of_account, reservation_of
from accounting.ledger.transfers import Balance
from accounting.ledger.wallets import Credit, Recent, Terms, Wallet, step
from accounting.programmes.eligibility import Conditions
from accounting.programmes.programme import Programme
from engine.closing import terms_of
from engine.kept_books import EMPTY, KeptBooks
from engine.ledgers import Found
from engine.log_facts import LogFacts
from hub.store.keyed import read_keyed
from hub.store.operations import StoredOperation, keyed_operations, operation_lookup
from hub.store.reservations import (
    count_lookup,
    keyed_reservations,
    read_counts,
    read_reservations,
    reservation_lookup,
    waiting_reservations,
)
from hub.store.wallets import (
    StoredCredit,
    StoredWallet,
    WalletKey,
    keyed_wallets,
    read_credits,
    read_received,
    wallet_lookup,
)
from privacy.spent_tickets import SpentTickets
from protos.epochs import Epoch
from protos.v1 import ledger_pb2

# Beyond so many accounts at hand, reading starts anew.
ACCOUNTS_KEPT_MAX = 50_000


@dataclass(slots=True)
class Stepped:
    """Wallets as the last close and all operations have left them, of accounts that were read.

    Only one writer changes them, so they hold until a close, or until writing fails.
    """

    wallets: dict[WalletKey, StoredWallet] = field(default_factory=dict)
    accounts: set[bytes] = field(default_factory=set)
    # What their rewards and gifts were counted with.
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Say whether reading starts anew."""
        return max(len(self.accounts), len(self.counts)) > ACCOUNTS_KEPT_MAX


@dataclass(slots=True)
class Shared:
    """What every batch reads and few write: other accounts, batches of units, counters that are few."""

    balances: dict[LedgerAccount, Balance]
    issued: list[Batch]
    counts: dict[str, int]
    stepped: Stepped
    spent: SpentTickets
    # The next operation's, and the last one's time.
    number: int
    at: int


class StoredBooks(KeptBooks):
    """Implements Books over the store, inside one transaction."""

    def __init__(
        self, connection: Connection, facts: LogFacts, conditions: Conditions, shared: Shared
    ) -> None:
        super().__init__(facts, conditions)
        self._log = facts
        self._connection = connection
        self._closes = facts.closed_epochs()
        self._last = self._closes[-1] if self._closes else Epoch(0)
        self._stepped = shared.stepped
        self._aliases = _aliases(facts.merged(self._last))
        self._ledgers = [CLAIMS, *(points_ledger(one) for one in facts.programmes())]
        self.balances = dict(shared.balances)
        self.issued = list(shared.issued)
        self.counts = dict(shared.counts)
        self.spent = shared.spent
        self._few = set(shared.counts)
        self._in_force: dict[str, Programme | None] = {}
        # Wallets and counters of accounts as decisions have left them.
        self._rows: dict[WalletKey, StoredWallet] = {}
        self._own: set[str] = set()

    # No entry of the log comes between decisions of one transaction.
    @cached_property
    def epoch(self) -> Epoch:
        """Give the open epoch."""
        return self.facts.epoch

    @cached_property
    def reserve_z(self) -> Fraction:
        """Give how many standard deviations of its noise a wallet keeps."""
        return self.facts.reserve_z

    def in_force(self, programme: str, epoch: Epoch | None = None) -> Programme | None:
        """Give the version in force for an epoch, the open one by default."""
        if epoch is not None:
            return self.facts.in_force(programme, epoch)
        if programme not in self._in_force:
            self._in_force[programme] = self.facts.in_force(programme)
        return self._in_force[programme]

    def shared(self, number: int, at: int) -> Shared:
        """Give what the next batch goes on with, once this one is written."""
        stepped = self._stepped
        stepped.wallets.update(self._rows)
        stepped.counts.update((name, self.counts[name]) for name in self._own)
        counts = {name: self.counts[name] for name in self._few}
        kept = Stepped() if stepped.is_full else stepped
        return Shared(self.balances, self.issued, counts, kept, self.spent, number, at)

    def undo(self) -> None:
        """Leave what is shared as it was: nothing of what was decided is written."""
        for one in self.rested:
            self.spent.forget(one.use)

    def prefetch(self, operations: Sequence[ledger_pb2.Operation]) -> dict[bytes, StoredOperation]:
        """Read at once what decisions on operations will read; give those that used their keys before."""
        return self._prefetch(operations, looks=True) or {}

    def prefetch_missing(
        self, operations: Sequence[ledger_pb2.Operation]
    ) -> dict[bytes, StoredOperation] | None:
        """Do the same where something is not at hand; else read nothing, so that keys are not known: None."""
        return self._prefetch(operations, looks=False)

    def _prefetch(
        self, operations: Sequence[ledger_pb2.Operation], *, looks: bool
    ) -> dict[bytes, StoredOperation] | None:
        keys = {key for one in operations if (key := reservation_of(one)) is not None}
        counters = {name for one in operations for name in counters_of(one, self.epoch)}
        names = counters - self._stepped.counts.keys()
        accounts = {account for one in operations for account in accounts_of(one)} - self._stepped.accounts
        if not (looks or keys or names or accounts):
            return None
        known, reserved, wallets, counts = read_keyed(
            self._connection,
            operation_lookup({one.key for one in operations}),
            reservation_lookup(keys),
            wallet_lookup(accounts),
            count_lookup(names),
        )
        found = keyed_reservations(reserved)
        self.reservations.update({key: found.get(key) for key in keys})
        self.counts.update(dict.fromkeys(names, 0) | dict(counts))
        self._own |= names
        self._step_all(accounts, keyed_wallets(wallets))
        self._load({one.account for one in found.values()})
        return keyed_operations(known)

    def find_wallet(self, ledger: str, account: bytes) -> Found:
        """Read an account's wallets; what is in none of them is empty."""
        self._load([account])
        row = self._stepped.wallets.get((ledger, account))
        return EMPTY if row is None else Found(wallet_of(row), row.variance, row.credited)

    def find_count(self, name: str) -> int:
        """Read a counter; those that are no account's own are few, and kept over a close."""
        if is_of_account(name):
            self._own.add(name)
            known = self._stepped.counts.get(name)
            if known is not None:
                return known
        else:
            self._few.add(name)
        return read_counts(self._connection, [name]).get(name, 0)

    def find_reservation(self, key: bytes) -> Reservation | None:
        """Read a reservation."""
        return read_reservations(self._connection, [key]).get(key)

    def parts(self, account: bytes) -> tuple[bytes, ...]:
        """List an account and those merged into it."""
        return (account, *self._aliases.get(account, ()))

    def find_waiting(self, programme: str) -> list[Reservation]:
        """Read who waits for money."""
        return waiting_reservations(self._connection, programme)

    def written(self) -> list[StoredWallet]:
        """Give the wallets that operations changed as they are to be written."""
        rows = self._stepped.wallets
        self._rows = {
            key: _with(rows.get(key) or _new(key), self.wallets[key].wallet, self._last)
            for key in sorted(self.changed)
        }
        return list(self._rows.values())

    def stored(self, account: bytes) -> dict[str, StoredWallet]:
        """Give an account's wallets by ledger, stepped to the last close."""
        self._load([account])
        return {ledger: one for (ledger, holder), one in self._stepped.wallets.items() if holder == account}

    def _load(self, accounts: Iterable[bytes]) -> None:
        """Read the wallets of accounts that are not at hand."""
        fresh = set(accounts) - self._stepped.accounts
        if fresh:
            rows = read_keyed(self._connection, wallet_lookup(fresh))[0]
            self._step_all(fresh, keyed_wallets(rows))

    def _step_all(self, accounts: Collection[bytes], rows: Mapping[WalletKey, StoredWallet]) -> None:
        """Step each wallet of accounts to the last close."""
        if not accounts:
            return
        self._stepped.accounts.update(accounts)
        for ledger in self._ledgers:
            self._step_ledger(ledger, accounts, rows)

    def _step_ledger(
        self, ledger: str, accounts: Collection[bytes], rows: Mapping[WalletKey, StoredWallet]
    ) -> None:
        applied = [rows.get((ledger, one), _new((ledger, one))).applied_epoch for one in accounts]
        epochs = self._epochs(ledger, min(applied))
        parts = {*accounts, *(part for one in accounts for part in self._aliases.get(one, ()))}
        keys = [(ledger, part) for part in parts]
        # A wallet that is stepped to the last close needs nothing but its row.
        credits = read_credits(self._connection, keys, epochs) if epochs else {}
        gifts = read_received(self._connection, keys) if epochs else {}
        for account in accounts:
            key = (ledger, account)
            if key in rows or key in credits:
                self._stepped.wallets[key] = self._step(rows.get(key, _new(key)), credits, gifts)

    def _epochs(self, ledger: str, applied: int) -> list[Epoch]:
        """Name the closes whose credits a step needs: those not applied, and what then was recent."""
        steps = [one for one in self._closes if one > applied]
        if not steps:
            return []
        terms = [found for one in steps if (found := terms_of(self._log, ledger, one)) is not None]
        cutoffs = [
            cutoff for one in terms for cutoff in (one.expiry_cutoff, one.claim_cutoff) if cutoff is not None
        ]
        first = min([*cutoffs, Epoch(steps[0] - 1)])
        return [one for one in self._closes if one > first]

    def _step(
        self,
        row: StoredWallet,
        credits: Mapping[WalletKey, Sequence[StoredCredit]],
        gifts: Mapping[WalletKey, Sequence[Received]],
    ) -> StoredWallet:
        """Step one wallet through the closes since it was written, by the rule of each epoch."""
        parts = [(row.ledger, part) for part in (row.account, *self._aliases.get(row.account, ()))]
        gained = [(one.epoch, one.delta) for part in parts for one in credits.get(part, ()) if one.delta > 0]
        given = [(one.epoch, one.points) for part in parts for one in gifts.get(part, ())]
        mine = {one.epoch: one for one in credits.get((row.ledger, row.account), ())}
        for epoch in self._closes:
            terms = terms_of(self._log, row.ledger, epoch) if epoch > row.applied_epoch else None
            if terms is not None:
                row = _step(row, mine.get(epoch, StoredCredit(epoch, 0, 0, 0)), gained, given, terms)
        return row


def _new(key: WalletKey) -> StoredWallet:
    ledger, account = key
    return StoredWallet(account, ledger)


def wallet_of(row: StoredWallet) -> Wallet:
    """Give the amounts of a row."""
    return Wallet(row.available, row.claimable, row.pending, row.deficit, row.deficit_since)


def _with(row: StoredWallet, wallet: Wallet, applied: Epoch) -> StoredWallet:
    """Give a row with other amounts."""
    return StoredWallet(
        row.account,
        row.ledger,
        *(wallet.available, wallet.claimable, wallet.pending, wallet.deficit, wallet.deficit_since),
        *(row.credited, row.expired, row.written_off, row.variance, applied),
    )


def _step(
    row: StoredWallet,
    credit: StoredCredit,
    gained: Sequence[tuple[Epoch, int]],
    given: Sequence[tuple[Epoch, int]],
    terms: Terms,
) -> StoredWallet:
    recent = _recent(gained, given, terms)
    wallet, moves = step(wallet_of(row), Credit(credit.delta, credit.capped), recent, terms)
    return replace(
        _with(row, wallet, terms.epoch),
        credited=row.credited + credit.delta,
        expired=row.expired + moves.expired,
        written_off=row.written_off + moves.written_off,
        variance=credit.variance,
    )


def _recent(gained: Sequence[tuple[Epoch, int]], given: Sequence[tuple[Epoch, int]], terms: Terms) -> Recent:
    """Count what was recent at a close: later closes and gifts have not happened then."""
    expiry, claim = terms.expiry_cutoff or Epoch(0), terms.claim_cutoff or Epoch(0)
    return Recent(
        sum(points for epoch, points in (*gained, *given) if expiry < epoch <= terms.epoch),
        sum(points for epoch, points in gained if claim < epoch <= terms.epoch),
    )


def _aliases(merged: Mapping[bytes, bytes]) -> dict[bytes, tuple[bytes, ...]]:
    found: dict[bytes, tuple[bytes, ...]] = {}
    for account, target in sorted(merged.items()):
        found[target] = (*found.get(target, ()), account)
    return found
