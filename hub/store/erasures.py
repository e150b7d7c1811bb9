"""Overwrites openings by order of the log, in the order's transaction: the one change ever made to a body."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection, delete, insert, select, update

from hub.store.account_schema import ticket
from hub.store.ledger_schema import operation
from hub.store.schema import body, body_erasure, entry, link
from privacy.envelope import Kind

# Where pseudonyms and tickets stand, or stood before an order.
ERASED_TABLES = (body, operation, link, ticket)


def roster_indices(connection: Connection, enterprise_id: str) -> Sequence[int]:
    """Give the entries of an enterprise's roster batches, in order."""
    query = select(entry.c.idx).where(
        entry.c.kind == Kind.ROSTER_BATCH.value, entry.c.issuer == enterprise_id
    )
    return list(connection.scalars(query.order_by(entry.c.idx)))


def indices_of(connection: Connection, kind: Kind) -> Sequence[int]:
    """Give the entries of a kind, in order."""
    return list(
        connection.scalars(select(entry.c.idx).where(entry.c.kind == kind.value).order_by(entry.c.idx))
    )


def openings(connection: Connection, index: int) -> Iterator[tuple[int, bytes]]:
    """Give position and bytes of each opening beside a roster or link batch, one at a time."""
    positions = connection.scalars(
        select(body.c.position).where(body.c.idx == index, body.c.private == 1).order_by(body.c.position)
    ).all()
    for position in positions:
        found = connection.scalar(select(body.c.data).where(body.c.idx == index, body.c.position == position))
        assert found is not None
        yield position, found


def link_indices(connection: Connection, pseudonyms: Collection[bytes]) -> dict[int, set[bytes]]:
    """Give the link batches in which pseudonyms stand, and which in each."""
    found: dict[int, set[bytes]] = {}
    for pseudonym in pseudonyms:
        for index in connection.scalars(select(link.c.idx).where(link.c.pseudonym == pseudonym)):
            found.setdefault(index, set()).add(pseudonym)
    return found


def overwrite(connection: Connection, order_index: int, index: int, position: int, data: bytes) -> None:
    """Put other bytes in a body's place; the database lets it pass once, for an order in the log."""
    connection.execute(insert(body_erasure).values(idx=index, position=position, order_idx=order_index))
    connection.execute(update(body).where(body.c.idx == index, body.c.position == position).values(data=data))


def operations_naming(connection: Connection, pseudonyms: Collection[bytes]) -> list[tuple[int, bytes]]:
    """Give number and bytes of the operations in which pseudonyms stand: in the tickets they rest on."""
    if not pseudonyms:
        return []
    rows = connection.execute(select(operation.c.seq, operation.c.data))
    return [(row.seq, row.data) for row in rows if any(one in row.data for one in pseudonyms)]


def overwrite_operation(connection: Connection, number: int, data: bytes) -> None:
    """Put other bytes in an operation's place; as many, which passes once an order is logged."""
    connection.execute(update(operation).where(operation.c.seq == number).values(data=data))


def remove_links(connection: Connection, pseudonyms: Collection[bytes]) -> None:
    """Forget whose account a pseudonym had."""
    for pseudonym in pseudonyms:
        connection.execute(delete(link).where(link.c.pseudonym == pseudonym))
