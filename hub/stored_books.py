"""The books as the store keeps them, read for one batch of operations: one query a kind of row.

A wallet's row is stepped through the closes since it was written last, when somebody touches it: no operation
has touched it between those closes, so the result is the one of stepping it at each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from accounting.ledger.books import Batch, Received, Reservation
from accounting.ledger.chart import CLAIMS, LedgerAccount, points_ledger
from accounting.ledger.decide import accounts_of, counters_of, is_of_account, reservation_of
from accounting.ledger.transfers import Balance
from accounting.ledger.wallets import Credit, Recent, Terms, Wallet, step
from accounting.programmes.eligibility import Conditions
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

    def shared(self, number: int, at: int) -> Shared:
        """Give what the next batch goes on with."""
        counts = {name: self.counts[name] for name in self._few}
        stepped = self._stepped if len(self._stepped.accounts) <= ACCOUNTS_KEPT_MAX else Stepped()
        return Shared(self.balances, self.issued, counts, stepped, self.spent, number, at)

    def prefetch(self, operations: Sequence[ledger_pb2.Operation]) -> dict[bytes, StoredOperation]:
        """Read at once what decisions on operations will read; give those that used their keys before."""
        keys = {key for one in operations if (key := reservation_of(one)) is not None}
        names = {name for one in operations for name in counters_of(one, self.epoch)}
        accounts = {account for one in operations for account in accounts_of(one)} - self._stepped.accounts
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
        self._step_all(accounts, keyed_wallets(wallets))
        self._load({one.account for one in found.values()})
        return keyed_operations(known)

    def find_wallet(self, ledger: str, account: bytes) -> Found:
        """Read an account's wallets; what is in none of them is empty."""
        self._load([account])
        row = self._stepped.wallets.get((ledger, account))
        return EMPTY if row is None else Found(wallet_of(row), row.variance, row.credited)

    def find_count(self, name: str) -> int:
        """Read a counter; those that are no account's own are few, and kept."""
        if not is_of_account(name):
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
        """Give the wallets that operations changed as they are to be written, and found by the next batch."""
        rows = self._stepped.wallets
        for key in self.changed:
            rows[key] = _with(rows.get(key, _new(key)), self.wallets[key].wallet, self._last)
        return [rows[key] for key in sorted(self.changed)]

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
    return replace(
        row,
        available=wallet.available,
        claimable=wallet.claimable,
        pending=wallet.pending,
        deficit=wallet.deficit,
        deficit_since=wallet.deficit_since,
        applied_epoch=applied,
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
