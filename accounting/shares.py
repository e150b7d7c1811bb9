"""A whole amount cut into parts of 10,000 that add up to it, what floors leave by largest remainder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Holder = TypeVar("Holder", bytes, str)

BASIS_POINTS = 10_000


def cut(amount: int, parts: Sequence[tuple[Holder, int]]) -> list[tuple[Holder, int]]:
    """Cut an amount, negative ones too; of equal remainders the smaller name gets the unit.

    `parts` are in ten-thousandths and add up.
    """
    floors = {holder: amount * points // BASIS_POINTS for holder, points in parts}
    left = amount - sum(floors.values())
    by_remainder = sorted(parts, key=lambda one: (-(amount * one[1] % BASIS_POINTS), one[0]))
    for holder, _ in by_remainder[:left]:
        floors[holder] += 1
    return [(holder, floors[holder]) for holder, _ in parts]


def cut_variance(variance: int, points: int) -> int:
    """Give the variance of a part, rounded up: the square of its share."""
    return -(-variance * points * points // BASIS_POINTS**2)
