"""What may be said of a person's reductions without their history: a lower bound aware of noise.

Over a window of epochs a person's grams are the difference of two positions, D = P(last) - P(before). Both
hold the same months' noise with weights that are not negative (a month's own, and what an anchor leaves of
it), so Var(D) <= V(last) + V(before). D less z standard deviations of that lies above the truth at z's odds.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from accounting.ledger.spending import reserve
from protos.epochs import Epoch, shift_epoch

MG_PER_GRAM = 1_000


class Credited(NamedTuple):
    """What one close credited in mg of claims, and the variance of the whole position after it, mg^2."""

    epoch: Epoch
    delta: int
    variance: int


def window(last: Epoch, months: int) -> tuple[Epoch, Epoch]:
    """Give the first and last of so many epochs that end with `last`."""
    return shift_epoch(last, 1 - months), last


def lower_bound_grams(credits: Iterable[Credited], first: Epoch, last: Epoch, z: Fraction) -> int:
    """Give the grams of the epochs from first to last that hold but for noise beyond z; never below zero."""
    before = inside = 0
    total = 0
    for one in sorted(credits):
        if one.epoch < first:
            before = one.variance
        elif one.epoch <= last:
            total += one.delta
            inside = one.variance
    return max(0, total - reserve(before + inside, z)) // MG_PER_GRAM
