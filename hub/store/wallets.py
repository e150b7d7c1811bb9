"""Wallets that somebody has touched, and what closes and operations gave to all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import chain, starmap
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import Connection, select

from accounting.ledger.books import Received
from hub.store import bulk
from hub.store.bulk import Column
from hub.store.keyed import Keyed, read_keyed
from hub.store.ledger_schema import credit, received, wallet
from hub.store.partitions import filled, has_partition, is_by_value
from hub.store.rows import ROWS_AT_ONCE, Row, Rows, write
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


# A wallet as a row.
_PARTS = attrgetter(*(one.name for one in fields(StoredWallet)))


class StoredCredit(NamedTuple):
    """What one close gave a wallet."""

    epoch: Epoch
    delta: int
    capped: int
    variance: int


def wallet_lookup(accounts: Collection[bytes]) -> Keyed:
    """Say how all wallets of accounts are found."""
    return Keyed(wallet, "account", accounts)


def keyed_wallets(rows: Iterable[Row]) -> dict[WalletKey, StoredWallet]:
    """Give the wallets in rows found by their accounts."""
    return {(one.ledger, one.account): one for one in starmap(StoredWallet, rows)}


def wallets_applied(connection: Connection, epoch: int) -> Iterator[StoredWallet]:
    """Give the wallets stepped to the close of an epoch: whatever operations have touched since."""
    query = select(wallet).where(wallet.c.applied_epoch == epoch)
    for row in connection.execute(query).yield_per(ROWS_AT_ONCE):
        yield StoredWallet(*row)


def put_wallets(connection: Connection, wallets: Iterable[StoredWallet]) -> None:
    """Store wallets as they are now."""
    write(connection, wallet_rows(wallets))


def wallet_rows(wallets: Iterable[StoredWallet]) -> Rows:
    """Lay out wallets as rows."""
    return Rows(wallet, list(map(_PARTS, wallets)), ("account", "ledger"))


def read_credits(
    connection: Connection, keys: Collection[WalletKey], epochs: Collection[Epoch]
) -> dict[WalletKey, list[StoredCredit]]:
    """Read what the closes of these epochs gave wallets, in the order of epochs."""
    by_ledger: dict[str, list[bytes]] = defaultdict(list)
    for ledger, account in sorted(keys):
        by_ledger[ledger].append(account)
    # In the order of the table's key.
    lookups = [
        Keyed(credit, "account", accounts, {"ledger": ledger}, {"epoch": int(epoch)})
        for epoch in sorted(epochs)
        for ledger, accounts in by_ledger.items()
    ]
    found: dict[WalletKey, list[StoredCredit]] = defaultdict(list)
    for epoch, ledger, account, *figures in chain.from_iterable(read_keyed(connection, *lookups)):
        found[ledger, account].append(StoredCredit(Epoch(epoch), *figures))
    return dict(found)


def all_credits(connection: Connection, ledger: str, epoch: Epoch) -> list[tuple[bytes, int, int, int]]:
    """Give what a close credited: (account, delta, capped, variance), ascending by account."""
    columns = (credit.c.account, credit.c.delta, credit.c.capped, credit.c.variance)
    query = select(*columns).where(credit.c.epoch == epoch, credit.c.ledger == ledger)
    return [tuple(row) for row in connection.execute(query.order_by(credit.c.account))]


def read_received(connection: Connection, keys: Collection[WalletKey]) -> dict[WalletKey, list[Received]]:
    """Read what operations gave wallets otherwise than by a close."""
    asked = set(keys)
    rows = read_keyed(connection, Keyed(received, "account", {account for _, account in asked}))[0]
    found: dict[WalletKey, list[Received]] = defaultdict(list)
    for _, ledger, account, epoch, points in sorted(rows):
        if (ledger, account) in asked:
            found[ledger, account].append(Received(ledger, account, Epoch(epoch), points))
    return dict(found)


def load_credits(
    connection: Connection, epoch: Epoch, ledgers: Mapping[str, Iterable[Mapping[str, Column]]]
) -> int:
    """Load what a close credits each ledger, and give the rows added.

    Rows are account (ascending), delta, capped, variance.
    A load that was cut off goes on behind the last account that is there: rows are a function of the log.
    """
    rows = {ledger: _credit_rows(ledger, epoch, ledgers[ledger]) for ledger in sorted(ledgers)}
    if is_by_value(connection, credit.name) and not has_partition(connection, credit.name, epoch):
        with filled(connection, credit, epoch) as name:
            return bulk.load(connection, name, chain.from_iterable(rows.values()))
    return sum(_load_rest(connection, ledger, epoch, one) for ledger, one in rows.items())


def _load_rest(
    connection: Connection, ledger: str, epoch: Epoch, rows: Iterator[Mapping[str, Column]]
) -> int:
    loaded = select(credit.c.account).where(credit.c.epoch == epoch, credit.c.ledger == ledger)
    there = connection.scalar(loaded.order_by(credit.c.account.desc()).limit(1))
    return bulk.load(connection, credit.name, rows if there is None else bulk.behind(rows, "account", there))


def _credit_rows(
    ledger: str, epoch: Epoch, batches: Iterable[Mapping[str, Column]]
) -> Iterator[Mapping[str, Column]]:
    for batch in batches:
        figures = {name: batch[name] for name in ("account", "delta", "capped", "variance")}
        yield {"epoch": int(epoch), "ledger": ledger, **figures}
