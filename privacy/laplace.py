"""What is known exactly about sums of independent discrete Laplace noises, for intervals shown to people.

The variance at scale s is 1 / (2 sinh(1 / 2s)^2), which lies between 2 s^2 - 1/6 and 2 s^2: rounded up it is
the integer 2 s^2. Postings use those integers alone; floats appear only inside interval_halfwidth.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_UNKNOWN_FIELD_VALUE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Lattice steps a standard deviation may have: more would change a halfwidth by less than 1 in 10,000.
LATTICE_SIGMA_MAX = 1 << 14
# The lattice spans this many standard deviations, so that what wraps around is below 1e-18.
LATTICE_SPAN_SIGMAS = 64


def variance_upper(scale: int) -> int:
    """Give the variance of one noise of this scale, rounded up to an integer."""
    _check_scale(scale)
    return 2 * scale * scale


def sigma_upper(scales: Iterable[int]) -> int:
    """Give the standard deviation of the sum of one noise of each scale, rounded up to an integer."""
    variance = sum(variance_upper(scale) for scale in scales)
    return math.isqrt(variance - 1) + 1 if variance else 0


def interval_halfwidth(scales: Iterable[int], confidence: float = 0.95) -> int:
    """Give the least h (at most 1 in 10,000 more) with P(|sum of noises| <= h) >= confidence.

    Raises Malformed UNKNOWN_FIELD_VALUE.
    """
    if not 0.0 < confidence < 1.0:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "A confidence lies strictly between 0 and 1.")
    counts = Counter(scales)
    for scale in counts:
        _check_scale(scale)
    if not counts:
        return 0
    if counts.total() == 1:
        return _single_halfwidth(next(iter(counts)), confidence)
    return _sum_halfwidth(counts, confidence)


def _single_halfwidth(scale: int, confidence: float) -> int:
    """Solve 1 - 2 q^(h+1) / (1 + q) >= confidence for one noise, q = exp(-1/scale)."""
    outside = (1.0 - confidence) * (1.0 + math.exp(-1.0 / scale)) / 2.0
    return max(0, math.ceil(-scale * math.log(outside) - 1.0))


def _sum_halfwidth(counts: Counter[int], confidence: float) -> int:
    """Invert the characteristic function on a lattice, coarser than the integers where the sum is wide."""
    import numpy as np

    sigma = math.sqrt(sum(2.0 * scale * scale * count for scale, count in counts.items()))
    step = max(1, math.ceil(sigma / LATTICE_SIGMA_MAX))
    points = 1 << max(8, math.ceil(math.log2(LATTICE_SPAN_SIGMAS * sigma / step)))
    masses = _lattice_masses(counts, step, points)
    within = masses[0] + 2.0 * np.cumsum(masses[1 : points // 2])
    halfwidth = 0 if masses[0] >= confidence else int(np.searchsorted(within, confidence)) + 1
    # A coarse cell stands for `step` integers around its middle: take its outer edge.
    return halfwidth * step + step // 2


def _lattice_masses(counts: Counter[int], step: int, points: int) -> NDArray[np.float64]:
    """Give the probabilities of 0, 1, … steps; variance V has transform 1 / (1 + 2 V sin(t/2)^2)."""
    import numpy as np

    sine = np.sin(np.arange(points // 2 + 1) * (math.pi / points)) ** 2
    logarithm = np.zeros_like(sine)
    for scale, count in counts.items():
        logarithm -= count * np.log1p(2.0 * _variance(scale / step) * sine)
    return np.fft.irfft(np.exp(logarithm), n=points)


def _variance(scale: float) -> float:
    """Give the variance of a noise whose scale is counted in lattice steps."""
    half = 0.5 / scale
    return 0.0 if half > 300.0 else 0.5 / math.sinh(half) ** 2


def _check_scale(scale: int) -> None:
    if scale < 1:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"A noise scale is a positive integer, not {scale}.")
