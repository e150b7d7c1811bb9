"""Charity pools: each time one is full its lots are planted, and every planting can be shown in the log.

A planting is an operation like any other. Its certificate is the operation's bytes with the proof that they
stand under the root a journal segment in the log names: whoever has the log's checkpoint needs nobody else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from accounting.ledger import chart
from accounting.ledger.chart import LedgerAccount
from accounting.ledger.transfers import Code
from accounting.programmes.programme import Programme
from hub.ledger import Ledger
from hub.store.operations import StoredOperation, numbered_moving, read_operations, segment_of
from hub.stored_books import StoredBooks
from privacy import merkle
from privacy.journal import leaf
from protos.problems import Conflict, Refused
from protos.v1 import ledger_pb2

_TAG = b"cgsp plant\x1f"
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Planting:
    """Lots planted: the operation, the entry of the segment that holds it, and its place and proof there."""

    number: int
    lots: int
    operation: bytes
    entry: int
    index: int
    count: int
    proof: tuple[bytes, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the certificate as JSON; bytes in hex."""
        return {
            "number": self.number,
            "lots": self.lots,
            "operation": self.operation.hex(),
            "segment_entry": self.entry,
            "segment_index": self.index,
            "segment_count": self.count,
            "proof": [one.hex() for one in self.proof],
        }


def plant_due(ledger: Ledger, books: StoredBooks, programme: Programme, reward: str) -> int:
    """Plant the lots a pool is full for; give how many. Two who find the same lots plant them once."""
    tree = programme.rewards[reward].tree
    if tree is None:
        return 0
    given = chart.redeemed(programme.id, programme.rewards[reward].kind.value, reward)
    lots = _of(books, given) // tree.points
    if lots < 1:
        return 0
    planted = _of(books, chart.planted(programme.id, reward)) // tree.points
    named = f"{programme.id}\x1f{reward}\x1f{planted}".encode()
    operation = ledger_pb2.Operation(key=hashlib.sha256(_TAG + named).digest()[:_KEY_BYTES])
    operation.plant.programme, operation.plant.reward, operation.plant.lots = programme.id, reward, lots
    try:
        ledger.submit(operation)
    except (Conflict, Refused):
        # Another confirmation has planted them meanwhile, or the programme has ended: a later one plants.
        return 0
    return lots


def plantings(connection: Connection, programme: str, reward: str) -> list[Planting]:
    """List what was planted and sealed into the log, in order."""
    found = []
    for one in numbered_moving(connection, Code.PLANT):
        plant = ledger_pb2.Operation.FromString(one.data).plant
        segment = segment_of(connection, one.seq)
        if (plant.programme, plant.reward) == (programme, reward) and segment is not None:
            found.append(_proved(connection, one, plant.lots, *segment))
    return found


def _proved(
    connection: Connection, stored: StoredOperation, lots: int, first: int, count: int, entry: int
) -> Planting:
    operations = read_operations(connection, first, first + count)
    leaves = [merkle.leaf_hash(leaf(one.data)) for one in operations]
    index = stored.seq - first
    proof = tuple(merkle.inclusion_proof(leaves, index))
    return Planting(stored.seq, lots, stored.data, entry, index, count, proof)


def _of(books: StoredBooks, account: LedgerAccount) -> int:
    return books.balance(account).of(account)
