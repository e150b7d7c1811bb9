"""Charity pools: each time one is full its lots are planted, and every planting can be shown in the log.

A planting is an operation like any other. Its certificate is the operation's bytes, the proof that they stand
under the root of a journal segment, that segment, and its C2SP tlog-proof: whoever has the trust root needs
nobody else.
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
from hub.log import PublicLog
from hub.store.entries import read_entry
from hub.store.operations import Segment, StoredOperation, numbered_moving, read_operations, segment_of
from hub.stored_books import StoredBooks
from privacy import merkle
from privacy.journal import leaf
from protos.problems import Conflict, Refused
from protos.v1 import ledger_pb2

_TAG = b"cgsp plant\x1f"
_KEY_BYTES = 16
# Each proof is reckoned from its whole segment.
LISTED_MAX = 20


@dataclass(frozen=True, slots=True)
class Planting:
    """Lots planted: the operation, its proof to the segment that holds it, and that one's to the log."""

    number: int
    lots: int
    operation: bytes
    entry: int
    index: int
    count: int
    proof: tuple[bytes, ...]
    segment: bytes
    tlog_proof: bytes

    def to_json(self) -> dict[str, Any]:
        """Give the certificate as JSON; bytes in hex, the tlog-proof as the text it is."""
        return {
            "number": self.number,
            "lots": self.lots,
            "operation": self.operation.hex(),
            "segment_entry": self.entry,
            "segment_index": self.index,
            "segment_count": self.count,
            "proof": [one.hex() for one in self.proof],
            "segment": self.segment.hex(),
            "tlog_proof": self.tlog_proof.decode(),
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


def plantings(
    connection: Connection, log: PublicLog, programme: str, reward: str, *, since: int = 0
) -> list[Planting]:
    """List the first plantings from a number on that a checkpoint covers, in order."""
    found: list[Planting] = []
    for one in numbered_moving(connection, Code.PLANT, since):
        plant = ledger_pb2.Operation.FromString(one.data).plant
        segment = segment_of(connection, one.seq)
        if (plant.programme, plant.reward) != (programme, reward) or segment is None:
            continue
        tlog_proof = log.prove(segment.entry)
        if tlog_proof is None or len(found) == LISTED_MAX:
            break
        found.append(_proved(connection, one, plant.lots, segment, tlog_proof))
    return found


def _proved(
    connection: Connection, stored: StoredOperation, lots: int, segment: Segment, tlog_proof: bytes
) -> Planting:
    entry = read_entry(connection, segment.entry)
    operations = read_operations(connection, segment.first, segment.first + segment.count)
    leaves = [merkle.leaf_hash(leaf(one.data)) for one in operations]
    index = stored.seq - segment.first
    return Planting(
        number=stored.seq,
        lots=lots,
        operation=stored.data,
        entry=segment.entry,
        index=index,
        count=segment.count,
        proof=tuple(merkle.inclusion_proof(leaves, index)),
        segment=entry.envelope if entry is not None else b"",
        tlog_proof=tlog_proof,
    )


def _of(books: StoredBooks, account: LedgerAccount) -> int:
    return books.balance(account).of(account)
