"""Wallets that somebody has touched, and what closes and operations gave to all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import NamedTuple

from sqlalchemy import Connection, select, tuple_

from accounting.ledger.books import Received
from hub.store import bulk
from hub.store.bulk import Column
from hub.store.ledger_schema import credit, ledger_epoch, received, wallet
from hub.store.rows import ROWS_AT_ONCE, cut, put
from protos.epochs import Epoch

WalletKey = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class StoredWallet:
    """A wallet stepped through the closes up to `applied_epoch`.

    `credited`, `expired` and `written_off` are over its life.
    """

    account: bytes
    ledger: str
    available: int = 0
    claimable: int = 0
    pending: int = 0
    deficit: int = 0
    deficit_since: int = 0
    credited: int = 0
    expired: int = 0
    written_off: int = 0
    variance: int = 0
    applied_epoch: int = 0


class StoredCredit(NamedTuple):
    """What one close gave a wallet."""

    epoch: Epoch
    delta: int
    capped: int
    variance: int


def read_wallets(connection: Connection, keys: Collection[WalletKey]) -> dict[WalletKey, StoredWallet]:
    """Read the wallets that somebody has touched; the others are what closes credited."""
    pairs = sorted({(account, ledger) for ledger, account in keys})
    found = {}
    for some in cut(pairs):
        chosen = tuple_(wallet.c.account, wallet.c.ledger).in_(some)
        for row in connection.execute(select(wallet).where(chosen)):
            found[row.ledger, row.account] = StoredWallet(*row)
    return found


def walk_wallets(connection: Connection, ledger: str) -> Iterator[StoredWallet]:
    """Give the touched wallets of a ledger, ascending by account."""
    query = select(wallet).where(wallet.c.ledger == ledger).order_by(wallet.c.account)
    for row in connection.execute(query).yield_per(ROWS_AT_ONCE):
        yield StoredWallet(*row)


def wallets_applied(connection: Connection, epoch: int) -> Iterator[StoredWallet]:
    """Give the wallets stepped to the close of an epoch: whatever operations have touched since."""
    query = select(wallet).where(wallet.c.applied_epoch == epoch)
    for row in connection.execute(query).yield_per(ROWS_AT_ONCE):
        yield StoredWallet(*row)


def put_wallets(connection: Connection, wallets: Iterable[StoredWallet]) -> None:
    """Store wallets as they are now."""
    put(connection, wallet, ("account", "ledger"), map(astuple, wallets))


def read_credits(
    connection: Connection, keys: Collection[WalletKey], epochs: Collection[Epoch]
) -> dict[WalletKey, list[StoredCredit]]:
    """Read what the closes of these epochs gave wallets, in the order of epochs."""
    found: dict[WalletKey, list[StoredCredit]] = defaultdict(list)
    by_ledger: dict[str, list[bytes]] = defaultdict(list)
    for ledger, account in sorted(keys):
        by_ledger[ledger].append(account)
    for epoch in sorted(epochs):
        for ledger, accounts in by_ledger.items():
            for some in cut(accounts):
                query = select(credit).where(
                    credit.c.epoch == epoch, credit.c.ledger == ledger, credit.c.account.in_(some)
                )
                for row in connection.execute(query):
                    one = StoredCredit(Epoch(row.epoch), row.delta, row.capped, row.variance)
                    found[ledger, row.account].append(one)
    return dict(found)


def all_credits(connection: Connection, ledger: str, epoch: Epoch) -> list[tuple[bytes, int, int, int]]:
    """Give what a close credited: (account, delta, capped, variance), ascending by account."""
    columns = (credit.c.account, credit.c.delta, credit.c.capped, credit.c.variance)
    query = select(*columns).where(credit.c.epoch == epoch, credit.c.ledger == ledger)
    return [tuple(row) for row in connection.execute(query.order_by(credit.c.account))]


def read_received(connection: Connection, keys: Collection[WalletKey]) -> dict[WalletKey, list[Received]]:
    """Read what operations gave wallets otherwise than by a close."""
    pairs = sorted({(account, ledger) for ledger, account in keys})
    found: dict[WalletKey, list[Received]] = defaultdict(list)
    for some in cut(pairs):
        chosen = tuple_(received.c.account, received.c.ledger).in_(some)
        for row in connection.execute(select(received).where(chosen).order_by(received.c.operation)):
            one = Received(row.ledger, row.account, Epoch(row.epoch), row.points)
            found[row.ledger, row.account].append(one)
    return dict(found)


def load_credits(
    connection: Connection, ledger: str, epoch: Epoch, batches: Iterable[Mapping[str, Column]]
) -> int:
    """Load what a close credits: account (ascending), delta, capped, variance; give the rows added.

    A load that was cut off goes on behind the last account that is there: rows are a function of the log.
    """
    loaded = select(credit.c.account).where(credit.c.epoch == epoch, credit.c.ledger == ledger)
    there = connection.scalar(loaded.order_by(credit.c.account.desc()).limit(1))
    rows = (_credit_rows(ledger, epoch, one) for one in batches)
    return bulk.load(connection, credit, rows if there is None else bulk.behind(rows, "account", there))


def put_ledger_epoch(connection: Connection, epoch: Epoch, state: int) -> None:
    """Say that an epoch is open (0), closing (1) or sealed (2)."""
    put(connection, ledger_epoch, ("epoch",), [(epoch, state)])


def ledger_epochs(connection: Connection) -> dict[Epoch, int]:
    """Give the state of each epoch, in order."""
    query = select(ledger_epoch).order_by(ledger_epoch.c.epoch)
    return {Epoch(row.epoch): row.state for row in connection.execute(query)}


def _credit_rows(ledger: str, epoch: Epoch, batch: Mapping[str, Column]) -> Mapping[str, Column]:
    figures = {name: batch[name] for name in ("account", "delta", "capped", "variance")}
    return {"epoch": int(epoch), "ledger": ledger, **figures}


def walk_all(connection: Connection) -> Iterator[StoredWallet]:
    """Give the touched wallets of all ledgers, by account and ledger."""
    query = select(wallet).order_by(wallet.c.account, wallet.c.ledger)
    for row in connection.execute(query).yield_per(ROWS_AT_ONCE):
        yield StoredWallet(*row)
