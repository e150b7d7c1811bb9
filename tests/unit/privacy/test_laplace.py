"""Variances are rounded up, never down, and an interval covers what it says."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from privacy import digits, noise
from privacy.laplace import interval_halfwidth, sigma_upper, variance_upper
from protos.problems import Malformed

Draw = Callable[[NDArray[np.int64], int], NDArray[np.int64]]


def digital(values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
    return digits.discrete_laplace(values, scale, os.urandom)


def convolved_halfwidth(scales: Sequence[int], confidence: float) -> int:
    """Find the half-width by plain convolution of long enough tables of probabilities."""
    total = np.ones(1)
    for scale in scales:
        q = math.exp(-1.0 / scale)
        reach = 60 * scale
        total = np.convolve(total, (1 - q) / (1 + q) * q ** np.abs(np.arange(-reach, reach + 1)))
    middle = len(total) // 2
    mass = total[middle]
    halfwidth = 0
    while mass < confidence:
        halfwidth += 1
        mass += total[middle - halfwidth] + total[middle + halfwidth]
    return halfwidth


@given(st.integers(min_value=1, max_value=10**4))
def test_variance_is_rounded_up_by_less_than_one(scale: int) -> None:
    exact = 0.5 / math.sinh(0.5 / scale) ** 2
    assert 0 <= variance_upper(scale) - exact < 1


@given(st.lists(st.integers(min_value=1, max_value=10**12), max_size=20))
def test_sigma_is_the_least_integer_above_the_root(scales: list[int]) -> None:
    sigma = sigma_upper(scales)
    variance = sum(map(variance_upper, scales))
    assert sigma * sigma >= variance
    assert sigma == 0 or (sigma - 1) ** 2 < variance


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=4),
    st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
def test_halfwidth_equals_plain_convolution(scales: list[int], confidence: float) -> None:
    assert interval_halfwidth(scales, confidence) == convolved_halfwidth(scales, confidence)


@pytest.mark.parametrize("scale", [20_000, 10**6, 10**12])
def test_wide_sums_are_at_most_one_in_ten_thousand_too_wide(scale: int) -> None:
    # Sum of two equal Laplace noises: P(|S| <= h) = 1 - exp(-x) (1 + x / 2), x = h / scale.
    halfwidth = interval_halfwidth([scale, scale])
    low, high = 0.0, 100.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if math.exp(-middle) * (1 + middle / 2) > 0.05 else (low, middle)
    assert 0.9999 * high * scale <= halfwidth <= 1.0002 * high * scale


def test_a_noise_far_below_the_sum_does_not_disturb_it() -> None:
    alone = interval_halfwidth([10**9, 10**9])
    assert alone <= interval_halfwidth([10**9, 10**9, 1]) <= alone * 1.0002


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("scales", "draw"),
    # Both samplers draw the same distribution (test_digits); the second is for the longer sums.
    [([1000], noise.discrete_laplace), ([50, 700], digital), ([4, 4, 4], digital), ([30] * 12, digital)],
)
def test_an_interval_covers_what_it_says(scales: list[int], draw: Draw) -> None:
    draws = 20_000
    total = sum(draw(np.zeros(draws, dtype=np.int64), scale) for scale in scales)
    halfwidth = interval_halfwidth(scales)
    # Six standard deviations of a proportion of 0.95 (false alarm below 2e-9).
    slack = 6 * math.sqrt(0.95 * 0.05 / draws)
    at_most_one_step = 0.06 if min(scales) < 10 else 0.002
    assert 0.95 - slack <= np.mean(np.abs(total) <= halfwidth) <= 0.95 + slack + at_most_one_step
    # The same test notices an interval 15 % too narrow.
    assert np.mean(np.abs(total) <= halfwidth * 0.85) < 0.95 - slack


def test_no_noise_has_no_width() -> None:
    assert sigma_upper([]) == 0
    assert interval_halfwidth([]) == 0


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0])
def test_a_confidence_out_of_range_is_refused(confidence: float) -> None:
    with pytest.raises(Malformed):
        interval_halfwidth([1], confidence)


def test_a_scale_of_zero_is_refused() -> None:
    with pytest.raises(Malformed):
        variance_upper(0)
    with pytest.raises(Malformed):
        interval_halfwidth([0, 1])
