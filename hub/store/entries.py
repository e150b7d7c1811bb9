"""The log's rows: entries, their bodies and receipts, and the tree head they amount to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from hub.store.dialects import insert_or_replace
from hub.store.schema import body, entry, tree
from privacy.envelope import Kind, open_envelope
from protos.v1.programme_pb2 import Selection


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry as it is kept; `epoch` is 0 where the message speaks of none."""

    index: int
    envelope: bytes
    leaf_hash: bytes
    kind: str
    issuer: str
    epoch: int
    received_at: int
    receipt: bytes


@dataclass(frozen=True, slots=True)
class StoredBody:
    """One body beside an entry."""

    index: int
    position: int
    private: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class TreeHead:
    """Size and root of the log."""

    size: int
    root: bytes


def add_entry(connection: Connection, new: StoredEntry, bodies: Sequence[tuple[bytes, bool]]) -> None:
    """Store an entry with its bodies, each with whether it is private."""
    connection.execute(
        insert(entry).values(
            idx=new.index,
            envelope=new.envelope,
            leaf_hash=new.leaf_hash,
            kind=new.kind,
            issuer=new.issuer,
            epoch=new.epoch,
            received_at=new.received_at,
            receipt=new.receipt,
        )
    )
    if bodies:
        rows = [
            {"idx": new.index, "position": position, "private": int(private), "data": data}
            for position, (data, private) in enumerate(bodies)
        ]
        connection.execute(insert(body), rows)


def set_tree_head(connection: Connection, head: TreeHead) -> None:
    """Make the log's size and root durable with the entries they cover."""
    values = {"id": 1, "size": head.size, "root": head.root}
    connection.execute(insert_or_replace(connection, tree, ["id"], values))


def tree_head(connection: Connection) -> TreeHead | None:
    """Give the stored size and root; None before the first entry."""
    row = connection.execute(select(tree.c.size, tree.c.root)).one_or_none()
    return None if row is None else TreeHead(row.size, row.root)


def find_by_leaf(connection: Connection, leaf_hash: bytes) -> StoredEntry | None:
    """Give the entry of an envelope already in the log."""
    row = connection.execute(select(entry).where(entry.c.leaf_hash == leaf_hash)).one_or_none()
    return None if row is None else StoredEntry(*row)


def read_entry(connection: Connection, index: int) -> StoredEntry | None:
    """Give one entry."""
    row = connection.execute(select(entry).where(entry.c.idx == index)).one_or_none()
    return None if row is None else StoredEntry(*row)


def read_entries(connection: Connection, start: int = 0, end: int | None = None) -> Iterator[StoredEntry]:
    """Give the entries from `start` up to `end`, in order."""
    query = select(entry).where(entry.c.idx >= start).order_by(entry.c.idx)
    if end is not None:
        query = query.where(entry.c.idx < end)
    for row in connection.execute(query).yield_per(256):
        yield StoredEntry(*row)


def find_entries(
    connection: Connection, kind: str, epoch: int | None = None, start: int = 0
) -> list[StoredEntry]:
    """Give the entries of one kind (and epoch) from `start` on, in order."""
    query = select(entry).where(entry.c.kind == kind, entry.c.idx >= start).order_by(entry.c.idx)
    if epoch is not None:
        query = query.where(entry.c.epoch == epoch)
    return [StoredEntry(*row) for row in connection.execute(query)]


def read_bodies(connection: Connection, index: int) -> list[bytes]:
    """Give all bodies of an entry, in order."""
    query = select(body.c.data).where(body.c.idx == index).order_by(body.c.position)
    return list(connection.scalars(query))


def read_body(connection: Connection, index: int, position: int) -> StoredBody | None:
    """Give one body."""
    query = select(body).where(body.c.idx == index, body.c.position == position)
    row = connection.execute(query).one_or_none()
    return None if row is None else _stored_body(row.idx, row.position, row.private, row.data)


def own_indices(connection: Connection, enterprise_id: str, first: int, end: int) -> set[int]:
    """Give the entries whose bodies an enterprise may read: its own, and selections for it."""
    kinds = (Kind.ROSTER_BATCH.value, Kind.RELEASE.value)
    query = select(entry.c.idx).where(
        entry.c.idx >= first, entry.c.idx < end, entry.c.issuer == enterprise_id, entry.c.kind.in_(kinds)
    )
    return set(connection.execute(query).scalars()) | _selections_for(connection, enterprise_id, first, end)


def _selections_for(connection: Connection, enterprise_id: str, first: int, end: int) -> set[int]:
    """Give the selections from `first` up to `end` that are addressed to an enterprise."""
    query = select(entry.c.idx, entry.c.envelope).where(
        entry.c.idx >= first, entry.c.idx < end, entry.c.kind == Kind.SELECTION.value
    )
    return {
        row.idx
        for row in connection.execute(query)
        if open_envelope(row.envelope).parse(Selection).enterprise_id == enterprise_id
    }


def walk_bodies(connection: Connection, first: int, end: int) -> Iterator[StoredBody]:
    """Give the bodies of the entries from `first` up to `end`, in order."""
    query = select(body).where(body.c.idx >= first, body.c.idx < end).order_by(body.c.idx, body.c.position)
    for row in connection.execute(query).yield_per(8):
        yield _stored_body(row.idx, row.position, row.private, row.data)


def _stored_body(index: int, position: int, private: int, data: bytes) -> StoredBody:
    return StoredBody(index, position, bool(private), data)
