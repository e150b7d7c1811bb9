"""A node's egress journal: what may leave, the row written before it does, and the chain over all rows.

The node writes the rows; an auditor on the premises replays the chain. A row speaks of bytes, hashes and
destinations, never of content.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

NO_ENTRY = bytes(32)
COUNT_MAX = (1 << 64) - 1


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


class EgressEntry(NamedTuple):
    """One thing that left: when (seconds since 1970), where to, what, how many bytes, and their hash."""

    number: int
    time: int
    destination: str
    kind: str
    size: int
    sha256: bytes
    envelope_hash: bytes
    # SHA-256 over the chain value before and this row.
    chain: bytes


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


def first_broken(entries: Iterable[EgressEntry]) -> int | None:
    """Give the place, from 1, of the first row that was changed or is not where it was; None if none is."""
    previous = NO_ENTRY
    for number, entry in enumerate(entries, start=1):
        if entry.number != number or chain_value(previous, entry) != entry.chain:
            return number
        previous = entry.chain
    return None
