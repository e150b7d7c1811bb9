"""Voucher codes as they are kept: sealed, numbered by reward, each with the order it was given to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from accounting.ledger.books import ReservationState
from hub.store.ledger_schema import reservation
from hub.store.reward_schema import voucher

_GIVEN_BACK = (int(ReservationState.CANCELLED), int(ReservationState.LAPSED))


class SealedCode(NamedTuple):
    """A code as it is kept, and what it is good for."""

    programme: str
    reward: str
    sealed: bytes


def any_code(connection: Connection) -> SealedCode | None:
    """Give one of the codes, None where there are none."""
    query = select(voucher.c.programme, voucher.c.reward, voucher.c.sealed).limit(1)
    row = connection.execute(query).first()
    return SealedCode(*row) if row else None


def add_codes(
    connection: Connection, programme: str, reward: str, codes: Sequence[tuple[bytes, bytes]]
) -> int:
    """Store sealed codes with their marks, leaving out those that are there; give how many are new."""
    marks = [mark for _, mark in codes]
    known = set(connection.scalars(select(voucher.c.mark).where(voucher.c.mark.in_(marks))))
    mine = and_(voucher.c.programme == programme, voucher.c.reward == reward)
    last = connection.scalar(select(func.max(voucher.c.number)).where(mine))
    first = 0 if last is None else last + 1
    by_mark = {mark: sealed for sealed, mark in codes}
    fresh = [(mark, sealed) for mark, sealed in by_mark.items() if mark not in known]
    rows = [
        {
            "programme": programme,
            "reward": reward,
            "number": first + at,
            "sealed": sealed,
            "mark": mark,
            "order_key": None,
            "held_at": 0,
        }
        for at, (mark, sealed) in enumerate(fresh)
    ]
    if rows:
        connection.execute(insert(voucher), rows)
    return len(rows)


def hold_codes(
    connection: Connection, programme: str, reward: str, order_key: bytes, quantity: int, now: int
) -> int:
    """Keep as many free codes for an order, the lowest numbers; give how many it has now."""
    if _is_made(connection, order_key):
        # Asked again: what it has stays what it has.
        return quantity
    mine = and_(voucher.c.programme == programme, voucher.c.reward == reward)
    counted = select(func.count()).select_from(voucher).where(voucher.c.order_key == order_key)
    held = connection.scalar(counted) or 0
    missing = quantity - held
    free = select(voucher.c.number).where(mine, voucher.c.order_key.is_(None))
    numbers = list(connection.scalars(free.order_by(voucher.c.number).limit(max(missing, 0))))
    if len(numbers) == missing:
        change = update(voucher).where(mine, voucher.c.number.in_(numbers))
        connection.execute(change.values(order_key=order_key, held_at=now))
        return quantity
    return held


def release_codes(connection: Connection, order_key: bytes) -> None:
    """Give back the codes kept for an order that was never made."""
    if not _is_made(connection, order_key):
        change = update(voucher).where(voucher.c.order_key == order_key)
        connection.execute(change.values(order_key=None, held_at=0))


def reclaim_codes(connection: Connection, before: int) -> None:
    """Free the codes of orders called off or lapsed, and those kept before a time for no order at all."""
    ended = select(reservation.c.key).where(reservation.c.state.in_(_GIVEN_BACK))
    orders = select(reservation.c.key)
    stale = and_(voucher.c.held_at < before, voucher.c.order_key.not_in(orders))
    change = update(voucher).where(
        voucher.c.order_key.is_not(None), or_(voucher.c.order_key.in_(ended), stale)
    )
    connection.execute(change.values(order_key=None, held_at=0))


def codes_of(connection: Connection, order_key: bytes) -> list[tuple[int, bytes]]:
    """Give the numbers and sealed codes kept for an order."""
    query = select(voucher.c.number, voucher.c.sealed).where(voucher.c.order_key == order_key)
    return [(row.number, row.sealed) for row in connection.execute(query.order_by(voucher.c.number))]


def _is_made(connection: Connection, order_key: bytes) -> bool:
    there = select(reservation.c.key).where(reservation.c.key == order_key)
    return connection.scalar(there) is not None
