"""Packs to SQL: one integer-only text for DuckDB and Spark, with a proof that nothing reaches 2^63.

`//` is integer division on operands that are never negative; Spark spells it `div`, its engine replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from accounting.packs import Pack


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one unit can move a series: grams over all releases (L1, after rounding), and how many it touches."""

    grams: int
    releases: int
    signed: bool


@dataclass(frozen=True, slots=True)
class CompiledPack:
    """A pack ready to run: SQL texts, the divisor to milligrams and what was proved about them."""

    pack: Pack
    record_value: str
    joins: str
    applies: str
    milligrams_per_step: Fraction
    record_bounds: tuple[int, int]
    day_bounds_mg: tuple[int, int]

    @property
    def own_history(self) -> bool:
        """Tell whether the person's own earlier months are the baseline."""
        raise NotImplementedError

    @property
    def years(self) -> int:
        """Count the previous years the baseline reads; 0 for kinds without history."""
        raise NotImplementedError

    def record_sql(self, activities: str) -> str:
        """Give (record, person, day, region, value): each record's reduction in steps; NULL if a key is unknown."""
        raise NotImplementedError

    def person_day_sql(self, activities: str, persons: str, first_day: int, end_day: int) -> str:
        """Give (person, day, mg, records): reductions floored once to mg; not for own-history kinds."""
        raise NotImplementedError

    def person_month_sql(self, activities: str, persons: str, epoch: int) -> str:
        """Give (person, mg, records, last_region): the month's reduction, of own-history kinds only for the eligible.

        `persons` is (person BIGINT, since_day INTEGER, until_day INTEGER or NULL).
        """
        raise NotImplementedError

    def unmatched_sql(self, activities: str, first_day: int, end_day: int) -> str:
        """Give (record, day) of records whose key is in no valid row of a factor table."""
        raise NotImplementedError

    def reach(self, day_clamp_grams: int) -> Reach:
        """Bound one person-day's influence; REACH_UNBOUNDED where no bound can be shown."""
        raise NotImplementedError


def compile_pack(pack: Pack) -> CompiledPack:
    """Type the formula, scale it to integers and prove its bounds; PACK_INVALID says what does not fit."""
    raise NotImplementedError
