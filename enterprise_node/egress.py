"""The egress journal: one chained row for everything that leaves the node, written before it leaves.

An auditor on the premises compares it with the hub's log and the custodians' signed counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from privacy.egress import NO_ENTRY, EgressEntry, EgressKind, chain_value, first_broken
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

if TYPE_CHECKING:
    from enterprise_node.store.database import Database
    from enterprise_node.store.egress import EgressTable

NO_ENVELOPE = b""


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


def check_chain(entries: Iterable[EgressEntry]) -> None:
    """Check that no row was changed, dropped or put in between; raises InvariantBroken naming the row."""
    broken = first_broken(entries)
    if broken is not None:
        raise InvariantBroken(
            REASON_INVARIANT_BROKEN,
            f"The egress journal was changed at row {broken}.",
            remedy="Restore the node's state from a backup and find out who changed it.",
        )
