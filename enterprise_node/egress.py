"""The egress journal: one chained row for everything that leaves the node, written before it leaves.

An auditor on the premises compares it with the hub's log and the custodians' signed counts. A row speaks of
bytes, hashes and destinations, never of content; each row's chain value covers all rows before it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from enterprise_node.store.egress import EgressEntry
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

if TYPE_CHECKING:
    from enterprise_node.store.database import Database
    from enterprise_node.store.egress import EgressTable

NO_ENTRY = bytes(32)
NO_ENVELOPE = b""


class EgressKind(StrEnum):
    """The closed list of what may leave."""

    JOIN = "join"
    READ = "read"
    ROSTER_BATCH = "roster-batch"
    RESERVATION = "reservation"
    RELEASE = "release"
    NOTHING_TO_REPORT = "nothing-to-report"
    ERASURE_ORDER = "erasure-order"
    DEPOSIT = "deposit"
    COMMITMENT = "commitment"
    BLINDED_BATCH = "blinded-batch"


class EgressJournal:
    """Appends to the journal and checks it."""

    def __init__(self, database: Database, table: EgressTable, clock: Callable[[], float]) -> None:
        self._database = database
        self._table = table
        self._clock = clock

    def record(
        self,
        kind: EgressKind,
        destination: str,
        parts: Iterable[bytes],
        *,
        envelope_hash: bytes = NO_ENVELOPE,
        extra: int = 0,
    ) -> EgressEntry:
        """Write down, durably, that these bytes are about to leave; a re-send is a row of its own.

        `extra` bytes go along that are bound by `envelope_hash` instead of the hash over the parts.
        """
        size, digest = extra, hashlib.sha256()
        for part in parts:
            size += len(part)
            digest.update(part)
        with self._database.transaction():
            last = self._table.last()
            entry = EgressEntry(
                number=last.number + 1 if last else 1,
                time=int(self._clock()),
                destination=destination,
                kind=kind.value,
                size=size,
                sha256=digest.digest(),
                envelope_hash=envelope_hash,
                chain=b"",
            )
            entry = entry._replace(chain=chain_value(last.chain if last else NO_ENTRY, entry))
            self._table.append(entry)
        return entry

    def entries(self) -> list[EgressEntry]:
        """Give all rows, oldest first; raises InvariantBroken where the chain does not hold."""
        entries = self._table.all()
        check_chain(entries)
        return entries

    def bytes_total(self) -> int:
        """Count the bytes of everything that left."""
        return self._table.bytes_total()


def chain_value(previous: bytes, entry: EgressEntry) -> bytes:
    """Hash the chain value before and every field of the row, each with its length."""
    fields = (
        struct.pack(">QQQ", entry.number, entry.time, entry.size),
        entry.destination.encode(),
        entry.kind.encode(),
        entry.sha256,
        entry.envelope_hash,
    )
    digest = hashlib.sha256(previous)
    for field in fields:
        digest.update(struct.pack(">I", len(field)))
        digest.update(field)
    return digest.digest()


def check_chain(entries: Iterable[EgressEntry]) -> None:
    """Check that no row was changed, dropped or put in between; raises InvariantBroken naming the row."""
    previous = NO_ENTRY
    for number, entry in enumerate(entries, start=1):
        if entry.number != number or chain_value(previous, entry) != entry.chain:
            raise InvariantBroken(
                REASON_INVARIANT_BROKEN,
                f"The egress journal was changed at row {number}.",
                remedy="Restore the node's state from a backup and find out who changed it.",
            )
        previous = entry.chain
