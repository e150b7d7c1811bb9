"""What a release would say and cost, everything except noised figures; the charge equals the preview.

Clamp losses are exact: they are shown here, to the enterprise alone, and are part of no message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from enterprise_node.budget import UNIT_NAMES
from enterprise_node.contents import losses
from enterprise_node.release import planned_charges
from enterprise_node.terms import check_policy
from privacy.charges import (
    ALL_ENTERPRISES,
    NOTHING_COVERED,
    UNITS,
    WholeCost,
    allowance,
    charged,
    cost_table,
)
from privacy.laplace import interval_halfwidth, sigma_upper
from protos.epochs import Epoch, days_in, format_epoch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enterprise_node.budget import BudgetLedger
    from enterprise_node.configuration import Ceilings
    from enterprise_node.late import LateRecords
    from enterprise_node.reductions import Losses, Reductions
    from enterprise_node.roster import Roster
    from privacy.anchors import Covered
    from privacy.policy import Policy
    from privacy.series import Series


@dataclass(frozen=True, slots=True)
class SeriesPreview:
    """One vector: how many numbers, what it costs a unit, how far its noise strays (grams, or persons)."""

    name: str
    unit: str
    numbers: int
    epsilon: Fraction
    scale: int
    sigma: int
    halfwidth_95: int


@dataclass(frozen=True, slots=True)
class Preview:
    """All that can be said of an epoch's release before it is drawn."""

    enterprise_id: str
    epoch: Epoch
    policy_id: str
    policy_version: int
    active_slots: int
    series: tuple[SeriesPreview, ...]
    # What the release charges, and what could still be charged before it, by unit.
    charge: Mapping[str, Fraction]
    remaining: Mapping[str, Fraction]
    # What it charges earlier months, which it totals or reads as a baseline, by unit and month.
    charge_earlier: Mapping[tuple[str, Epoch], Fraction]
    # Here, and for a person known to all enterprises of the policy.
    costs: Mapping[str, WholeCost]
    losses: Mapping[str, Losses]
    # What statements carry of earlier months' days and what finds no room, by measure.
    late: Mapping[str, Mapping[str, int]]

    def to_json(self) -> dict[str, Any]:
        """Give the preview with fractions as text."""
        return {
            "enterprise_id": self.enterprise_id,
            "epoch": format_epoch(self.epoch),
            "policy": {"id": self.policy_id, "version": self.policy_version},
            "active_slots": self.active_slots,
            "series": [
                {
                    "name": item.name,
                    "unit": item.unit,
                    "numbers": item.numbers,
                    "epsilon": str(item.epsilon),
                    "scale": item.scale,
                    "standard_deviation": item.sigma,
                    "halfwidth_95": item.halfwidth_95,
                }
                for item in self.series
            ],
            "charge": {unit: str(value) for unit, value in self.charge.items()},
            "remaining": {unit: str(value) for unit, value in self.remaining.items()},
            "charge_earlier": [
                {"unit": unit, "epoch": format_epoch(one), "epsilon": str(value)}
                for (unit, one), value in self.charge_earlier.items()
            ],
            "whole_cost": self.costs[self.enterprise_id].to_json(),
            "whole_cost_everywhere": self.costs[ALL_ENTERPRISES].to_json(),
            "clamp_losses_local_only": {
                name: {"persons": loss.persons, "days": loss.days, "mg": loss.mg}
                for name, loss in self.losses.items()
            },
            "late_local_only": {name: dict(late) for name, late in self.late.items()},
        }

    def lines(self) -> Iterator[str]:
        """Give the preview for people."""
        yield f"Release of {self.enterprise_id} for {format_epoch(self.epoch)} 发布预览"
        yield f"  policy 策略 {self.policy_id} version {self.policy_version}"
        yield f"  active slots 名册人数 {self.active_slots}" + (
            "" if self.active_slots else ": nothing to report 无可报告"
        )
        for item in self.series:
            yield (
                f"  {item.name}: {item.numbers} numbers, epsilon {item.epsilon} per {item.unit}, "
                f"standard deviation {item.sigma}, 95 % within ±{item.halfwidth_95}"
            )
        for unit, charge in self.charge.items():
            yield f"  charge per {unit} 隐私消耗 {charge} of remaining 剩余 {self.remaining[unit]}"
        for (unit, one), value in self.charge_earlier.items():
            yield f"  charge per {unit} of {format_epoch(one)}, which it speaks of again 再次计入: {value}"
        yield f"  whole cost 总隐私成本: {self.costs[self.enterprise_id].line()}"
        everywhere = self.costs[ALL_ENTERPRISES]
        yield f"  … at all {everywhere.enterprises} enterprises 所有企业合计: {everywhere.line()}"
        for name, loss in self.losses.items():
            touched = f"{loss.persons} persons, {loss.days} days"
            yield f"  clamp loss 截断损失（仅本地） {name}: {loss.mg} mg, {touched}"
        for measure_id, late in self.late.items():
            if late["days"] or late["left_days"]:
                carried = f"{late['mg']} mg of {late['days']} earlier days are carried 计入本期"
                left = f"{late['left_mg']} mg of {late['left_days']} days find no room 超出上限"
                yield f"  late 迟到与更正（仅本地） {measure_id}: {carried}; {left}"


def preview(
    epoch: Epoch,
    policy: Policy,
    enterprise_id: str,
    *,
    ledger: BudgetLedger,
    roster: Roster,
    reductions: Reductions,
    ceilings: Ceilings,
    late: LateRecords,
    covered: Covered = NOTHING_COVERED,
) -> Preview:
    """Preview an epoch's release; raises what reserving it would raise."""
    mine = policy.enterprise(enterprise_id)
    check_policy(policy, mine, reductions, ceilings)
    allowances = {unit: allowance(policy, unit) for unit in UNITS}
    series = policy.series(enterprise_id, epoch)
    # Later months may have charged it as their baseline; its own reservation charges every series.
    if not {one.series for one in ledger.charges(epoch)}.issuperset(item.name for item in series):
        ledger.check(epoch, planned_charges(policy, enterprise_id, epoch, covered), allowances)
    active = roster.active(epoch)
    charges = charged(policy, enterprise_id, epoch, covered)
    return Preview(
        enterprise_id=enterprise_id,
        epoch=epoch,
        policy_id=policy.id,
        policy_version=policy.version,
        active_slots=len(active),
        series=tuple(_series(item, len(active)) for item in series),
        charge={UNIT_NAMES[unit]: charges[unit, epoch] for unit in UNITS},
        charge_earlier={
            (UNIT_NAMES[unit], one): epsilon
            for (unit, one), epsilon in sorted(charges.items())
            if one != epoch and epsilon
        },
        remaining={UNIT_NAMES[unit]: ledger.remaining(epoch, unit, allowances) for unit in UNITS},
        costs=cost_table(policy, days_in(epoch)),
        losses=losses(reductions, epoch, policy, enterprise_id, active),
        late={one.id: late.parts(epoch, policy, one).to_json() for one in mine.measures},
    )


def _series(item: Series, rows: int) -> SeriesPreview:
    scale = item.claim.scale
    return SeriesPreview(
        name=item.name,
        unit=UNIT_NAMES[item.claim.unit],
        numbers=rows if item.by_slot else item.cells or 0,
        epsilon=item.claim.epsilon,
        scale=scale,
        sigma=sigma_upper([scale]),
        halfwidth_95=interval_halfwidth([scale]),
    )
