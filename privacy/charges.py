"""What a release charges and what the whole of it costs a person: one function for node, hub and auditor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from privacy.claims import Claim, check_claim, claim_for
from privacy.policy import Policy, Series
from protos.problems import Refused
from protos.v1 import release_pb2
from protos.v1.problem_pb2 import REASON_CLAIM_WRONG
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH, PrivacyUnit

UNITS = (PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH)

__all__ = [
    "UNITS",
    "Claim",
    "WholeCost",
    "allowance",
    "charges_of",
    "check_charges",
    "check_claim",
    "claim_for",
    "cost",
    "whole_cost",
]


@dataclass(frozen=True, slots=True)
class WholeCost:
    """What the releases cost a person, exactly; enterprises add.

    A person-day costs its statements and its month's histogram; a month with `active_days` days costs days x
    statements + histogram. Not protected at all: membership of a roster and enrolment times.
    """

    statements: Fraction
    histogram: Fraction
    active_days: int
    enterprises: int

    @property
    def person_day(self) -> Fraction:
        """Cost of all records of one person-day."""
        return self.statements + self.histogram

    @property
    def person_month(self) -> Fraction:
        """Cost of all records of one person-month."""
        return self.active_days * self.statements + self.histogram


def charges_of(policy: Policy, enterprise_id: str) -> list[release_pb2.Charge]:
    """List the charges of a reservation: every series of the enterprise, in order."""
    return [
        release_pb2.Charge(series=item.name, claim=item.claim.to_wire())
        for item in policy.series(enterprise_id)
    ]


def check_charges(charges: Iterable[release_pb2.Charge], policy: Policy, enterprise_id: str) -> None:
    """Refuse charges that are not exactly the policy's series with recomputed claims; raises CLAIM_WRONG."""
    found, expected = list(charges), policy.series(enterprise_id)
    if [charge.series for charge in found] != [item.name for item in expected]:
        raise Refused(
            REASON_CLAIM_WRONG,
            "The charges are not the policy's series in the policy's order.",
            remedy="Charge: " + ", ".join(item.name for item in expected) + ".",
        )
    for charge, item in zip(found, expected, strict=True):
        check_claim(charge.claim, item.claim, item.name)


def cost(series: Iterable[Series], unit: PrivacyUnit.ValueType) -> Fraction:
    """Sum what the series charge to one unit."""
    return sum((item.claim.epsilon for item in series if item.claim.unit == unit), Fraction(0))


def allowance(policy: Policy, unit: PrivacyUnit.ValueType) -> Fraction:
    """Give what one enterprise may charge to one unit for one epoch."""
    if unit == PRIVACY_UNIT_PERSON_DAY:
        return policy.person_day_allowance
    return policy.person_month_allowance


def whole_cost(policy: Policy, *enterprise_ids: str, active_days: int = 1) -> WholeCost:
    """State the whole cost of an epoch's releases at the enterprises a person is enrolled at."""
    series = [item for enterprise_id in enterprise_ids for item in policy.series(enterprise_id)]
    return WholeCost(
        statements=cost(series, PRIVACY_UNIT_PERSON_DAY),
        histogram=cost(series, PRIVACY_UNIT_PERSON_MONTH),
        active_days=active_days,
        enterprises=len(enterprise_ids),
    )
