"""What the hub holds a programme to before it stands in the log: its own text, and the policy's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accounting.programmes.eligibility import Conditions, check_conditions
from accounting.programmes.matching import faults, twice_taken
from accounting.programmes.parse import parse_logged
from accounting.programmes.programme import YEAR_MONTHS, Programme
from engine.earning import released_measures
from privacy.policy import Policy
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PROGRAMME_INVALID


def check_content(message: Any, bodies: Sequence[bytes], conditions: Conditions) -> None:
    """Refuse a programme's record whose body is not that programme, whole; raises PROGRAMME_INVALID."""
    if message.withdrawn:
        return
    found = parse_logged(
        bodies[0], programme=message.id, version=message.version, first_epoch=message.first_epoch
    )
    check_conditions(found, conditions)


def check_terms(found: Programme, policy: Policy) -> list[str]:
    """Hold a programme's names against a policy; raises PROGRAMME_INVALID, gives what to look at twice."""
    measures = released_measures(policy)
    wrong = [f"{place}: {problem}" for place, problem in faults(found, measures)]
    if wrong:
        raise Malformed(
            REASON_PROGRAMME_INVALID,
            f"Under policy version {policy.version}: " + "; ".join(wrong) + ".",
            remedy="Name what the policy releases, or publish a policy that releases it first.",
        )
    if policy.anchor_epsilon is not None and policy.anchor_month != YEAR_MONTHS and _has_year_caps(found):
        raise Malformed(
            REASON_PROGRAMME_INVALID,
            f"Caps are by calendar year; the policy's anchors total years that end in {policy.anchor_month}.",
            remedy="Use a policy whose anchors end in December, or no caps by year.",
        )
    return [
        f"{one.enterprise}/{one.measure} is taken by {' and '.join(rules)}: only {rules[0]} gives points"
        for one, rules in twice_taken(found, measures)
    ]


def _has_year_caps(found: Programme) -> bool:
    return bool(found.caps.year_points) or any(one.year_points_max for one in found.earn.values())
