"""What operations change besides wallets: balances of other ledger accounts, reservations, counters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, case, func, select

from accounting.ledger.books import Reservation, ReservationState
from accounting.ledger.chart import LedgerAccount
from accounting.ledger.transfers import Balance
from hub.store.keyed import Keyed, read_keyed
from hub.store.ledger_schema import counter, operation, reservation, system_balance
from hub.store.rows import ROWS_AT_ONCE, Row, Rows, write
from protos.epochs import Epoch

_NAMES = [one.name for one in fields(Reservation)]
# A reservation as a row, but for its state, which comes last.
_PARTS = attrgetter(*_NAMES[:-1])


def walk_balances(connection: Connection) -> Iterator[tuple[LedgerAccount, Balance]]:
    """Give the balances of all accounts that are nobody's wallet, ascending by id."""
    query = select(system_balance).order_by(system_balance.c.id)
    for row in connection.execute(query).yield_per(ROWS_AT_ONCE):
        yield LedgerAccount(row.ledger, row.path), Balance(row.debits, row.credits)


def put_balances(connection: Connection, balances: Mapping[LedgerAccount, Balance]) -> None:
    """Store balances as they are now."""
    write(connection, balance_rows(balances))


def balance_rows(balances: Mapping[LedgerAccount, Balance]) -> Rows:
    """Lay out balances as rows."""
    rows = [(one.id, one.ledger, one.path, had.debits, had.credits) for one, had in balances.items()]
    return Rows(system_balance, rows, ("id",))


def read_reservations(connection: Connection, keys: Collection[bytes]) -> dict[bytes, Reservation]:
    """Find reservations by the keys of their Reserves."""
    return keyed_reservations(read_keyed(connection, reservation_lookup(keys))[0])


def reservation_lookup(keys: Collection[bytes]) -> Keyed:
    """Say how reservations are found."""
    return Keyed(reservation, "key", keys)


def keyed_reservations(rows: Iterable[Row]) -> dict[bytes, Reservation]:
    """Give the reservations in rows found by their keys."""
    return {one.key: one for one in map(_reservation, rows)}


def lapsing_reservations(connection: Connection, now: int, limit: int) -> list[Reservation]:
    """Give the reservations whose time is over, the oldest first."""
    query = select(reservation).where(
        reservation.c.state == int(ReservationState.RESERVED), reservation.c.expires_at <= now
    )
    ordered = query.order_by(reservation.c.expires_at, reservation.c.key).limit(limit)
    return [_reservation(row) for row in connection.execute(ordered)]


class Reserved(NamedTuple):
    """Open reservations: all, those that lapse soon, those that wait for a fund's money."""

    orders: int
    lapsing: int
    unfunded: int


def count_reserved(connection: Connection, *, soon: int) -> Reserved:
    """Count what is reserved; `soon` is the time before which lapsing is near."""
    is_lapsing = reservation.c.expires_at <= soon
    waits = (reservation.c.fund == "") & (reservation.c.fen > 0)
    columns = (
        func.count(),
        func.count(case((is_lapsing, 1))),
        func.count(case((waits, 1))),
    )
    query = select(*columns).where(reservation.c.state == int(ReservationState.RESERVED))
    return Reserved(*connection.execute(query).one())


def waiting_reservations(connection: Connection, programme: str) -> list[Reservation]:
    """Give a programme's reservations that wait for money, in the order they were made."""
    query = (
        select(reservation)
        .join(operation, operation.c.key == reservation.c.key)
        .where(
            reservation.c.state == int(ReservationState.RESERVED),
            reservation.c.programme == programme,
            reservation.c.fund == "",
            reservation.c.fen > 0,
        )
    )
    return [_reservation(row) for row in connection.execute(query.order_by(operation.c.seq))]


def reservation_rows(reservations: Iterable[Reservation]) -> Rows:
    """Lay out reservations as rows."""
    return Rows(reservation, [(*_PARTS(one), int(one.state)) for one in reservations], ("key",))


def read_counts(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Read counters; those never counted are not among them."""
    return dict(read_keyed(connection, count_lookup(names))[0])


def count_lookup(names: Collection[str]) -> Keyed:
    """Say how counters are found; a row is a name and a value."""
    return Keyed(counter, "name", names)


def count_rows(counts: Mapping[str, int]) -> Rows:
    """Lay out counters as rows."""
    return Rows(counter, list(counts.items()), ("name",))


def _reservation(row: Any) -> Reservation:
    values = dict(zip(_NAMES, row, strict=True))
    values["epoch"], values["state"] = Epoch(values["epoch"]), ReservationState(values["state"])
    return Reservation(**values)
