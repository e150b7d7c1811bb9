"""Claims and costs: exact fractions, scales that never undercharge, nothing taken on trust."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import charges, claims
from privacy.claims import Claim, claim_for
from privacy.policy_reading import read_policy
from privacy.series import Series, SeriesKind
from protos.epochs import shift_epoch
from protos.problems import Malformed, Problem, Refused
from protos.v1 import policy_pb2, release_pb2
from protos.v1.problem_pb2 import REASON_CLAIM_WRONG, REASON_MECHANISM_UNKNOWN
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH
from tests import simulator
from tests.simulator import EPOCH

DAY = PRIVACY_UNIT_PERSON_DAY
POLICY = read_policy(simulator.Federation().policy_message(), bytes(32))


@given(
    reach=st.integers(1, 1 << 40),
    numerator=st.integers(1, 1000),
    denominator=st.integers(1, 1000),
)
def test_the_scale_is_the_least_that_keeps_the_epsilon(reach: int, numerator: int, denominator: int) -> None:
    epsilon = Fraction(numerator, denominator)
    claim = claim_for(reach, epsilon, DAY)
    assert claim.epsilon <= epsilon
    if claim.scale > 1:
        assert Fraction(reach, claim.scale - 1) > epsilon


def test_known_figures() -> None:
    assert claim_for(500, Fraction(1, 2), DAY).scale == 1000
    odd = claim_for(1001, Fraction(2, 5), DAY)
    assert (odd.scale, odd.epsilon) == (2503, Fraction(1001, 2503))


def test_a_claim_comes_back() -> None:
    claim = claim_for(1001, Fraction(2, 5), DAY)
    assert Claim.from_wire(claim.to_wire()) == claim


def test_a_claim_that_understates_its_epsilon_is_refused() -> None:
    wire = claim_for(500, Fraction(1, 2), DAY).to_wire()
    wire.epsilon.denominator = 3
    with pytest.raises(Refused) as caught:
        Claim.from_wire(wire)
    assert caught.value.reason == REASON_CLAIM_WRONG


def test_an_epsilon_not_in_lowest_terms_is_refused() -> None:
    wire = claim_for(500, Fraction(1, 2), DAY).to_wire()
    wire.epsilon.CopyFrom(policy_pb2.Ratio(numerator=2, denominator=4))
    with pytest.raises(Refused):
        Claim.from_wire(wire)


def test_a_mechanism_nobody_knows_is_not_guessed() -> None:
    wire = claim_for(500, Fraction(1, 2), DAY).to_wire()
    wire.mechanism = release_pb2.MECHANISM_UNSPECIFIED
    with pytest.raises(Refused) as caught:
        Claim.from_wire(wire)
    assert caught.value.reason == REASON_MECHANISM_UNKNOWN


@pytest.mark.parametrize("field", ["scale", "reach"])
@pytest.mark.parametrize("value", [0, 1 << 63])
def test_scales_and_reaches_out_of_range_are_refused(field: str, value: int) -> None:
    wire = claim_for(500, Fraction(1, 2), DAY).to_wire()
    setattr(wire, field, value)
    with pytest.raises(Malformed):
        Claim.from_wire(wire)


@pytest.mark.parametrize(("numerator", "denominator"), [(1, 0), (2, 4), (0, 2), (1 << 60, 1)])
def test_fractions_have_one_form(numerator: int, denominator: int) -> None:
    with pytest.raises(Malformed):
        claims.fraction(policy_pb2.Ratio(numerator=numerator, denominator=denominator), "x")


def test_charges_are_the_policys_series() -> None:
    good = charges.charges_of(POLICY, "bike-share", EPOCH)
    charges.check_charges(good, POLICY, "bike-share", EPOCH)
    assert [charge.series for charge in good] == [
        "statement/main",
        "histogram/region_domain/sum",
        "histogram/region_domain/count",
        "histogram/domain_methodology_pooled/sum",
        "histogram/domain_methodology_pooled/count",
    ]


def test_charges_left_out_reordered_or_added_are_refused() -> None:
    good = charges.charges_of(POLICY, "bike-share", EPOCH)
    for wrong in (good[:-1], good[::-1], [*good, good[0]], []):
        with pytest.raises(Refused) as caught:
            charges.check_charges(wrong, POLICY, "bike-share", EPOCH)
        assert caught.value.reason == REASON_CLAIM_WRONG


def test_another_enterprises_charges_are_refused() -> None:
    with pytest.raises(Problem):
        charges.check_charges(charges.charges_of(POLICY, "utility", EPOCH), POLICY, "bike-share", EPOCH)


def test_a_larger_scale_is_refused_too() -> None:
    changed = charges.charges_of(POLICY, "bike-share", EPOCH)
    changed[0].claim.CopyFrom(Claim(unit=DAY, scale=2000, reach=500).to_wire())
    with pytest.raises(Refused):
        charges.check_charges(changed, POLICY, "bike-share", EPOCH)


def test_the_whole_cost_adds_days_and_enterprises() -> None:
    one = charges.whole_cost(POLICY, "bike-share", active_days=20)
    assert one.statements == Fraction(1, 2)
    assert one.histogram == Fraction(1)
    assert one.person_day == Fraction(3, 2)
    assert one.person_month == Fraction(11)
    both = charges.whole_cost(POLICY, "bike-share", "utility", active_days=20)
    assert both.person_month == 22
    assert both.enterprises == 2


def test_the_allowance_is_the_policys() -> None:
    assert charges.allowance(POLICY, DAY) == Fraction(1, 2)
    assert charges.allowance(POLICY, PRIVACY_UNIT_PERSON_MONTH) == 1


@given(st.data())
def test_the_parts_of_an_unchanged_series_add_up_to_its_claim(data: st.DataObject) -> None:
    offsets = data.draw(st.sets(st.integers(1, 24), max_size=5))
    later = tuple((months, data.draw(st.integers(1, 1_000))) for months in sorted(offsets))
    reach = sum(part for _, part in later) + data.draw(st.integers(1, 1_000))
    claim = claim_for(reach, data.draw(st.fractions("1/100", 4, max_denominator=100)), DAY)
    item = Series("statement/own", SeriesKind.STATEMENT, "own", claim, later=later)
    draws = [charges.draw_cost(item, [shift_epoch(EPOCH, month)]) for month in range(25)]
    assert sum(drawn.get(EPOCH, Fraction(0)) for drawn in draws) == claim.epsilon
    # One vector that totals all of them moves no further.
    year = [shift_epoch(EPOCH, month) for month in range(25)]
    assert charges.draw_cost(item, year)[EPOCH] == claim.epsilon
