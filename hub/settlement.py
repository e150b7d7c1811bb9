"""What a partner delivered and is owed: a signed statement over lines that anybody holding them can check.

Its period is a range of operations, so two statements that follow one another miss nothing and count nothing
twice. A line is a confirmed order of the partner's rewards; a disputed one comes back, its money negative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from accounting.ledger.books import Reservation
from accounting.programmes.programme import Programme
from hub.store.operations import next_operation, read_operations
from hub.store.reservations import read_reservations
from privacy import codec, envelope, merkle
from privacy.envelope import Kind
from privacy.keys import SigningKey
from protos.v1 import ledger_pb2, reward_pb2

Version = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Settlement:
    """A statement, its lines encoded in order, and its signed form."""

    statement: reward_pb2.SettlementStatement
    lines: tuple[bytes, ...]
    envelope: bytes


def settle_partner(
    connection: Connection,
    programmes: Sequence[Programme],
    partner: str,
    *,
    first: int,
    end: int | None,
    origin: str,
    key: SigningKey,
    now: int,
) -> Settlement:
    """State what a partner delivered in the operations from `first` up to `end` (all so far by default)."""
    until = next_operation(connection) if end is None else min(end, next_operation(connection))
    versions = {(one.id, one.version): one for one in programmes}
    found = list(_lines(connection, versions, partner, first, until))
    lines = tuple(codec.encode(one) for one in found)
    statement = reward_pb2.SettlementStatement(
        origin=origin,
        partner=partner,
        first_operation=first,
        end_operation=until,
        count=len(lines),
        fen=sum(one.fen for one in found),
        lines_root=merkle.root(lines),
        issued_at=now,
    )
    return Settlement(statement, lines, envelope.sign(codec.encode(statement), Kind.SETTLEMENT, [key]))


def _lines(
    connection: Connection, versions: Mapping[Version, Programme], partner: str, first: int, end: int
) -> Iterator[reward_pb2.SettlementLine]:
    keys = {
        one.seq: found
        for one in read_operations(connection, first, end)
        if (found := _order_of(ledger_pb2.Operation.FromString(one.data))) is not None
    }
    orders = read_reservations(connection, {key for key, _ in keys.values()})
    for number, (key, sign) in sorted(keys.items()):
        order = orders[key]
        if order.fen and _partner(versions, order) == partner:
            yield reward_pb2.SettlementLine(
                operation=number,
                order_key=key,
                programme=order.programme,
                reward=order.reward,
                quantity=order.quantity,
                fen=sign * order.fen,
            )


def _order_of(operation: ledger_pb2.Operation) -> tuple[bytes, int] | None:
    """Give the order an operation settles, and whether it adds or takes back; None for all others."""
    match operation.WhichOneof("act"):
        case "confirm":
            return operation.confirm.reserve_key, 1
        case "dispute":
            return operation.dispute.reserve_key, -1
        case _:
            return None


def _partner(versions: Mapping[Version, Programme], order: Reservation) -> str | None:
    return versions[order.programme, order.version].rewards[order.reward].partner
