"""Accounts, the pseudonyms linked to them, their balances, and the epochs that were closed.

All of it is folded from the log, so a new fold gives the same rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, delete, func, insert, select, union

from accounting.accounts import account_leaf
from hub.store import bulk
from hub.store.bulk import Column
from hub.store.dialects import insert_or_skip
from hub.store.schema import balance, closed_epoch, link, points_balance
from protos.epochs import Epoch

ROWS_TOGETHER = 8192
# What an account's leaf consists of, which is most of its row.
_LEAF = np.dtype([("account", "V16"), ("balance_mg", ">i8"), ("variance_mg2", "V16")])

# All balances are of one epoch; to name it finds one of them by its key.
_NEWEST = select(func.max(balance.c.epoch)).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Link:
    """A pseudonym attached to an account from an epoch on."""

    pseudonym: bytes
    account: bytes
    effective_epoch: int
    index: int


@dataclass(frozen=True, slots=True)
class Balance:
    """An account after the epoch named."""

    account: bytes
    balance_mg: int
    variance_mg2: int
    enterprises: int
    epoch: int


class Balances:
    """All accounts after an epoch, ascending, kept as the bytes of their rows until they are stored."""

    def __init__(self, epoch: Epoch) -> None:
        self.epoch = epoch
        self._leaves = bytearray()
        self._enterprises = array("q")

    def __len__(self) -> int:
        """Count the accounts."""
        return len(self._enterprises)

    def __iter__(self) -> Iterator[Balance]:
        """Give each account's balance."""
        for columns in self.columns():
            for account, balance_mg, variance, enterprises, epoch in bulk.tuples(columns):
                yield Balance(account, balance_mg, int.from_bytes(variance, "big"), enterprises, epoch)

    def add(self, account: bytes, balance_mg: int, variance_mg2: int, enterprises: int) -> None:
        """Add the next account, ascending."""
        self._leaves += account_leaf(account, balance_mg, variance_mg2)
        self._enterprises.append(enterprises)

    def columns(self) -> Iterator[Mapping[str, Column]]:
        """Give the rows as columns of their table, in bounded batches."""
        leaves = np.frombuffer(self._leaves, dtype=_LEAF)
        enterprises = np.frombuffer(self._enterprises, dtype=np.int64)
        for start in range(0, len(self), ROWS_TOGETHER):
            part = slice(start, start + ROWS_TOGETHER)
            columns: dict[str, Column] = {name: leaves[name][part] for name in _LEAF.names or ()}
            yield {**columns, "enterprises": enterprises[part], "epoch": int(self.epoch)}


@dataclass(frozen=True, slots=True)
class PointsBalance:
    """An account's released points after the epoch named."""

    account: bytes
    points: int
    variance: int
    enterprises: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ClosedEpoch:
    """An epoch whose close stands in the log at `index`."""

    epoch: int
    index: int
    accounts: int
    accounts_in_two_or_more: int
    total_mg: int


def add_links(connection: Connection, links: Iterable[Link]) -> None:
    """Store links; one already there stays."""
    rows = (
        {
            "pseudonym": one.pseudonym,
            "account": one.account,
            "effective_epoch": one.effective_epoch,
            "idx": one.index,
        }
        for one in links
    )
    _insert_many(connection, link, rows)


def linked_pseudonyms(connection: Connection) -> set[bytes]:
    """Give every pseudonym that has an account."""
    return set(connection.scalars(select(link.c.pseudonym)))


def account_pseudonyms(connection: Connection, account: bytes) -> int:
    """Count the pseudonyms linked to an account."""
    query = select(func.count()).select_from(link).where(link.c.account == account)
    return connection.scalar(query) or 0


def pseudonyms_of(connection: Connection, account: bytes) -> set[bytes]:
    """Give the pseudonyms linked to an account."""
    return set(connection.scalars(select(link.c.pseudonym).where(link.c.account == account)))


def accounts_of(connection: Connection, pseudonyms: Collection[bytes]) -> dict[bytes, bytes]:
    """Give the accounts that pseudonyms were linked to."""
    found: dict[bytes, bytes] = {}
    for pseudonym in sorted(pseudonyms):
        account = connection.scalar(select(link.c.account).where(link.c.pseudonym == pseudonym))
        if account is not None:
            found[pseudonym] = account
    return found


def replace_balances(connection: Connection, balances: Balances) -> None:
    """Swap all balances for those of a newer close."""
    connection.execute(delete(balance))
    bulk.load(connection, balance.name, balances.columns())


def replace_points(connection: Connection, found: Iterable[PointsBalance]) -> None:
    """Swap all released points for those of a newer close."""
    connection.execute(delete(points_balance))
    _insert_many(connection, points_balance, map(asdict, found))


def read_points(connection: Connection, account: bytes) -> PointsBalance | None:
    """Give one account's released points; None where no enterprise of its person releases any."""
    query = select(points_balance).where(points_balance.c.account == account)
    row = connection.execute(query).one_or_none()
    return None if row is None else PointsBalance(*row)


def walk_points(connection: Connection) -> Iterator[PointsBalance]:
    """Give all released points, ascending by account."""
    query = select(points_balance).order_by(points_balance.c.account)
    for row in connection.execute(query).yield_per(ROWS_TOGETHER):
        yield PointsBalance(*row)


def read_balance(connection: Connection, account: bytes) -> Balance | None:
    """Give one account's balance."""
    query = select(balance).where(balance.c.epoch == _NEWEST, balance.c.account == account)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Balance(
        row.account, row.balance_mg, int.from_bytes(row.variance_mg2, "big"), row.enterprises, row.epoch
    )


def walk_balances(connection: Connection) -> Iterator[Balance]:
    """Give all balances, ascending by account."""
    query = select(balance).order_by(balance.c.epoch, balance.c.account)
    for row in connection.execute(query).yield_per(ROWS_TOGETHER):
        yield Balance(
            row.account, row.balance_mg, int.from_bytes(row.variance_mg2, "big"), row.enterprises, row.epoch
        )


def find_accounts(connection: Connection, prefix: bytes, limit: int) -> list[bytes]:
    """Give the first accounts in id order that start with the prefix, of grams or of points."""
    tables = (balance, points_balance)
    held = union(*(select(table.c.account).where(table.c.account >= prefix) for table in tables))
    found = connection.scalars(held.order_by("account").limit(limit))
    return [account for account in found if account.startswith(prefix)]


def count_accounts(connection: Connection) -> int:
    """Count the accounts with a balance."""
    return connection.scalar(select(func.count()).select_from(balance)) or 0


def add_closed_epoch(connection: Connection, closed: ClosedEpoch) -> None:
    """Record a close."""
    connection.execute(
        insert(closed_epoch).values(
            epoch=closed.epoch,
            idx=closed.index,
            accounts=closed.accounts,
            accounts_in_two_or_more=closed.accounts_in_two_or_more,
            total_mg=closed.total_mg,
        )
    )


def closed_epochs(connection: Connection) -> Sequence[ClosedEpoch]:
    """Give the closes in epoch order."""
    query = select(closed_epoch).order_by(closed_epoch.c.epoch)
    return [ClosedEpoch(*row) for row in connection.execute(query)]


def _insert_many(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert in order and in bounded batches; a row already there stays."""
    iterator = iter(rows)
    statement = insert_or_skip(connection, table)
    while batch := list(islice(iterator, ROWS_TOGETHER)):
        connection.execute(statement, batch)
