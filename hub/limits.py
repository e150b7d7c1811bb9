"""Limits a policy sets for the accounts it makes, and their proof by simulation before it is signed.

[limits]
z = 3.2                              # an account spends what is above z standard deviations of its noise
idle_grams_max = 50                  # an idle account takes at most this over its life, on average
never_spending_max = 0.5             # of the participants named below at most this share cannot spend ...
within_months = 24                   # ... within so many months

[limits.archetypes]                  # who is meant to spend: a measure and its type of participant
trips = "city mix"
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

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
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_CEILING_EXCEEDED
from runtime.configuration import Settings

IDLE_GRAMS_MAX = 50
Z_SHOWN = 3.0
ACCOUNTS = 2_000
IDLE_ACCOUNTS = 20_000
# One seed, so that all who judge a policy see the same figures.
SEED = 20_260_101

ArchetypeName = Literal["bank user", "city mix", "metro commuter", "household"]


class LimitsFile(Settings):
    """The limits of a policy."""

    z: Fraction = Field(gt=0, le=10)
    idle_grams_max: int = Field(default=IDLE_GRAMS_MAX, ge=1)
    never_spending_max: float = Field(default=0.5, ge=0, le=1)
    within_months: Literal[6, 12, 24, 60] = 24
    archetypes: dict[str, ArchetypeName] = Field(default_factory=dict)

    @field_validator("z", mode="before")
    @classmethod
    def _exact(cls, value: object) -> Fraction:
        try:
            return Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            raise ValueError("write z as a number, such as 3.2") from None


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


def judge(policy: Policy, limits: LimitsFile | None) -> Judged:
    """Simulate a policy; without limits it is shown at z = 3 and nothing is beyond."""
    measures = statements(policy)
    z = float(limits.z) if limits else Z_SHOWN
    limit = limits.idle_grams_max if limits else IDLE_GRAMS_MAX
    seen = outlooks(measures, ARCHETYPES, z=z, accounts=ACCOUNTS, random=np.random.default_rng(SEED))
    random = np.random.default_rng(SEED)
    taken = [idle(one, z=z, accounts=IDLE_ACCOUNTS, random=random) for one in measures]
    least = {
        one.name: least_z(one, limit, accounts=IDLE_ACCOUNTS, random=np.random.default_rng(SEED))
        for one in measures
    }
    beyond = tuple(_beyond(limits, seen, taken)) if limits else ()
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


def _beyond(limits: LimitsFile, seen: Sequence[Outlook], taken: Sequence[Idle]) -> Iterator[str]:
    for one in taken:
        if one.extracted_grams > limits.idle_grams_max:
            yield (
                f"{one.measure}: an idle account takes {one.extracted_grams:.0f} g, "
                f"{limits.idle_grams_max} g are allowed"
            )
    for two in seen:
        if limits.archetypes.get(two.measure.split("/")[1]) == two.archetype:
            never = 1.0 - two.spending[limits.within_months]
            if never > limits.never_spending_max:
                yield (
                    f"{two.measure}: {never:.0%} of {two.archetype} cannot spend within "
                    f"{limits.within_months} months, {limits.never_spending_max:.0%} are allowed"
                )
