"""The bound is the binomial's own, holds for a right mechanism, and rises with a wrong one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from privacy import one_run
from privacy.one_run import View
from protos.problems import Malformed

ALARM = 1e-6
CANARIES = 4_000


@settings(max_examples=40, deadline=None)
@given(st.integers(min_value=1, max_value=400), st.floats(min_value=0.0, max_value=1.0))
def test_bound_is_where_the_binomial_tail_meets_the_false_alarm(guesses: int, share: float) -> None:
    correct = round(guesses * share)
    bound = one_run.lower_bound(correct, guesses, false_alarm=0.05)

    def tail(epsilon: float) -> float:
        return float(stats.binom.sf(correct - 1, guesses, 1 / (1 + math.exp(-epsilon))))

    assert bound == 0.0 or tail(bound) <= 0.05 * (1 + 1e-6)
    assert tail(bound + 2e-6) >= 0.05 * (1 - 1e-6) or bound > one_run.EPSILON_MAX - 1e-5


def laplace(coins: np.ndarray[tuple[int], np.dtype[np.bool_]], shift: int, scale: int) -> View:
    """Release with a sampler of numpy's: the audit is tested here, not the noise."""
    draw = np.random.default_rng(7)
    q = 1 - math.exp(-1 / scale)
    noise = draw.geometric(q, coins.size) - draw.geometric(q, coins.size)
    return View((coins * shift + noise).astype(np.int64), shift, scale)


def test_a_right_release_stays_below_and_half_the_noise_rises_above() -> None:
    coins = np.random.default_rng(3).random(CANARIES) < 0.5
    right = one_run.audit([laplace(coins, 500, 1000)], coins, false_alarm=ALARM)
    assert 0.0 < right.epsilon_lower < 0.5
    assert (right.canaries, right.guesses) == (CANARIES, 2 * CANARIES // 5)
    halved = laplace(coins, 500, 500)
    view = View(halved.released, 500, 1000)
    assert one_run.audit([view], coins, false_alarm=ALARM).epsilon_lower > 0.5


def test_figures_that_say_nothing_give_nothing() -> None:
    coins = np.random.default_rng(4).random(CANARIES) < 0.5
    nothing = View(np.zeros(CANARIES, dtype=np.int64), 500, 1000)
    assert one_run.audit([nothing], coins, false_alarm=ALARM).epsilon_lower == 0.0


def test_exact_figures_are_known_for_what_they_are() -> None:
    coins = np.random.default_rng(5).random(CANARIES) < 0.5
    exact = View(np.where(coins, 500, 0), 500, 1000)
    assert one_run.audit([exact], coins, false_alarm=ALARM).epsilon_lower > 4


def test_an_audit_without_figures_is_refused() -> None:
    coins = np.ones(4, dtype=np.bool_)
    with pytest.raises(Malformed):
        one_run.audit([View(np.zeros(4, dtype=np.int64), 1, 1)], coins, false_alarm=ALARM)
    with pytest.raises(Malformed):
        one_run.audit(
            [View(np.zeros(9, dtype=np.int64), 1, 1)], np.ones(10, dtype=np.bool_), false_alarm=ALARM
        )
    with pytest.raises(Malformed):
        one_run.audit([], np.ones(10, dtype=np.bool_), false_alarm=ALARM)
