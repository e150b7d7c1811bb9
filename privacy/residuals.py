"""Released minus exact beside the noise that was claimed: is its middle at zero, is its size the scale's?

Sums of many residuals are close to normal, so that the tests below are z-tests. Their power is part of the
answer: what could not have been seen was not ruled out (facts of the Laplace distribution: the mean magnitude
has a relative standard deviation of 1 / sqrt(N) at large scales). Floats are statistics for people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_WRONG_SHAPE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Fewer residuals say too little, and their sum is not normal yet.
RESIDUALS_MIN = 100
POWER = 0.99


@dataclass(frozen=True, slots=True)
class Residuals:
    """Released minus exact of figures noised at one scale; they stay where they were computed."""

    values: NDArray[np.int64]
    scale: int


@dataclass(frozen=True, slots=True)
class Opinion:
    """A verdict on one group of figures, and how fine it is; no figure of the data follows from it.

    `bias_seen` is the smallest upward bias in standard deviations of the noise, `scale_error_seen` the
    smallest relative error of the scale, that would have been found with a probability of 99 %.
    """

    group: str
    residuals: int
    is_unbiased: bool
    is_to_scale: bool
    bias_seen: float
    scale_error_seen: float

    @property
    def holds(self) -> bool:
        """Say whether the noise is the claimed one as far as could be seen."""
        return self.is_unbiased and self.is_to_scale


def judge(group: str, parts: list[Residuals], *, false_alarm: float) -> Opinion:
    """Judge residuals of one group, each taken in units of its own noise; raises Malformed if they are few.

    An honest release fails one of the two tests with a probability of about false_alarm together.
    """
    total = sum(part.values.size for part in parts)
    if total < RESIDUALS_MIN:
        raise Malformed(
            REASON_WRONG_SHAPE,
            f"{group}: {total} residuals are too few; at least {RESIDUALS_MIN} are needed.",
        )
    normal, root, each = NormalDist(), math.sqrt(total), false_alarm / 2
    bias = sum(float(part.values.sum()) / deviation(part.scale) for part in parts) / root
    excess = spread = 0.0
    for part in parts:
        excess += float(abs(part.values).sum()) / magnitude(part.scale) - part.values.size
        spread += part.values.size * _relative_variance(part.scale)
    power = normal.inv_cdf(POWER)
    one_sided, two_sided = normal.inv_cdf(1 - each), normal.inv_cdf(1 - each / 2)
    return Opinion(
        group=group,
        residuals=total,
        is_unbiased=bias <= one_sided,
        is_to_scale=abs(excess) <= two_sided * math.sqrt(spread),
        bias_seen=(one_sided + power) / root,
        scale_error_seen=(two_sided + power) * math.sqrt(spread) / total,
    )


def deviation(scale: int) -> float:
    """Give the standard deviation of the discrete Laplace of an integer scale."""
    return math.sqrt(0.5) / math.sinh(0.5 / scale)


def magnitude(scale: int) -> float:
    """Give its mean magnitude, 1 / sinh(1 / scale)."""
    return 1.0 / math.sinh(1.0 / scale)


def _relative_variance(scale: int) -> float:
    """Give the variance of one magnitude over the square of its mean: 1 at large scales."""
    return (deviation(scale) / magnitude(scale)) ** 2 - 1.0
