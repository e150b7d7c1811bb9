"""Issuance: deductions cover the known noise, tonnes are whole, nothing is issued twice, shares add up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accounting.issuance import (
    MG_PER_GRAM,
    MG_PER_TONNE,
    Claims,
    Pooled,
    SerialBlock,
    deduct,
    issue,
    split,
    supported_mg,
    take_serials,
)
from accounting.programmes.issue_rules import QUANTILES, Deduction, IssueRule
from accounting.programmes.words import WHOLE_BASIS_POINTS as BASIS_POINTS
from protos.problems import Malformed, Refused
from protos.v1.problem_pb2 import REASON_NOTHING_TO_ISSUE

POOLS = st.builds(Pooled, grams=st.integers(-(10**12), 10**12), variance_grams2=st.integers(0, 10**20))


def rule_of(
    deduction: Deduction, confidence: int = 9_500, methodology: int = 0, duplicates: int = 0
) -> IssueRule:
    return IssueRule.model_validate(
        {
            "names": {"en": "Pool", "zh": "池"},
            "registry": "phcer",
            "packs": ("bike",),
            "enterprises": ("bike-share",),
            "deduction": deduction,
            "confidence_bp": confidence,
            "methodology_bp": methodology,
            "duplicates_bp": duplicates,
            "proceeds_fund": "people",
            "proceeds_split_bp": {"fund": BASIS_POINTS},
        }
    )


RULES = st.builds(
    rule_of,
    st.sampled_from(Deduction),
    st.sampled_from(sorted(QUANTILES)),
    st.integers(0, BASIS_POINTS // 2 - 1),
    st.integers(0, BASIS_POINTS // 2),
)
CLAIMS = st.builds(
    Claims,
    pool_mg=st.integers(0, 10**16),
    passed_mg=st.integers(0, 10**15),
    issued_before_mg=st.integers(0, 10**15),
)


def quantile(draws: int, probability: float) -> float:
    """Invert the characteristic function of a sum of equal Laplace draws with variance one, on a grid."""
    points, reach = 1 << 18, 40.0
    step = 2 * reach / points
    frequencies = 2 * np.pi * np.fft.fftfreq(points, d=step)
    scale = np.sqrt(0.5 / draws)
    density = np.fft.fftshift(np.real(np.fft.ifft((1 / (1 + (scale * frequencies) ** 2)) ** draws))) / step
    at = int(np.searchsorted(np.cumsum(density) * step, probability))
    return float((at - points // 2) * step)


@pytest.mark.parametrize("basis_points", sorted(QUANTILES))
def test_quantiles_cover_any_number_of_equal_laplace_draws_and_the_normal(basis_points: int) -> None:
    table, probability = QUANTILES[basis_points] / 1_000, basis_points / BASIS_POINTS
    found = [quantile(draws, probability) for draws in (1, 2, 3, 5, 9, 40)]
    assert max(*found, float(stats.norm.ppf(probability))) <= table + 1e-3
    # Not by more than the rounding: one of the two ends is met.
    assert max(found[0], float(stats.norm.ppf(probability))) > table - 2e-3


def test_known_noise_is_left_out_at_the_stated_confidence() -> None:
    """Of 20,000 pools without any reduction, 5 % at most may seem to support something (false alarm 1e-6)."""
    scale = 427.0
    noise = np.random.default_rng(11).laplace(0, scale, (20_000, 2)).sum(axis=1)
    variance = int(np.ceil(4 * scale**2))
    deduction = deduct(Pooled(0, variance), rule_of(Deduction.LOWER_BOUND))
    above = int((noise > deduction.deduction_grams).sum())
    assert above <= stats.binom.ppf(1 - 1e-6, 20_000, 0.05)
    # And the test can fail: half the deduction lets far more through.
    assert (noise > deduction.deduction_grams / 2).sum() > stats.binom.ppf(1 - 1e-6, 20_000, 0.05)


@given(pooled=POOLS, rule=RULES, claims=CLAIMS)
def test_what_is_supported_is_bounded_by_cells_and_by_claims(
    pooled: Pooled, rule: IssueRule, claims: Claims
) -> None:
    found = supported_mg(pooled, deduct(pooled, rule), claims)
    assert 0 <= found <= claims.pool_mg
    if found:
        assert found + claims.passed_mg + claims.issued_before_mg <= pooled.grams * MG_PER_GRAM


@given(pooled=POOLS, rule=RULES, more=st.integers(1, 10**18))
def test_more_noise_never_supports_more(pooled: Pooled, rule: IssueRule, more: int) -> None:
    claims = Claims(10**17, 0, 0)
    noisier = Pooled(pooled.grams, pooled.variance_grams2 + more)
    assert supported_mg(noisier, deduct(noisier, rule), claims) <= supported_mg(
        pooled, deduct(pooled, rule), claims
    )


@given(pooled=POOLS, rule=RULES, claims=CLAIMS, buffer=st.integers(0, 5_000))
def test_nothing_is_issued_twice(pooled: Pooled, rule: IssueRule, claims: Claims, buffer: int) -> None:
    deduction = deduct(pooled, rule)
    supported = supported_mg(pooled, deduction, claims)
    try:
        made = issue(supported, buffer_basis_points=buffer, tonnes_min=1)
    except Refused as refused:
        assert refused.reason == REASON_NOTHING_TO_ISSUE
        return
    taken = (made.issued_tonnes + made.buffer_tonnes) * MG_PER_TONNE
    assert taken <= supported
    after = Claims(claims.pool_mg - taken, claims.passed_mg, claims.issued_before_mg + taken)
    assert supported_mg(pooled, deduction, after) == supported - taken < MG_PER_TONNE


def test_the_four_policies_on_one_pool() -> None:
    """Mean 100 kg, noise 3 kg, methodology 4 kg: the total standard deviation is 5 kg."""
    pooled = Pooled(100_000, 9_000_000)

    def deducted(policy: Deduction, confidence: int = 9_500) -> int:
        return deduct(pooled, rule_of(policy, confidence, methodology=400)).deduction_grams

    assert deducted(Deduction.NONE) == 0
    assert deducted(Deduction.LOWER_BOUND) == 8_225
    assert deducted(Deduction.LOWER_BOUND, 9_900) == 13_835
    assert deducted(Deduction.THRESHOLD_90_10) == 0
    assert deducted(Deduction.UNC_T) == 2_154
    wider = Pooled(100_000, 49_000_000)
    rule = rule_of(Deduction.THRESHOLD_90_10)
    assert deduct(wider, rule).deduction_grams == 11_515


@given(
    total=st.integers(0, 10**15),
    cuts=st.lists(st.integers(0, BASIS_POINTS), min_size=1, max_size=5),
)
def test_shares_add_up_and_are_off_by_less_than_one(total: int, cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), BASIS_POINTS]
    parts = {f"part-{n}": after - before for n, (before, after) in enumerate(itertools.pairwise(bounds))}
    shares = split(total, parts)
    assert sum(shares.values()) == total
    for name, part in parts.items():
        assert abs(shares[name] * BASIS_POINTS - total * part) < BASIS_POINTS


@pytest.mark.parametrize("parts", [{}, {"all": 9_999}, {"a": 10_001, "b": -1}])
def test_parts_that_do_not_add_up_are_refused(parts: dict[str, int]) -> None:
    with pytest.raises(Malformed):
        split(100, parts)


@given(first=st.integers(1, 10**9), tonnes=st.integers(0, 10**6), data=st.data())
def test_blocks_stay_disjoint_and_contiguous(first: int, tonnes: int, data: st.DataObject) -> None:
    taken, kept = take_serials(SerialBlock(first, tonnes), data.draw(st.integers(0, tonnes)))
    assert taken.first == first
    assert taken.first + taken.tonnes == kept.first
    assert taken.tonnes + kept.tonnes == tonnes


def test_a_block_gives_no_more_than_it_has() -> None:
    with pytest.raises(Malformed):
        take_serials(SerialBlock(1, 3), 4)


@pytest.mark.parametrize("confidence", [0, 9_400, 10_000])
def test_a_confidence_without_a_quantile_is_refused(confidence: int) -> None:
    with pytest.raises(ValueError, match="confidence"):
        rule_of(Deduction.LOWER_BOUND, confidence)
