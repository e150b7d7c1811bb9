"""Honest noise is believed, a bias or a wrong scale of the size stated is seen nearly always."""

from __future__ import annotations

import math

import numpy as np
import pytest

from privacy.residuals import Residuals, deviation, judge, magnitude
from protos.problems import Malformed

DRAWS = 4_000
ALARM = 0.01


def laplace(
    draw: np.random.Generator, scale: int, size: int = DRAWS
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    q = 1 - math.exp(-1 / scale)
    return (draw.geometric(q, size) - draw.geometric(q, size)).astype(np.int64)


@pytest.mark.parametrize("scale", [1, 3, 1000])
def test_moments_are_those_of_the_exact_distribution(scale: int) -> None:
    q = math.exp(-1 / scale)
    points = np.arange(-60 * scale, 60 * scale + 1)
    mass = (1 - q) / (1 + q) * q ** np.abs(points)
    assert math.isclose(float((mass * points**2).sum()), deviation(scale) ** 2, rel_tol=1e-9)
    assert math.isclose(float((mass * np.abs(points)).sum()), magnitude(scale), rel_tol=1e-9)


@pytest.mark.statistical
@pytest.mark.parametrize("scale", [1, 1000])
def test_honest_noise_is_accused_as_often_as_stated(scale: int) -> None:
    """1,000 honest releases, of which some 10 are accused: more than 32 with a probability of 1e-8."""
    draw = np.random.default_rng()
    accused = sum(
        not judge("g", [Residuals(laplace(draw, scale, 1_000), scale)], false_alarm=ALARM).holds
        for _ in range(1_000)
    )
    assert accused <= 32


@pytest.mark.statistical
def test_what_is_stated_as_seen_is_seen() -> None:
    """200 dishonest releases at the stated limits: fewer than 185 seen where 198 are expected, below 1e-8."""
    draw, scale = np.random.default_rng(), 1000
    finest = judge("g", [Residuals(laplace(draw, scale), scale)], false_alarm=ALARM)
    bias = math.ceil(finest.bias_seen * deviation(scale))
    larger = round(scale * (1 + finest.scale_error_seen))
    smaller = round(scale * (1 - finest.scale_error_seen))
    biased = off = 0
    for turn in range(200):
        shifted = judge("g", [Residuals(laplace(draw, scale) + bias, scale)], false_alarm=ALARM)
        biased += not shifted.is_unbiased
        wrong = laplace(draw, larger if turn % 2 else smaller)
        off += not judge("g", [Residuals(wrong, scale)], false_alarm=ALARM).is_to_scale
    assert biased >= 185
    assert off >= 185


def test_limits_are_those_of_the_fact_sheet() -> None:
    """One test at 1 %: 4.65 / sqrt(N) for the mean, 4.90 / sqrt(N) for the scale."""
    zeros = [Residuals(np.zeros(10_000, dtype=np.int64), 10**6)]
    opinion = judge("g", zeros, false_alarm=0.02)
    assert math.isclose(opinion.bias_seen, 0.0465, rel_tol=2e-3)
    assert math.isclose(opinion.scale_error_seen, 0.049, rel_tol=2e-3)
    assert not opinion.is_to_scale


def test_groups_of_several_scales_are_judged_together() -> None:
    draw = np.random.default_rng(11)
    parts = [Residuals(laplace(draw, scale), scale) for scale in (2, 40, 5_000)]
    assert judge("g", parts, false_alarm=1e-6).holds
    wrong = [*parts[:2], Residuals(parts[2].values * 2, 5_000)]
    assert not judge("g", wrong, false_alarm=1e-6).is_to_scale


def test_few_residuals_are_refused() -> None:
    with pytest.raises(Malformed):
        judge("g", [Residuals(np.zeros(99, dtype=np.int64), 5)], false_alarm=ALARM)
