"""Is a policy within the limits it states? Shown by simulation before it is signed, over five years.

All figures are a function of the policy alone, so that whoever reads the signed document can judge it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from privacy.policy import MeasureKind, Policy, SeriesKind
from privacy.simulation import (
    ARCHETYPES,
    HORIZONS,
    SPENDING_HORIZONS,
    Idle,
    Outlook,
    Statements,
    idle,
    least_z,
    outlooks,
)
from privacy.spending import PER_MILLE, SpendLimits
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_CEILING_EXCEEDED

# Shown for policies that state no limit.
IDLE_GRAMS_SHOWN = 50
ACCOUNTS = 2_000
IDLE_ACCOUNTS = 20_000
# One seed, so that all who judge a policy see the same figures.
SEED = 20_260_101
# The account of somebody enrolled everywhere.
TOGETHER = "all together"


@dataclass(frozen=True, slots=True)
class Judged:
    """A policy simulated: outlooks, idle accounts, the least z that would do, what is beyond its limits."""

    z: float
    outlooks: tuple[Outlook, ...]
    idle: tuple[Idle, ...]
    least_z: dict[str, float]
    beyond: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the figures as JSON."""
        return {
            "z": self.z,
            "outlooks": [asdict(one) for one in self.outlooks],
            "idle": [asdict(one) | {"least_z": self.least_z[one.measure]} for one in self.idle],
            "beyond_limits": list(self.beyond),
        }

    def lines(self) -> Iterator[str]:
        """Give the figures as a table."""
        yield f"accounts spend above z = {self.z:g} standard deviations 可用余额 = 余额 − z·σ"
        yield (
            f"{'measure 指标':<30}{'archetype 类型':<18}{'g/month':>8}{'clamped':>9}"
            + "".join(f"{f'±g {at} mo':>11}" for at in HORIZONS)
            + "".join(f"{f'spend {at}':>9}" for at in SPENDING_HORIZONS)
        )
        for one in self.outlooks:
            yield (
                f"{one.measure:<32}{one.archetype:<20}{one.month_grams:>8.0f}{one.clamp_loss:>9.1%}"
                + "".join(f"{one.error_grams[at]:>11.0f}" for at in HORIZONS)
                + "".join(f"{one.spending[at]:>9.0%}" for at in SPENDING_HORIZONS)
            )
        for two in self.idle:
            yield (
                f"{two.measure:<32}idle 闲置账户: takes {two.extracted_grams:.0f} g in 60 months at best; "
                f"z = {self.least_z[two.measure]:.2f} would do"
            )
        yield from (f"BEYOND 超限 {one}" for one in self.beyond)


def judge(policy: Policy) -> Judged:
    """Simulate a policy; one that states no limits is beyond none."""
    measures, limits, z = statements(policy), policy.limits, float(policy.reserve_z)
    months = {*SPENDING_HORIZONS, *([limits.spend_months_max] if limits else [])}
    seen = outlooks(
        measures,
        ARCHETYPES,
        z=z,
        accounts=ACCOUNTS,
        random=np.random.default_rng(SEED),
        spending_months=sorted(months),
    )
    accounts = {one.name: [one] for one in measures}
    if len(measures) > 1:
        accounts[TOGETHER] = measures
    taken = [
        idle(name, fed, z=z, accounts=IDLE_ACCOUNTS, random=np.random.default_rng(SEED))
        for name, fed in accounts.items()
    ]
    limit = limits.idle_extraction_grams_max if limits else IDLE_GRAMS_SHOWN
    least = {
        name: least_z(fed, limit, accounts=IDLE_ACCOUNTS, random=np.random.default_rng(SEED))
        for name, fed in accounts.items()
    }
    beyond = (*_idle_beyond(limits, taken), *_spending_beyond(policy, limits, seen)) if limits else ()
    return Judged(z, tuple(seen), tuple(taken), least, beyond)


def require(judged: Judged) -> None:
    """Refuse a policy beyond its own limits; raises Refused CEILING_EXCEEDED."""
    if judged.beyond:
        raise Refused(
            REASON_CEILING_EXCEEDED,
            "The policy is beyond its limits: " + "; ".join(judged.beyond) + ".",
            remedy="Change clamps, epsilons, z or the limits; cgsp-hub policy simulate shows what follows.",
        )


def statements(policy: Policy) -> list[Statements]:
    """List every enterprise's statements in grams with the scale of its anchor, if it has one."""
    found = []
    for enterprise in policy.enterprises:
        series = policy.series(enterprise.enterprise_id)
        anchors = {one.subject: one.claim.scale for one in series if one.name.startswith("anchor/")}
        clamps = {measure.id: measure.day_clamp_grams for measure in enterprise.measures}
        found += [
            Statements(
                f"{enterprise.enterprise_id}/{one.subject}",
                one.claim.scale,
                clamps[one.subject],
                anchors.get(one.subject),
            )
            for one in series
            if one.kind is SeriesKind.STATEMENT and one.measure_kind is not MeasureKind.POINTS
        ]
    return found


def _idle_beyond(limits: SpendLimits, taken: Sequence[Idle]) -> Iterator[str]:
    for one in taken:
        if one.extracted_grams > limits.idle_extraction_grams_max:
            yield (
                f"{one.measure}: an idle account takes {one.extracted_grams:.0f} g, "
                f"{limits.idle_extraction_grams_max} g are allowed"
            )


def _spending_beyond(policy: Policy, limits: SpendLimits, seen: Sequence[Outlook]) -> Iterator[str]:
    meant = {
        f"{enterprise.enterprise_id}/{measure.id}": measure.archetype
        for enterprise in policy.enterprises
        for measure in enterprise.measures
    }
    for one in seen:
        never = PER_MILLE * (1.0 - one.spending[limits.spend_months_max])
        if meant[one.measure] == one.archetype and never > limits.never_spend_per_mille_max:
            yield (
                f"{one.measure}: {never:.0f} in a thousand of {one.archetype} cannot spend within "
                f"{limits.spend_months_max} months, {limits.never_spend_per_mille_max} are allowed"
            )
