"""Places on a public board: every figure with its ±, and nobody shown whose group may be too small.

Two figures whose intervals touch may stand the other way round: a place is certain only where they do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A figure with the half-width of its noise, and the fewest members its group has for certain."""

    key: str
    amount: int
    halfwidth: int
    members_min: int


@dataclass(frozen=True, slots=True)
class Place:
    """A place on a board; certain where the one below cannot be above."""

    place: int
    key: str
    amount: int
    halfwidth: int
    is_certain: bool


def rank(entries: Iterable[Entry], *, group_min: int, places: int) -> list[Place]:
    """Rank the groups that are large enough, the largest figure first, ties by key."""
    shown = sorted(
        (one for one in entries if one.members_min >= group_min), key=lambda one: (-one.amount, one.key)
    )
    return [
        Place(
            number + 1,
            one.key,
            one.amount,
            one.halfwidth,
            all(one.amount - one.halfwidth > low.amount + low.halfwidth for low in shown[number + 1 :]),
        )
        for number, one in enumerate(shown[:places])
    ]
