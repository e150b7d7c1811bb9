"""The noise drawn is discrete Laplace of exactly the scale named, and a wrong scale would be noticed."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from privacy import noise
from protos.problems import InvariantBroken, Malformed

SAMPLES = 20_000
# A right sample is further away with probability at most 2 exp(-2 n d^2) = 1.1e-8 (Massart's form of the
# Dvoretzky–Kiefer–Wolfowitz inequality, valid for lattice distributions as well). It sees a wrong shape.
DISTANCE_MAX = 0.0218
# Deviations of the mean magnitude, the estimate of the scale: false alarm 2e-9. A scale 15 % off lies
# some twenty of them away, so it is missed with probability below 1e-40.
DEVIATIONS_MAX = 6.0


def exact_cdf(values: NDArray[np.int64], scale: float) -> NDArray[np.float64]:
    q = math.exp(-1.0 / scale)
    magnitude = np.abs(values).astype(np.float64)
    return np.where(values >= 0, 1.0 - q ** (magnitude + 1) / (1 + q), q**magnitude / (1 + q))


def distance(sample: NDArray[np.int64], scale: float) -> float:
    """Give the largest gap between the sample's distribution function and the exact one (Kolmogorov)."""
    values, counts = np.unique(sample, return_counts=True)
    empirical = np.cumsum(counts) / sample.size
    above = np.abs(empirical - exact_cdf(values, scale))
    below = np.abs(empirical - counts / sample.size - exact_cdf(values - 1, scale))
    return float(max(above.max(), below.max()))


def deviations(sample: NDArray[np.int64], scale: float) -> float:
    """Give how far the mean magnitude is from 1 / sinh(1/scale), in its standard deviations."""
    mean = 1.0 / math.sinh(1.0 / scale)
    variance = 0.5 / math.sinh(0.5 / scale) ** 2 - mean**2
    return abs(float(np.abs(sample).mean()) - mean) / math.sqrt(variance / sample.size)


def is_plausible(sample: NDArray[np.int64], scale: float) -> bool:
    return distance(sample, scale) < DISTANCE_MAX and deviations(sample, scale) < DEVIATIONS_MAX


@pytest.mark.statistical
@pytest.mark.parametrize("scale", [3, 1000])
def test_right_scale_passes_and_a_scale_15_percent_off_is_rejected(scale: int) -> None:
    sample = noise.discrete_laplace(np.zeros(SAMPLES, dtype=np.int64), scale)
    assert is_plausible(sample, scale)
    assert not is_plausible(sample, scale * 1.15)
    assert not is_plausible(sample, scale / 1.15)


@pytest.mark.statistical
def test_a_right_spread_of_the_wrong_shape_is_rejected() -> None:
    scale = 1000
    uniform = np.linspace(-2 * scale, 2 * scale, SAMPLES).astype(np.int64)
    assert deviations(uniform, scale) < DEVIATIONS_MAX
    assert not is_plausible(uniform, scale)


@pytest.mark.statistical
def test_draws_differ_from_element_to_element_and_from_call_to_call() -> None:
    # Two equal vectors of 100 draws at this scale: probability below 1e-600.
    zeros = np.zeros(100, dtype=np.int64)
    first, second = noise.discrete_laplace(zeros, 10**7), noise.discrete_laplace(zeros, 10**7)
    assert len(set(first.tolist())) > 90
    assert first.tolist() != second.tolist()


def test_values_are_kept_under_the_noise() -> None:
    values = np.array([0, 10**15, -(10**15)], dtype=np.int64)
    noised = noise.discrete_laplace(values, 1)
    # P(|noise| > 60) at scale 1 is below 1e-26.
    assert np.abs(noised - values).max() <= 60
    assert noised.dtype == np.int64


def test_an_empty_vector_stays_empty() -> None:
    assert noise.discrete_laplace(np.zeros(0, dtype=np.int64), 5).size == 0


def test_long_vectors_are_drawn_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "ROWS_PER_CALL", 7)
    values = np.arange(20, dtype=np.int64) * 10**6
    assert np.abs(noise.discrete_laplace(values, 1) - values).max() <= 60


@pytest.mark.parametrize("scale", [0, -1, 2**53 + 1])
def test_a_scale_out_of_range_is_refused(scale: int) -> None:
    with pytest.raises(Malformed):
        noise.discrete_laplace(np.zeros(1, dtype=np.int64), scale)


def test_what_is_not_an_int64_vector_is_refused() -> None:
    with pytest.raises(Malformed):
        noise.discrete_laplace(np.zeros(1), 1)  # type: ignore[arg-type]
    with pytest.raises(Malformed):
        noise.discrete_laplace(np.zeros((1, 1), dtype=np.int64), 1)


@pytest.mark.parametrize("value", [2**62 + 1, -(2**62) - 1])
def test_a_value_that_could_saturate_is_refused(value: int) -> None:
    with pytest.raises(Malformed):
        noise.discrete_laplace(np.array([value], dtype=np.int64), 1)


@pytest.mark.parametrize(("scale", "reach"), [(1, 1), (1000, 500), (3, 7), (2**40, 500), (17_123, 1)])
def test_opendp_states_the_epsilon_we_claim(scale: int, reach: int) -> None:
    claimed = Fraction(reach, scale)
    stated = Fraction(noise.opendp_epsilon(scale, reach))
    assert claimed <= stated <= claimed * (1 + Fraction(1, 10**12))


@given(reach=st.integers(1, 1 << 40), scale=st.integers(1, 1 << 45))
@settings(max_examples=60, deadline=None)
def test_opendps_map_lies_just_above_the_exact_charge(reach: int, scale: int) -> None:
    noise.cross_check(scale, reach)


def test_a_map_that_disagrees_stops_the_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (0.4999999, 0.5000001):
        monkeypatch.setattr(noise, "opendp_epsilon", lambda scale, reach, wrong=wrong: wrong)
        with pytest.raises(InvariantBroken):
            noise.cross_check(1000, 500)


def test_without_opendp_there_is_no_cross_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(scale: int, reach: int) -> float:
        raise ImportError("opendp")

    monkeypatch.setattr(noise, "opendp_epsilon", missing)
    noise.cross_check(1000, 500)
