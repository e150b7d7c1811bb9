"""What one unit can do to all releases of a series: the L1 bound noise is scaled by.

A person-day's statements move by the measure's reach, a person-month's histograms by the histogram's. A bound
that cannot be shown is refused, never guessed.
"""

from __future__ import annotations

from collections import Counter
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

    Packs with a month's cap are clamped by D each for itself, before their cap: every one of them adds D. A
    day of own history moves its own month by factor * Q and later ones by what they weigh it; flooring lets
    each pack's part grow to the next mg, and the release's sum to the next gram.
    """
    if not any(one.own_history for one in packs):
        if day_clamp_grams <= 0:
            raise Refused(
                REASON_REACH_UNBOUNDED,
                "A measure without a day clamp has no bound on one day.",
                remedy="Set day_clamp_grams; only own-history packs clamp quantities themselves.",
            )
        return Reach(day_clamp_grams * len(clamped_groups(packs)), 1, signed=False)
    deltas: Counter[int] = Counter()
    for one in packs:
        deltas.update(one.history.deltas_mg() if one.history else {})
    return Reach(sum(-(-delta // MG_PER_GRAM) for delta in deltas.values()), len(deltas), signed=True)


def clamped_groups(packs: Sequence[CompiledPack]) -> list[tuple[CompiledPack, ...]]:
    """Group the packs whose person-days are summed before the clamp: those with a month's cap stand alone."""
    together = tuple(one for one in packs if one.month_limit_mg is None)
    alone: list[tuple[CompiledPack, ...]] = [(one,) for one in packs if one.month_limit_mg is not None]
    return [together, *alone] if together else alone


def histogram_reach(packs: Sequence[CompiledPack], month_clamp_grams: int) -> Reach:
    """Bound one person-month over all histograms' sum tables, each vector's L1 being at most C.

    Without its records a person is absent from the month's own histogram, so that one moves by C; each later
    one that reads the month as a baseline goes from one vector to another, at most 2 C apart.
    """
    if month_clamp_grams <= 0:
        raise Refused(REASON_REACH_UNBOUNDED, "A histogram without a month clamp has no bound.")
    later = {offset for one in packs if one.history for offset in one.history.window.offsets}
    return Reach(month_clamp_grams * (1 + 2 * len(later)), 1 + len(later), signed=bool(later))
