"""Cells and statements of one enterprise compared: is their difference noise, and what was agreed on?

Both sum the same persons' grams, yet not the same grams: a statement clamps each day, a cell each month;
a statement carries late parts, a cell counts persons with records of the month. What that may come to is
agreed in the signed policy, as a part of the exact statements. Beyond it a difference is noise, and noise has
a bound: by Chernoff's inequality over the moment generating function of a Laplace, 1 / (1 - s^2 b^2), which
is never below that of the discrete one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

WHOLE_BASIS_POINTS = 10_000
# Where days are clamped far below their usual amounts, cells hold a multiple of what statements do.
DIFFERENCE_BASIS_POINTS_MAX = 10 * WHOLE_BASIS_POINTS
# Powers of this below one over the largest scale are tried; any of them gives a bound that holds.
_STEP = 2 ** (-1 / 4)
_STEPS = 80


@dataclass(slots=True)
class Noised:
    """Released figures added up, in grams, and how many noises of each scale are in them."""

    grams: int = 0
    scales: Counter[int] = field(default_factory=Counter)

    def add(self, grams: int, scale: int, figures: int = 1) -> None:
        """Add figures that bear noise of one scale."""
        self.grams += grams
        self.scales[scale] += figures

    def include(self, other: Noised) -> None:
        """Add what was added up elsewhere."""
        self.grams += other.grams
        self.scales.update(other.scales)


@dataclass(frozen=True, slots=True)
class Compared:
    """An enterprise's cells beside its statements, and the part of these that they may differ by."""

    cells: Noised
    statements: Noised
    basis_points_max: int

    @property
    def difference_grams(self) -> int:
        """Give the cells less the statements."""
        return self.cells.grams - self.statements.grams

    @property
    def sigma_grams(self) -> int:
        """Give the standard deviation of the noise in the difference, rounded up."""
        variance = sum(
            2 * scale * scale * figures
            for side in (self.cells, self.statements)
            for scale, figures in side.scales.items()
        )
        return math.isqrt(variance - 1) + 1 if variance else 0

    def is_explained(self, false_alarm: float) -> bool:
        """Say whether noise and what was agreed on may be all that the two differ by.

        A difference that is no more is called unexplained with a probability of false_alarm at most. Exact
        cells are then between 1 - t and 1 + t times the exact statements; either may lie below zero.
        """
        away = {
            self._side(WHOLE_BASIS_POINTS + part, false_alarm)
            for part in (-self.basis_points_max, self.basis_points_max)
        }
        return away not in ({-1}, {1})

    def _side(self, weight: int, false_alarm: float) -> int:
        """Say on which side of a part of the statements the cells are, 0 within the noise of both."""
        off = WHOLE_BASIS_POINTS * self.cells.grams - weight * self.statements.grams
        scales: Counter[int] = Counter()
        for side, times in ((self.cells, WHOLE_BASIS_POINTS), (self.statements, abs(weight))):
            for scale, figures in side.scales.items() if times else ():
                scales[scale * times] += figures
        bound = noise_bound(scales, false_alarm)
        return (off > bound) - (off < -bound)


def noise_bound(scales: Mapping[int, int], false_alarm: float) -> int:
    """Give a bound that the sum of independent Laplace noises exceeds, up or down, at most that often."""
    if not scales:
        return 0
    largest, cost = max(scales), math.log(2.0 / false_alarm)
    parts = [(scale / largest, figures) for scale, figures in scales.items()]

    def bound(at: float) -> float:
        return (cost - sum(figures * math.log1p(-((at * part) ** 2)) for part, figures in parts)) / at

    return math.ceil(largest * min(bound(_STEP**step) for step in range(1, _STEPS + 1)))
