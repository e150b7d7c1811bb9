"""What one unit can do to all releases of a series: the L1 bound noise is scaled by.

A person-day's statements move by the measure's reach, a person-month's histograms by the histogram's. A bound
that cannot be shown is refused, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from accounting.compiled import CompiledPack
from accounting.quantities import MG_PER_GRAM
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_REACH_UNBOUNDED


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one unit moves a series: grams over all releases (L1, after rounding), over how many.

    `later` is the part of it that falls on later months' releases: (months after the unit's own, grams).
    """

    grams: int
    releases: int
    signed: bool
    later: tuple[tuple[int, int], ...] = ()

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """Give the reach by months after the unit's own, that one first."""
        return split_reach(self.grams, self.later)


def split_reach(whole: int, later: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Put what is not later in front, as what a unit moves in its own month."""
    return ((0, whole - sum(reach for _, reach in later)), *later)


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
    grams = {months: -(-delta // MG_PER_GRAM) for months, delta in sorted(deltas.items())}
    later = tuple(part for part in grams.items() if part[0])
    return Reach(sum(grams.values()), len(grams), signed=True, later=later)


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
    offsets = {offset for one in packs if one.history for offset in one.history.window.offsets}
    later = tuple((offset, 2 * month_clamp_grams) for offset in sorted(offsets))
    grams = month_clamp_grams * (1 + 2 * len(later))
    return Reach(grams, 1 + len(later), signed=bool(later), later=later)
