"""Erasure: salts and pseudonyms of ordered slots are zero wherever they lay, and every proof holds as before.

An order leaves the public slot, the grams released to it, and the account `erased` of its enterprise, which
takes them in a replay. A link goes with the last slot that named its pseudonym.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from privacy.chunks import HALF_BYTES

ERASED = bytes(HALF_BYTES)
# Slot numbers take 4 bytes each in an envelope that must fit a log entry.
SLOTS_MAX = 10_000

_ACCOUNT_TAG = b"cgsp erased account v1\0"


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order in the log: its entry, whose slots, and which."""

    index: int
    enterprise_id: str
    slots: tuple[int, ...]


def erased_account(enterprise_id: str) -> bytes:
    """Give the id of the account that takes the grams of an enterprise's erased slots.

    It stands for the pseudonym as well where rows are joined by one.
    """
    return hashlib.sha256(_ACCOUNT_TAG + enterprise_id.encode()).digest()[:HALF_BYTES]


def ordered_since(orders: Collection[Ordered], size: int) -> int:
    """Count the slots erased by orders that stand behind the first `size` entries.

    Accounts folded from those entries alone cannot be folded again row by row; their total can.
    """
    return sum(len(order.slots) for order in orders if order.index >= size)


def holds(rows: bytes | bytearray, pseudonym: bytes) -> bool:
    """Say whether a pseudonym stands among rows lying end to end."""
    at = rows.find(pseudonym)
    while at >= 0 and at % HALF_BYTES:
        at = rows.find(pseudonym, at + 1)
    return at >= 0
