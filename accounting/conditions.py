"""What a pack states beside its formula: where it applies, what is left out, bands, rounding and tariffs."""

from __future__ import annotations

import enum
import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Self

from pydantic import Field, model_validator

from accounting.activities import InputName
from accounting.documents import DecimalText, Strict, Word
from accounting.factors import Confidence, Title
from accounting.quantities import CO2E_MG, PURE, parse_decimal, parse_unit
from accounting.terms import invalid

POINTS_MAX = 1_000_000_000

UnitText = Annotated[str, Field(min_length=1, max_length=64)]
Words = Annotated[tuple[Word, ...], Field(min_length=1, max_length=100)]
Points = Annotated[int, Field(ge=1, le=POINTS_MAX)]


class Applicability(Strict):
    """Which records count: of these regions (empty: all), and with one of these words in a key input."""

    regions: Annotated[tuple[Word, ...], Field(max_length=100)] = ()
    only: dict[InputName, Words] = Field(default_factory=dict)


class Exclusion(Strict):
    """Records another mechanism covers already: those whose key input holds one of the words."""

    input: InputName
    words: Words
    mechanism: Title
    source: Title


class Band(Strict):
    """A figure that holds from an amount on."""

    since: DecimalText
    value: DecimalText


class Curve(Strict):
    """A factor by bands of an input, the band of the whole amount holding; the first band begins at 0."""

    of: InputName
    of_unit: UnitText
    unit: UnitText
    bands: Annotated[tuple[Band, ...], Field(min_length=1, max_length=50)]
    source: Title
    confidence: Confidence

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        starts = [parse_decimal(band.since) for band in self.bands]
        if starts[0] != 0 or any(b <= a for a, b in itertools.pairwise(starts)):
            raise ValueError("bands begin at 0 and ascend")
        return self

    def at(self, amount: Fraction) -> Fraction:
        """Give the value of the band an amount (in `of_unit`) is in; below 0 the first holds."""
        reached = [band for band in self.bands if parse_decimal(band.since) <= amount]
        return parse_decimal((reached[-1] if reached else self.bands[0]).value)


class RoundingPer(enum.StrEnum):
    """Whether every event's reduction is rounded, or a person-day's sum once."""

    EVENT = "event"
    DAY = "day"


class RoundedTo(Strict):
    """A programme's own rounding, always down, to whole multiples of a step no finer than 1 mg."""

    per: RoundingPer
    step: DecimalText
    unit: UnitText


class TariffPer(enum.StrEnum):
    """Whether points are reckoned for a day, or for a whole month."""

    DAY = "day"
    MONTH = "month"


class TariffOf(enum.StrEnum):
    """What points are given for: the reduction, its share of the own baseline, days in a row, records."""

    REDUCTION = "reduction"
    SHARE = "share"
    STREAK = "streak"
    RECORDS = "records"


class Tier(Strict):
    """Points for reaching an amount; the highest tier reached counts."""

    since: DecimalText
    points: Points


class Each(Strict):
    """Points for each whole amount."""

    amount: DecimalText
    points: Points


class Tariff(Strict):
    """How the node turns a month into points, exactly; `maximum` binds each day or month reckoned."""

    per: TariffPer
    of: TariffOf
    unit: UnitText
    each: Each | None = None
    tiers: Annotated[tuple[Tier, ...], Field(max_length=20)] = ()
    maximum: Points
    month_maximum: Points | None = None
    source: Title
    confidence: Confidence

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        starts = [parse_decimal(tier.since) for tier in self.tiers]
        if any(b <= a for a, b in itertools.pairwise(starts)) or any(start <= 0 for start in starts):
            raise ValueError("tiers are above 0 and ascend")
        if self.each is None and not self.tiers:
            raise ValueError("a tariff has `each`, `tiers`, or both")
        if self.each is not None and parse_decimal(self.each.amount) <= 0:
            raise ValueError("`each` is for an amount above 0")
        if self.month_maximum is not None and self.per is not TariffPer.DAY:
            raise ValueError("month_maximum belongs to tariffs by day")
        if self.of in (TariffOf.SHARE, TariffOf.STREAK) and self.per is not TariffPer.MONTH:
            raise ValueError("shares and streaks are reckoned by month")
        if self.of is TariffOf.SHARE and self.each is not None:
            raise ValueError("a share has tiers, not `each`")
        return self


@dataclass(frozen=True, slots=True)
class Scale:
    """A tariff in whole numbers: what is counted is a multiple of `unit`; thresholds are rounded up."""

    tiers: tuple[tuple[Fraction, int], ...]
    each: tuple[int, int] | None

    def points(self, amount: Fraction) -> int:
        """Give the points for an amount before the maximum; shares are amounts too."""
        tier = max((points for since, points in self.tiers if amount >= since), default=0)
        if self.each is None or amount <= 0:
            return tier
        return tier + math.floor(amount) // self.each[0] * self.each[1]


def scale_of(tariff: Tariff) -> Scale:
    """Read a tariff's amounts in mg, days, records or as a fraction; PACK_INVALID if it does not fit."""
    unit = parse_unit(tariff.unit)
    expected = {
        TariffOf.REDUCTION: CO2E_MG,
        TariffOf.SHARE: PURE,
        TariffOf.STREAK: parse_unit("day"),
        TariffOf.RECORDS: PURE,
    }[tariff.of]
    if unit.dimensions != expected.dimensions:
        raise invalid(f"the tariff's unit does not measure {tariff.of.value}")
    tiers = tuple((parse_decimal(tier.since) * unit.ratio, tier.points) for tier in tariff.tiers)
    if tariff.each is None:
        return Scale(tiers, None)
    amount = parse_decimal(tariff.each.amount) * unit.ratio
    if amount.denominator != 1:
        raise invalid("a tariff's `each` is for a whole number of mg, days or records")
    return Scale(tiers, (amount.numerator, tariff.each.points))
