"""What earns points: released statements chosen by structured matchers, a ratio or brackets, and a cap.

A rule reckons a person's whole figure from the programme's first epoch on, never one epoch's alone: points
are a position, and a close credits the difference to the close before. So nothing is lost in rounding, and a
restatement needs no rule of its own. What is not proportional within an epoch (tiers of a saving, streaks,
caps by day, points without a reduction) is reckoned by a pack's tariff at the node, from exact figures; the
node releases the points and a rule here takes them as they are.
"""

from __future__ import annotations

import enum
import itertools
from typing import Annotated, Self

from pydantic import Field, model_validator

from accounting.documents import Strict
from accounting.packs import Domain
from accounting.programmes.words import AmountOrZero, Factor, FactorOrZero, Names, Words

BRACKETS_MAX = 20
# Points for one gram at most; more would let sums of points leave 63 bits.
RATE_MAX = 1_000


class EarnFrom(enum.StrEnum):
    """Whether a rule reads statements in grams, or points that packs' tariffs gave at the nodes."""

    GRAMS = "grams"
    POINTS = "points"


class Matcher(Strict):
    """Which statements count: those that every list not left empty takes.

    A measure is of a domain or pack if all packs it sums are; statements carry no region, so a city's
    programme names its enterprises or the measures of its packs.
    """

    enterprises: Words = ()
    measures: Words = ()
    domains: Annotated[tuple[Domain, ...], Field(max_length=len(Domain))] = ()
    packs: Words = ()


class Bracket(Strict):
    """From this many grams (points) in all, each further `ratio[1]` give `ratio[0]` points."""

    since: AmountOrZero
    ratio: tuple[FactorOrZero, Factor]


class EarnRule(Strict):
    """One way to earn: points for an amount, floored once over the whole; an item's cap by year or in all."""

    names: Names
    counts: EarnFrom = EarnFrom.GRAMS
    match: Matcher = Matcher()
    ratio: tuple[Factor, Factor] | None = None
    brackets: Annotated[tuple[Bracket, ...], Field(max_length=BRACKETS_MAX)] = ()
    year_points_max: AmountOrZero = 0
    overall_points_max: AmountOrZero = 0

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if (self.ratio is None) == (not self.brackets):
            raise ValueError("a rule has a ratio or brackets, one of the two")
        starts = [one.since for one in self.brackets]
        if starts and (starts[0] != 0 or any(b <= a for a, b in itertools.pairwise(starts))):
            raise ValueError("brackets begin at 0 and ascend")
        if any(points > RATE_MAX * amount for points, amount in (one.ratio for one in self.steps)):
            raise ValueError(f"a rule gives at most {RATE_MAX} points for one")
        return self

    @property
    def steps(self) -> tuple[Bracket, ...]:
        """Give the brackets; a ratio is one from 0 on."""
        return self.brackets if self.ratio is None else (Bracket(since=0, ratio=self.ratio),)
