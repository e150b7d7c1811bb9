"""Sums over whole tables, each one statement: what a reconciliation holds against each other."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, and_, func, literal, select, union_all

from accounting.ledger.books import ReservationState
from accounting.ledger.transfers import Balance
from hub.store.ledger_schema import counter, credit, operation, reservation, segment, transfer, wallet
from hub.store.wallets import WalletKey

_NONE = literal(0)
# A colon and an account in hex, as counters of one account end.
_ACCOUNT_CHARACTERS = 33


class JournalSums(NamedTuple):
    """How many operations there are, their lowest and highest numbers, and transfers of none of them."""

    operations: int
    lowest: int
    highest: int
    orphans: int


class WalletSums(NamedTuple):
    """The wallets of a ledger that somebody has touched, added up."""

    wallets: int
    available: int
    claimable: int
    pending: int
    deficit: int


class Miscredited(NamedTuple):
    """A touched wallet that has not what closes credited it, and the last close it was stepped through."""

    ledger: str
    account: bytes
    applied_epoch: int


class CreditSums(NamedTuple):
    """What one close gave one ledger's wallets, added up."""

    wallets: int
    delta: int
    capped: int


class ReservedSums(NamedTuple):
    """Reservations of one reward, paid by one fund, in one state, added up."""

    programme: str
    reward: str
    fund: str
    state: ReservationState
    points: int
    fen: int
    milligrams: int


def journal_sums(connection: Connection) -> JournalSums:
    """Add up the journal."""
    numbers = select(func.count(), func.min(operation.c.seq), func.max(operation.c.seq))
    count, lowest, highest = connection.execute(numbers.select_from(operation)).one()
    joined = transfer.outerjoin(operation, operation.c.seq == transfer.c.operation)
    orphans = select(func.count()).select_from(joined).where(operation.c.seq.is_(None))
    return JournalSums(
        count, lowest or 0, -1 if highest is None else highest, connection.scalar(orphans) or 0
    )


def segments(connection: Connection) -> list[tuple[int, int, int]]:
    """Give (first, count, index) of each segment, in order."""
    query = select(segment.c.first, segment.c.count, segment.c.idx).order_by(segment.c.first)
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def transfer_sums(connection: Connection) -> dict[bytes, tuple[str, Balance]]:
    """Give the ledger and all debits and credits of each ledger account that transfers name."""
    sides = [
        select(
            transfer.c.ledger,
            transfer.c.debit.label("id"),
            transfer.c.amount.label("debits"),
            _NONE.label("credits"),
        ),
        select(
            transfer.c.ledger,
            transfer.c.credit.label("id"),
            _NONE.label("debits"),
            transfer.c.amount.label("credits"),
        ),
    ]
    both = union_all(*sides).subquery()
    query = select(both.c.id, func.max(both.c.ledger), func.sum(both.c.debits), func.sum(both.c.credits))
    rows = connection.execute(query.group_by(both.c.id))
    return {row[0]: (row[1], Balance(int(row[2]), int(row[3]))) for row in rows}


def wallet_sums(connection: Connection) -> dict[str, WalletSums]:
    """Add up the touched wallets of each ledger."""
    parts = [func.sum(wallet.c[name]) for name in ("available", "claimable", "pending", "deficit")]
    query = select(wallet.c.ledger, func.count(), *parts).group_by(wallet.c.ledger)
    return {row[0]: WalletSums(*map(int, row[1:])) for row in connection.execute(query)}


def credit_sums(connection: Connection) -> dict[tuple[int, str], CreditSums]:
    """Add up what each close gave each ledger."""
    parts = (func.count(), func.sum(credit.c.delta), func.sum(credit.c.capped))
    query = select(credit.c.epoch, credit.c.ledger, *parts).group_by(credit.c.epoch, credit.c.ledger)
    return {(row[0], row[1]): CreditSums(*map(int, row[2:])) for row in connection.execute(query)}


def moved_wallets(connection: Connection) -> dict[WalletKey, int]:
    """Give what touched wallets have beyond their credits, less what ended: what transfers brought them."""
    has = wallet.c.available + wallet.c.claimable + wallet.c.pending - wallet.c.deficit
    moved = has - wallet.c.credited + wallet.c.expired - wallet.c.written_off
    query = select(wallet.c.ledger, wallet.c.account, moved).where(moved != 0)
    return {(row[0], row[1]): int(row[2]) for row in connection.execute(query)}


def miscredited_wallets(connection: Connection) -> list[Miscredited]:
    """Give the touched wallets that closes up to the one they were stepped to credited otherwise."""
    keys = (credit.c.account, credit.c.ledger)
    applied = wallet.join(
        credit,
        and_(
            credit.c.account == wallet.c.account,
            credit.c.ledger == wallet.c.ledger,
            credit.c.epoch <= wallet.c.applied_epoch,
        ),
    )
    total = func.sum(credit.c.delta).label("total")
    given = select(*keys, total).select_from(applied).group_by(*keys).subquery()
    theirs = and_(given.c.account == wallet.c.account, given.c.ledger == wallet.c.ledger)
    query = (
        select(wallet.c.ledger, wallet.c.account, wallet.c.applied_epoch)
        .select_from(wallet.outerjoin(given, theirs))
        .where(func.coalesce(given.c.total, 0) != wallet.c.credited)
        .order_by(wallet.c.account, wallet.c.ledger)
    )
    return [Miscredited(*row) for row in connection.execute(query)]


def reserved_sums(connection: Connection) -> list[ReservedSums]:
    """Add up reservations by reward, fund and state."""
    keys = [reservation.c[name] for name in ("programme", "reward", "fund", "state")]
    parts = [func.sum(reservation.c[name]) for name in ("points", "fen", "milligrams")]
    rows = connection.execute(select(*keys, *parts).group_by(*keys))
    return [
        ReservedSums(row[0], row[1], row[2], ReservationState(row[3]), int(row[4]), int(row[5]), int(row[6]))
        for row in rows
    ]


def account_counts(connection: Connection, kind: str) -> dict[str, int]:
    """Add up the counters of a kind that end with an account, by what stands before it."""
    before = func.substr(counter.c.name, 1, func.length(counter.c.name) - _ACCOUNT_CHARACTERS)
    query = select(before, func.sum(counter.c.value)).where(
        counter.c.name.like(f"{kind}:%"), func.length(counter.c.name) > _ACCOUNT_CHARACTERS + len(kind)
    )
    return {row[0]: int(row[1]) for row in connection.execute(query.group_by(before))}


def counts(connection: Connection, kind: str) -> dict[str, int]:
    """Give the counters of a kind."""
    query = select(counter.c.name, counter.c.value).where(counter.c.name.like(f"{kind}:%"))
    return {row[0]: int(row[1]) for row in connection.execute(query)}
