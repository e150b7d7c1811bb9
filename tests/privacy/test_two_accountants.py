"""Our exact sums and Google's dp-accounting agree, per series, over days, months and enterprises.

dp-accounting composes privacy loss distributions, rounded up to a grid: it may state a little more, never
less. No randomness is involved.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import pytest
from dp_accounting import dp_event
from dp_accounting.pld import pld_privacy_accountant, privacy_loss_distribution
from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

from privacy.charges import cost, whole_cost
from privacy.claims import Claim, claim_for
from privacy.policy import Policy
from privacy.policy_reading import read_policy
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH
from tests.simulator import Federation

# Width of the grid on which the other accountant keeps privacy losses; each of n terms is rounded up once.
GRID = 1e-4


def loss(claim: Claim) -> PrivacyLossDistribution:
    """Give the other accountant's view of a claim: the discrete Laplace of our scale, our reach."""
    return privacy_loss_distribution.from_discrete_laplace_mechanism(
        1 / claim.scale, sensitivity=claim.reach, value_discretization_interval=GRID
    )


def composed(claims: Sequence[Claim]) -> float:
    """Compose the claims at the other accountant and ask for epsilon at delta 0."""
    total, *rest = [loss(claim) for claim in claims]
    for one in rest:
        total = total.compose(one)
    return float(total.get_epsilon_for_delta(0.0))


def agrees(ours: Fraction, theirs: float, terms: int) -> bool:
    return float(ours) - 1e-9 <= theirs <= float(ours) + GRID * terms


@pytest.mark.parametrize(
    ("reach", "epsilon"),
    [(1, Fraction(1)), (4, Fraction(1, 10)), (500, Fraction(1, 2)), (7, Fraction(1, 3)), (50, Fraction(2))],
)
def test_a_claim_costs_what_the_other_accountant_says(reach: int, epsilon: Fraction) -> None:
    claim = claim_for(reach, epsilon, PRIVACY_UNIT_PERSON_DAY)
    assert agrees(claim.epsilon, composed([claim]), 1)
    # It notices a charge of a tenth too little.
    assert not agrees(claim.epsilon * Fraction(9, 10), composed([claim]), 1)


def small_policy() -> Policy:
    """Give a policy of three enterprises with small reaches, whose distributions are quick to compose."""
    federation = Federation()
    message = federation.policy_message()
    for enterprise in message.enterprises:
        enterprise.sum_reach_grams = 20
        for measure in enterprise.measures:
            measure.reach_grams = 10
    return read_policy(message, b"p" * 32)


def test_a_whole_release_and_all_enterprises_cost_what_the_other_accountant_says() -> None:
    policy = small_policy()
    names = [one.enterprise_id for one in policy.enterprises]
    for count in range(1, len(names) + 1):
        chosen = names[:count]
        claims = [item.claim for name in chosen for item in policy.series(name)]
        assert agrees(whole_cost(policy, *chosen).person_day, composed(claims), len(claims))


def test_a_month_of_active_days_costs_what_the_other_accountant_says() -> None:
    policy = small_policy()
    name = policy.enterprises[0].enterprise_id
    series = policy.series(name)
    by_day = [item.claim for item in series if item.claim.unit == PRIVACY_UNIT_PERSON_DAY]
    by_month = [item.claim for item in series if item.claim.unit == PRIVACY_UNIT_PERSON_MONTH]
    for days in (1, 3, 30):
        claims = [*itertools.chain.from_iterable([by_day] * days), *by_month]
        assert agrees(whole_cost(policy, name, active_days=days).person_month, composed(claims), len(claims))
    assert cost(series, PRIVACY_UNIT_PERSON_DAY) == whole_cost(policy, name).statements


def test_its_event_form_agrees_at_large_scales() -> None:
    """Laplace events of multiplier 1/epsilon, as an outsider would write our year of statements down."""
    claim = claim_for(500, Fraction(1, 2), PRIVACY_UNIT_PERSON_DAY)
    event = dp_event.SelfComposedDpEvent(dp_event.LaplaceDpEvent(claim.scale / claim.reach), 12)
    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=GRID)
    accountant.compose(event)
    # Its composition gives 1e-15 of all probability up as lost, so that delta 0 is out of its reach; at 1e-10
    # the twelve largest losses together, of probability 2^-12, are still 6 to the sixth decimal.
    theirs = float(accountant.get_epsilon(1e-10))
    assert float(12 * claim.epsilon) - 1e-6 <= theirs <= float(12 * claim.epsilon) + 12 * GRID
