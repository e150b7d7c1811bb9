"""How long people wait for a first reward: a programme over the simulated years of each type of participant.

Shown before a programme is signed. Statements in grams only: points of the nodes' tariffs have no simulated
participant. Statistics for people, in floating point; no balance is made from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accounting.programmes.earn_rules import Bracket
from accounting.programmes.earning import rate_upper
from accounting.programmes.matching import rule_of
from accounting.programmes.programme import YEAR_MONTHS, Programme
from engine.earning import released_measures
from hub.limits import statements
from privacy.policy import Policy
from privacy.simulation import ARCHETYPES, Archetype, Statements, earned_paths, noise_paths, sigmas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Paths = NDArray[np.float64]

MONTHS = 60
ACCOUNTS = 1_000
SEED = 20_260_102
# Beyond this share of a type that never reaches a reward the operator is warned.
NEVER_SHARE_MAX = 0.20


@dataclass(frozen=True, slots=True)
class Wait:
    """How one type of participant fares at one measure; half have a first reward by `median_months`."""

    measure: str
    archetype: str
    rule: str
    points_a_month: float
    median_months: int | None
    never_share: float
    meant: bool = True

    @property
    def is_too_long(self) -> bool:
        """Tell whether too many of those who are meant to spend never can."""
        return self.meant and self.never_share > NEVER_SHARE_MAX

    def to_json(self) -> dict[str, Any]:
        """Give the figures as JSON."""
        return {**asdict(self), "warned": self.is_too_long}


def cheapest(programme: Programme) -> int | None:
    """Give the fewest points any reward costs, None where none costs any."""
    return min((one.cost_points for one in programme.rewards.values() if one.cost_points), default=None)


def waits(programme: Programme, policy: Policy) -> list[Wait]:
    """Simulate five years of every type at every measure that earns."""
    found: list[Wait] = []
    measures = {f"{one.enterprise}/{one.measure}": one for one in released_measures(policy)}
    meant = {
        f"{enterprise.enterprise_id}/{measure.id}": measure.archetype
        for enterprise in policy.enterprises
        for measure in enterprise.measures
    }
    for released in statements(policy):
        rule = rule_of(programme, measures[released.name])
        if cheapest(programme) is None or rule is None:
            continue
        for archetype in ARCHETYPES:
            named = meant[released.name]
            can = _can_redeem(programme, policy, released, archetype, rule)
            found.append(replace(can, meant=named in ("", archetype.name)))
    return found


def _can_redeem(
    programme: Programme, policy: Policy, released: Statements, archetype: Archetype, rule: str
) -> Wait:
    """Simulate one type at one measure up to its first reward."""
    cost = cheapest(programme) or 0
    random = np.random.default_rng(SEED)
    steps = programme.earn[rule].steps
    _, kept = earned_paths(archetype, released.day_clamp_grams, MONTHS, ACCOUNTS, random)
    noise = noise_paths(released, MONTHS, ACCOUNTS, random)
    points = _credited(programme, rule, _points(steps, kept + noise))
    numerator, denominator = rate_upper(steps)
    reserve = float(policy.reserve_z) * sigmas(released, MONTHS) * numerator / denominator
    can = points - reserve >= cost
    first = np.where(can.any(axis=1), can.argmax(axis=1) + 1, MONTHS + 1)
    median = int(np.median(first))
    return Wait(
        released.name,
        archetype.name,
        rule,
        float(points[:, -1].mean()) / MONTHS,
        median if median <= MONTHS else None,
        float((first > MONTHS).mean()),
    )


def _points(steps: Sequence[Bracket], grams: Paths) -> Paths:
    """Give the points of whole figures, each bracket's part at its rate."""
    total = np.zeros_like(grams)
    for place, step in enumerate(steps):
        inside = grams if place == 0 else np.maximum(grams - step.since, 0.0)
        if place + 1 < len(steps):
            inside = np.minimum(inside, steps[place + 1].since - step.since)
        total += np.floor(inside * step.ratio[0] / step.ratio[1])
    return total


def _credited(programme: Programme, rule: str, points: Paths) -> Paths:
    """Give what is credited by month after the caps by epoch, by year and in all."""
    caps, item = programme.caps, programme.earn[rule]
    gains = np.diff(points, axis=1, prepend=0.0)
    if caps.epoch_points:
        gains = np.minimum(gains, caps.epoch_points)
    total, credited = np.zeros(len(points)), np.empty_like(points)
    for start in range(0, MONTHS, YEAR_MONTHS):
        year = gains[:, start : start + YEAR_MONTHS].cumsum(axis=1)
        for most in (item.year_points_max, caps.year_points):
            year = np.minimum(year, most) if most else year
        credited[:, start : start + YEAR_MONTHS] = total[:, None] + year
        total = credited[:, start + YEAR_MONTHS - 1]
    for most in (item.overall_points_max, caps.overall_points):
        credited = np.minimum(credited, most) if most else credited
    return credited


def lines(found: Sequence[Wait]) -> Iterator[str]:
    """Give the figures as a table."""
    heads = f"{'measure 指标':<30}{'archetype 类型':<18}{'rule 规则':<16}"
    yield f"{heads}{'points/mo':>10}{'median mo':>11}{'never':>8}"
    for one in found:
        months = "—" if one.median_months is None else str(one.median_months)
        mark = "  WARNING 警告" if one.is_too_long else ""
        yield (
            f"{one.measure:<32}{one.archetype:<20}{one.rule:<18}{one.points_a_month:>10.0f}{months:>11}"
            f"{one.never_share:>8.0%}{mark}"
        )
