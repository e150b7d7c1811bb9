"""The journal of the ledgers: operations with their answers, their transfers, the segments that seal them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, select

from accounting.ledger.books import Outcome, Received
from accounting.ledger.transfers import Code, Transfer
from hub.store.keyed import Keyed, read_keyed
from hub.store.ledger_schema import operation, received, segment, transfer
from hub.store.rows import ROWS_AT_ONCE, Row, Rows
from protos.epochs import Epoch


class StoredOperation(NamedTuple):
    """One operation as it is kept, and the answer that was given."""

    seq: int
    key: bytes
    act_hash: bytes
    at: int
    data: bytes
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed run of operations: the number of its first, how many, and the entry that holds it."""

    first: int
    count: int
    entry: int


def find_operations(connection: Connection, keys: Collection[bytes]) -> dict[bytes, StoredOperation]:
    """Find the operations that have used these keys."""
    return keyed_operations(read_keyed(connection, operation_lookup(keys))[0])


def operation_lookup(keys: Collection[bytes]) -> Keyed:
    """Say how the operations that have used these keys are found."""
    return Keyed(operation, "key", keys)


def keyed_operations(rows: Iterable[Row]) -> dict[bytes, StoredOperation]:
    """Give the operations in rows found by their keys."""
    return {one.key: one for one in map(_operation, rows)}


def operations_moving(connection: Connection, code: Code) -> list[bytes]:
    """Give the operations with transfers of a code, in order."""
    moving = select(transfer.c.operation).where(_has(code)).distinct()
    query = select(operation.c.data).where(operation.c.seq.in_(moving)).order_by(operation.c.seq)
    return list(connection.scalars(query))


def numbered_moving(connection: Connection, code: Code, since: int = 0) -> list[StoredOperation]:
    """Give the operations from a number on with transfers of a code, whole, in order."""
    moving = select(transfer.c.operation).where(_has(code), transfer.c.operation >= since)
    query = select(operation).where(operation.c.seq.in_(moving)).order_by(operation.c.seq)
    return [_operation(row) for row in connection.execute(query)]


def _has(code: Code) -> ColumnElement[bool]:
    """Ask for a code by its number in the text: a partial index serves no value that is not known yet."""
    return transfer.c.code == bindparam("code", int(code), literal_execute=True)


def segment_of(connection: Connection, seq: int) -> Segment | None:
    """Give the segment an operation is sealed in; None while it is open."""
    query = select(segment).where(segment.c.first <= seq).order_by(segment.c.first.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    found = Segment(*row)
    return found if seq < found.first + found.count else None


def last_operation_at(connection: Connection) -> int:
    """Give the time of the last operation; 0 before the first."""
    return connection.scalar(select(operation.c.at).order_by(operation.c.seq.desc()).limit(1)) or 0


def operations_since(connection: Connection, at: int) -> list[bytes]:
    """Give the operations from a time on, in order; times do not go back."""
    query = select(operation.c.at, operation.c.data).order_by(operation.c.seq.desc())
    found = []
    for row in connection.execute(query).yield_per(ROWS_AT_ONCE):
        if row.at < at:
            break
        found.append(row.data)
    return found[::-1]


def all_received(connection: Connection) -> list[Received]:
    """Give all points that operations gave otherwise than by a close."""
    query = select(received).order_by(received.c.operation)
    return [
        Received(row.ledger, row.account, Epoch(row.epoch), row.points) for row in connection.execute(query)
    ]


def next_operation(connection: Connection) -> int:
    """Give the number of the next operation."""
    last = connection.scalar(select(func.max(operation.c.seq)))
    return 0 if last is None else last + 1


def read_operations(connection: Connection, first: int, end: int | None = None) -> Iterator[StoredOperation]:
    """Give the operations from `first` up to `end`, in order."""
    query = select(operation).where(operation.c.seq >= first).order_by(operation.c.seq)
    if end is not None:
        query = query.where(operation.c.seq < end)
    for row in connection.execute(query).yield_per(ROWS_AT_ONCE):
        yield _operation(row)


def operation_rows(rows: Iterable[StoredOperation]) -> Rows:
    """Lay out operations as rows."""
    return Rows(operation, [(*row[:5], *row.outcome) for row in rows])


def transfer_rows(rows: Iterable[tuple[int, int, Transfer]], epoch: Epoch) -> Rows:
    """Lay out transfers as rows."""
    values = [
        (seq, place, one.ledger, one.debit.id, one.credit.id, one.amount, int(one.code), int(epoch))
        for seq, place, one in rows
    ]
    return Rows(transfer, values)


def received_rows(rows: Iterable[tuple[int, Received]]) -> Rows:
    """Lay out points received as rows."""
    return Rows(received, [(seq, *one) for seq, one in rows])


def add_segment(connection: Connection, first: int, count: int, index: int) -> None:
    """Record which entry seals operations."""
    connection.execute(insert(segment).values(first=first, count=count, idx=index))


def sealed_operations(connection: Connection) -> int:
    """Count the operations that are in segments: all below this number."""
    row = connection.execute(select(segment).order_by(segment.c.first.desc()).limit(1)).one_or_none()
    return 0 if row is None else row.first + row.count


class Unsealed(NamedTuple):
    """Operations no segment holds yet, and when the oldest was taken; None where there is none."""

    operations: int
    since: int | None


def read_unsealed(connection: Connection) -> Unsealed:
    """Say what a segment is still to seal."""
    query = select(func.count(), func.min(operation.c.at)).where(
        operation.c.seq >= sealed_operations(connection)
    )
    return Unsealed(*connection.execute(query).one())


def _operation(row: Any) -> StoredOperation:
    seq, key, act_hash, at, data, *outcome = row
    return StoredOperation(seq, key, act_hash, at, data, Outcome(*outcome))
