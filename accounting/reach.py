"""What one unit can do to all releases of a series: the L1 bound noise is scaled by.

A person-day's statements move by the measure's reach, a person-month's histograms by the histogram's. A bound
that cannot be shown is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accounting.compiler import CompiledPack
from accounting.quantities import MG_PER_GRAM
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_REACH_UNBOUNDED


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one unit moves a series: grams over all releases (L1, after rounding), over how many."""

    grams: int
    releases: int
    signed: bool


def measure_reach(packs: Sequence[CompiledPack], day_clamp_grams: int) -> Reach:
    """Bound one person-day over all statements of a series: D if days are clamped, else release by release.

    A day of an own-history month moves its own month by factor * Q, each of n later years' by factor * Q / n;
    flooring lets each pack's part grow to the next mg, and the release's sum to the next gram.
    """
    if not any(one.own_history for one in packs):
        if day_clamp_grams <= 0:
            raise Refused(
                REASON_REACH_UNBOUNDED,
                "A measure without a day clamp has no bound on one day.",
                remedy="Set day_clamp_grams; only own-history packs clamp quantities themselves.",
            )
        return Reach(day_clamp_grams, 1, signed=False)
    releases = 1 + max(one.years for one in packs)
    deltas = [sum(one.day_delta_mg(release) for one in packs if one.history) for release in range(releases)]
    return Reach(sum(-(-delta // MG_PER_GRAM) for delta in deltas), releases, signed=True)


def histogram_reach(packs: Sequence[CompiledPack], month_clamp_grams: int) -> Reach:
    """Bound one person-month over all histograms' sum tables, each vector's L1 being at most C.

    Without its records a person is absent from the month's own histogram, so that one moves by C; each later
    one that reads the month as a baseline goes from one vector to another, at most 2 C apart.
    """
    if month_clamp_grams <= 0:
        raise Refused(REASON_REACH_UNBOUNDED, "A histogram without a month clamp has no bound.")
    years = max((one.years for one in packs), default=0)
    return Reach(month_clamp_grams * (1 + 2 * years), 1 + years, signed=years > 0)
