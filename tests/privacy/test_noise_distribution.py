"""Noise as it is drawn, beside the exact discrete Laplace, and the same tests shown to be able to fail.

Each test of a right sample is a chi-square over cells of the exact distribution and fails by chance with a
probability of 1e-9; each fault is one that the same number of draws rejects below 1e-20.
"""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from enterprise_node.configuration import SamplerName
from enterprise_node.samplers import sampler
from privacy import noise

pytestmark = pytest.mark.statistical

Draws = NDArray[np.int64]

DRAWS = 200_000
SCALES = (1, 3, 50, 1_000, 10**6)
FALSE_ALARM = 1e-9
REJECTED = 1e-20
CELLS = 40


def at_most(values: Draws, scale: float) -> NDArray[np.float64]:
    """Give the exact P(X <= x) = 1 - q^(x+1)/(1+q) for x >= 0, q^-x/(1+q) below, q = e^(-1/scale)."""
    q = math.exp(-1.0 / scale)
    size = np.abs(values).astype(np.float64)
    return np.where(values >= 0, 1.0 - q ** (size + 1) / (1.0 + q), q**size / (1.0 + q))


def cell_ends(scale: float) -> Draws:
    """Give integers that part the exact distribution into some forty cells of similar weight."""
    share = np.concatenate(([0.001, 0.005], np.arange(1, CELLS) / CELLS, [0.995, 0.999]))
    side = np.where(share < 0.5, np.log(2 * share), -np.log(2 * (1 - share)))
    return np.unique(np.round(scale * side).astype(np.int64))


def probability(sample: Draws, scale: float) -> float:
    """Give the p-value of the sample under the exact distribution (chi-square)."""
    ends = cell_ends(scale)
    found = np.diff(
        np.concatenate(([0], np.searchsorted(np.sort(sample), ends, side="right"), [sample.size]))
    )
    expected = np.diff(np.concatenate(([0.0], at_most(ends, scale), [1.0]))) * sample.size
    return float(stats.chisquare(found, expected).pvalue)


def draw(scale: int) -> Draws:
    return noise.discrete_laplace(np.zeros(DRAWS, dtype=np.int64), scale)


@pytest.mark.parametrize("name", get_args(SamplerName))
@pytest.mark.parametrize("scale", SCALES)
def test_noise_is_the_exact_discrete_laplace_and_15_percent_off_is_rejected(
    scale: int, name: SamplerName
) -> None:
    """Whatever node.toml may name as its sampler."""
    sample = sampler(name)(np.zeros(DRAWS, dtype=np.int64), scale)
    assert probability(sample, scale) > FALSE_ALARM
    assert probability(sample, scale * 1.15) < REJECTED
    assert probability(sample, scale / 1.15) < REJECTED


@pytest.mark.parametrize("scale", SCALES)
def test_a_shifted_mean_is_rejected(scale: int) -> None:
    """A shift of a twelfth of the scale, or of the one gram that is the least."""
    shift = max(1, scale // 12)
    sample = draw(scale)
    assert probability(sample + shift, scale) < REJECTED
    assert probability(sample - shift, scale) < REJECTED


def test_draws_of_one_vector_do_not_depend_on_each_other() -> None:
    """Correlations at lags 1 to 8 and between magnitudes: six deviations each, 3e-8 in all."""
    sample = draw(1_000).astype(np.float64)
    for series in (sample, np.abs(sample) - np.abs(sample).mean()):
        for lag in range(1, 9):
            found = float(np.corrcoef(series[:-lag], series[lag:])[0, 1])
            assert abs(found) < 6 / math.sqrt(DRAWS)
    repeated = np.repeat(sample[: DRAWS // 2], 2)
    assert abs(float(np.corrcoef(repeated[:-1], repeated[1:])[0, 1])) > 6 / math.sqrt(DRAWS)
