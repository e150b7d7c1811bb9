"""What a release charges and what the whole of it costs a person: one function for node, hub and auditor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from privacy.anchors import Covered
from privacy.claims import Claim, check_claim, claim_for
from privacy.policy import Policy
from privacy.series import Series, SeriesKind
from protos.epochs import Epoch, shift_epoch
from protos.problems import Refused
from protos.v1 import release_pb2
from protos.v1.problem_pb2 import REASON_CLAIM_WRONG
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH, PrivacyUnit

UNITS = (PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH)
# No enterprise has this id.
ALL_ENTERPRISES = "(all)"
NOTHING_COVERED: Mapping[str, tuple[Epoch, ...]] = {}

__all__ = [
    "ALL_ENTERPRISES",
    "UNITS",
    "Claim",
    "WholeCost",
    "allowance",
    "charged",
    "charges_of",
    "check_charges",
    "check_claim",
    "claim_for",
    "cost",
    "cost_line",
    "cost_table",
    "draw_cost",
    "whole_cost",
]


@dataclass(frozen=True, slots=True)
class WholeCost:
    """What the releases cost a person, exactly; enterprises add.

    A person-day costs its statements, the year's anchors and its month's histogram (with what else is charged
    by person-month); a month with `active_days` days costs days x (statements + anchors) + histogram. Not
    protected at all: membership of a roster and enrolment times.
    """

    statements: Fraction
    histogram: Fraction
    active_days: int
    enterprises: int
    anchors: Fraction = Fraction(0)

    @property
    def person_day(self) -> Fraction:
        """Cost of all records of one person-day."""
        return self.statements + self.anchors + self.histogram

    @property
    def person_month(self) -> Fraction:
        """Cost of all records of one person-month."""
        return self.active_days * (self.statements + self.anchors) + self.histogram

    def to_json(self) -> dict[str, str | int]:
        """Say it to programs, fractions as text."""
        return {
            "person_day": str(self.person_day),
            "person_month": str(self.person_month),
            "active_days": self.active_days,
            "enterprises": self.enterprises,
        }

    def line(self) -> str:
        """Say it to people."""
        return cost_line(self.to_json())


def cost_line(cost: Mapping[str, str | int]) -> str:
    """Say what `WholeCost.to_json` gives, in the same words at node, hub and auditor."""
    month = f"person-month of {cost['active_days']} active days 活跃日的人月 {cost['person_month']}"
    return f"person-day 人日 {cost['person_day']}; {month}"


def charges_of(
    policy: Policy, enterprise_id: str, epoch: Epoch, covered: Covered = NOTHING_COVERED
) -> list[release_pb2.Charge]:
    """List the charges of a reservation: every series of the enterprise's release, in order."""
    return [
        release_pb2.Charge(series=item.name, claim=item.claim.to_wire(), epochs=covered.get(item.name, ()))
        for item in policy.series(enterprise_id, epoch)
    ]


def check_charges(
    charges: Iterable[release_pb2.Charge],
    policy: Policy,
    enterprise_id: str,
    epoch: Epoch,
    covered: Covered = NOTHING_COVERED,
) -> None:
    """Refuse charges that are not exactly the policy's series with recomputed claims; raises CLAIM_WRONG."""
    found, expected = list(charges), policy.series(enterprise_id, epoch)
    if [charge.series for charge in found] != [item.name for item in expected]:
        raise Refused(
            REASON_CLAIM_WRONG,
            "The charges are not the policy's series in the policy's order.",
            remedy="Charge: " + ", ".join(item.name for item in expected) + ".",
        )
    for charge, item in zip(found, expected, strict=True):
        check_claim(charge.claim, item.claim, item.name)
        if tuple(charge.epochs) != tuple(covered.get(item.name, ())):
            raise Refused(
                REASON_CLAIM_WRONG,
                f"{item.name} is charged to {list(charge.epochs)}; by the log it totals "
                f"{list(covered.get(item.name, ()))}.",
                remedy="Read the log again, then reserve what it says.",
            )


def draw_cost(item: Series, epochs: Iterable[Epoch]) -> dict[Epoch, Fraction]:
    """Give what one draw of a series charges, by epoch: those it totals, and those they read as a baseline.

    Over all draws of an unchanged series a unit pays its claim; under another claim, drawn again, or read by
    a series that began later it pays for each draw what that draw says of it.
    """
    found: dict[Epoch, Fraction] = {}
    for one in epochs:
        for months, epsilon in item.parts:
            read = shift_epoch(one, -months)
            found[read] = found.get(read, Fraction(0)) + epsilon
    return found


def charged(
    policy: Policy, enterprise_id: str, epoch: Epoch, covered: Covered = NOTHING_COVERED
) -> dict[tuple[PrivacyUnit.ValueType, Epoch], Fraction]:
    """Sum by unit and epoch what a reservation of the policy's series charges."""
    found: dict[tuple[PrivacyUnit.ValueType, Epoch], Fraction] = {
        (unit, epoch): Fraction(0) for unit in UNITS
    }
    for item in policy.series(enterprise_id, epoch):
        for one, epsilon in draw_cost(item, covered.get(item.name, (epoch,))).items():
            found[item.claim.unit, one] = found.get((item.claim.unit, one), Fraction(0)) + epsilon
    return found


def cost(series: Iterable[Series], unit: PrivacyUnit.ValueType) -> Fraction:
    """Sum what the series charge to one unit."""
    return sum((item.claim.epsilon for item in series if item.claim.unit == unit), Fraction(0))


def allowance(policy: Policy, unit: PrivacyUnit.ValueType) -> Fraction:
    """Give what one enterprise may charge to one unit for one epoch."""
    if unit == PRIVACY_UNIT_PERSON_DAY:
        return policy.person_day_allowance
    return policy.person_month_allowance


def cost_table(policy: Policy, active_days: int) -> dict[str, WholeCost]:
    """State the whole cost at each of a policy's enterprises, and for a person known to all of them."""
    ids = [one.enterprise_id for one in policy.enterprises]
    found = {one: whole_cost(policy, one, active_days=active_days) for one in ids}
    return found | {ALL_ENTERPRISES: whole_cost(policy, *ids, active_days=active_days)}


def whole_cost(policy: Policy, *enterprise_ids: str, active_days: int = 1) -> WholeCost:
    """State the whole cost of a policy's releases, anchors included, at a person's enterprises."""
    series = [item for enterprise_id in enterprise_ids for item in policy.series(enterprise_id)]
    anchors = [item for item in series if item.kind is SeriesKind.ANCHOR]
    statements = [item for item in series if item.kind is not SeriesKind.ANCHOR]
    return WholeCost(
        statements=cost(statements, PRIVACY_UNIT_PERSON_DAY),
        anchors=cost(anchors, PRIVACY_UNIT_PERSON_DAY),
        histogram=cost(series, PRIVACY_UNIT_PERSON_MONTH),
        active_days=active_days,
        enterprises=len(enterprise_ids),
    )
