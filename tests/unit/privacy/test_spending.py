"""The reserve and limits a policy states, and the part of its judgement the log's rules decide exactly."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.claims import ratio
from privacy.laplace import sigma_upper
from privacy.policy import Policy
from privacy.policy_reading import read_policy
from privacy.spending import SpendLimits, check_idle, first_month_grams, reserve_grams
from protos.epochs import Epoch
from protos.problems import Malformed, Refused
from protos.v1.problem_pb2 import REASON_CEILING_EXCEEDED
from tests.simulator import Federation, begun

LIMITS: dict[str, Any] = {
    "reserve_z": ratio(Fraction(3)),
    "idle_extraction_grams_max": 50,
    "spend_months_max": 24,
    "never_spend_per_mille_max": 500,
}


def policy(**changes: Any) -> Policy:
    return read_policy(Federation().policy_message(**LIMITS | changes), bytes(32))


def test_a_policy_carries_its_reserve_and_limits() -> None:
    found = policy(reserve_z=ratio(Fraction(16, 5)))
    assert (found.reserve_z, found.limits) == (Fraction(16, 5), SpendLimits(50, 24, 500))
    bare = read_policy(Federation().policy_message(), bytes(32))
    assert (bare.reserve_z, bare.limits) == (Fraction(3), None)


@pytest.mark.parametrize(
    "changes",
    [
        {"reserve_z": ratio(Fraction(0))},
        {"reserve_z": ratio(Fraction(21, 2))},
        {"idle_extraction_grams_max": 0},
        {"spend_months_max": 0},
        {"spend_months_max": 61},
        {"never_spend_per_mille_max": 1001},
    ],
)
def test_limits_out_of_their_range_are_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        policy(**changes)


def test_limits_without_z_are_malformed() -> None:
    message = Federation().policy_message(**LIMITS)
    message.ClearField("reserve_z")
    with pytest.raises(Malformed, match="need reserve_z"):
        read_policy(message, bytes(32))


@given(z=st.fractions(0, 10), scales=st.lists(st.integers(1, 10**6), min_size=1, max_size=5))
def test_a_reserve_is_z_deviations_rounded_up(z: Fraction, scales: list[int]) -> None:
    kept = reserve_grams(z, scales)
    assert kept - 1 < z * sigma_upper(scales) <= kept


@pytest.mark.parametrize(("scale", "z"), [(1, Fraction(0)), (7, Fraction(1, 3)), (900, Fraction(1))])
def test_the_first_month_is_the_expected_excess_over_the_reserve(scale: int, z: Fraction) -> None:
    kept, q = reserve_grams(z, [scale]), math.exp(-1 / scale)
    beyond = np.arange(1, 60 * scale)
    wanted = float((beyond * (1 - q) / (1 + q) * q ** (beyond + kept)).sum())
    assert math.isclose(float(first_month_grams(scale, z)), wanted, rel_tol=1e-9)


def test_statements_beyond_the_limit_in_one_month_are_refused() -> None:
    strict = policy(reserve_z=ratio(Fraction(1, 2)))
    series = strict.series("bike-share")
    check_idle("bike-share", series, Fraction(3), strict.limits)
    check_idle("bike-share", series, strict.reserve_z, None)
    with pytest.raises(Refused, match="in its first month") as caught:
        check_idle("bike-share", series, strict.reserve_z, strict.limits)
    assert caught.value.reason == REASON_CEILING_EXCEEDED


def test_the_log_takes_no_policy_whose_first_month_is_beyond_its_limit() -> None:
    federation = begun()
    changes = {"version": 2, "first_epoch": Epoch(203001)}
    with pytest.raises(Refused, match="idle account"):
        beyond = federation.policy_message(**LIMITS | changes | {"reserve_z": ratio(Fraction(1, 2))})
        federation.publish_policy(beyond)
    federation.publish_policy(federation.policy_message(**LIMITS | changes))
    assert federation.state.policies[-1].limits == SpendLimits(50, 24, 500)
