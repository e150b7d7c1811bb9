"""Packs to SQL: one integer-only text for DuckDB and Spark, with a proof that nothing reaches 2^63.

`//` is integer division on operands that are never negative; Spark spells it `div`, its engine replaces it.
Nothing is rounded but once a person-day (own history: a person-month), by a floor towards minus infinity.
"""

# ruff: noqa: S608  (SQL is what this module makes; every word in it passed `literal` or a checked pattern)

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from accounting.documents import is_word
from accounting.lowering import Lowered, day_cap, literal, lower
from accounting.packs import Amount, BaselineKind, Pack, Purpose
from accounting.quantities import parse_decimal, parse_unit
from accounting.terms import Integer, bounded, invalid
from accounting.vectors import check_vectors
from protos.epochs import Epoch, checked_epoch, end_day, first_day, shift_epoch
from protos.problems import Malformed, Refused
from protos.v1.problem_pb2 import REASON_PACK_INVALID, REASON_REACH_UNBOUNDED

MONTH_DAYS_MAX = 31

_RECORD_KINDS = frozenset(
    {
        BaselineKind.HIGH_CARBON_ALTERNATIVE,
        BaselineKind.SUBSTITUTION_MIX,
        BaselineKind.CITY_MEAN,
        BaselineKind.PROGRAMME_FIXED,
        BaselineKind.PERFORMANCE_STANDARD,
        BaselineKind.GRID_AVERAGE,
        BaselineKind.REMOVAL_GROWTH,
        BaselineKind.SPEND_INTENSITY,
        BaselineKind.NONE,
    }
)


@dataclass(frozen=True, slots=True)
class OwnHistory:
    """A day's quantity, clamped to [0, day_maximum] steps in baseline and actual, and the years averaged."""

    quantity: str
    day_maximum: int
    years: int


@dataclass(frozen=True, slots=True)
class CompiledPack:
    """A pack ready to run; values count steps of `milligrams_per_step`, bounds are proved."""

    pack: Pack
    lowered: Lowered
    milligrams_per_step: Fraction
    record_bounds: tuple[int, int]
    day_bounds_mg: tuple[int, int]
    month_bounds_mg: tuple[int, int]
    history: OwnHistory | None

    @property
    def own_history(self) -> bool:
        """Tell whether the person's own earlier months are the baseline."""
        return self.history is not None

    @property
    def years(self) -> int:
        """Count the previous years the baseline reads; 0 for kinds without history."""
        return self.history.years if self.history else 0

    def day_delta_mg(self, release: int) -> int:
        """Bound in mg what an own-history day changes in its month's release (0) or the k-th year's after."""
        assert self.history is not None
        weight = Fraction(1) if release == 0 else Fraction(1, self.history.years)
        if release > self.history.years:
            return 0
        return math.ceil(self.history.day_maximum * self.milligrams_per_step * weight)

    def record_sql(self, activities: str) -> str:
        """Give (record, person, day, region, value), value in steps, NULL if a key is in no factor table."""
        value = self.lowered.value.sql
        if self.lowered.matched:
            value = f"CASE WHEN {' AND '.join(self.lowered.matched)} THEN {value} END"
        columns = f"a.record, a.person, a.day, a.region, CAST({value} AS BIGINT) AS value"
        return f"SELECT {columns} {self.lowered.source(activities)}"

    def unmatched_sql(self, activities: str, first_day: int, end_day: int) -> str:
        """Give (record, day) of records whose key is in no valid row of a factor table."""
        unmatched = f"NOT ({' AND '.join(self.lowered.matched) or '1 = 1'})"
        return (
            f"SELECT a.record, a.day {self.lowered.source(activities, _days(first_day, end_day), unmatched)}"
        )

    def person_day_sql(
        self,
        activities: str,
        persons: str | None,
        first_day: int,
        end_day: int,
        regions: Sequence[str] = (),
    ) -> str:
        """Give (person, day, mg, records): reductions floored once to mg; not for own-history kinds.

        With regions a column region_code follows: the first of them in the list that the day's records name.
        """
        if self.history:
            raise invalid("own-history kinds have no reduction by day", "Use person_month_sql.")
        total = _sum_of(self.lowered.value, self.pack.activity.records_per_day_max)
        capped = day_cap(self.pack, self.lowered, total)
        scale = capped.unit.ratio
        mg = floor_sql("total", capped.low * scale.numerator, scale.denominator)
        grouped = self._by_day(
            activities, persons, [(first_day, end_day)], regions, _times(capped.sql, scale)
        )
        return (
            f"SELECT person, day, CAST({mg} AS BIGINT) AS mg, records{_region(regions)} FROM ({grouped}) AS d"
        )

    def person_month_sql(self, activities: str, persons: str, epoch: int, regions: Sequence[str] = ()) -> str:
        """Give (person, mg, records): the month's reduction, of own-history kinds for the eligible only.

        `persons` is (person BIGINT, since_day INTEGER, until_day INTEGER or NULL). With regions a column
        region_code follows: day * count + (count - 1 - index) of the latest known region, NULL if none is.
        """
        month = checked_epoch(epoch)
        if self.history:
            return self._history_month_sql(self.history, activities, persons, month, regions)
        days = self.person_day_sql(activities, None, first_day(month), end_day(month), regions)
        latest = f", MAX(day * {len(regions)} + region_code) AS region_code" if regions else ""
        return (
            "SELECT person, CAST(SUM(mg) AS BIGINT) AS mg, CAST(SUM(records) AS BIGINT) AS records"
            f"{latest} FROM ({days}) AS m GROUP BY person"
        )

    def history_day_sql(self, activities: str, first_day: int, end_day: int) -> str:
        """Give (person, day, total, records) of an own-history quantity before its clamp, in steps."""
        return self._by_day(activities, None, [(first_day, end_day)], (), _SUM_OF_VALUES)

    def ineligible_sql(self, persons: str, epoch: int) -> str:
        """Give (person) of those whose dates do not cover the month and its baseline months."""
        return f"SELECT p.person FROM {persons} AS p WHERE NOT ({self._eligible(checked_epoch(epoch))})"

    def _eligible(self, month: Epoch) -> str:
        begin = first_day(shift_epoch(month, -12 * self.years))
        return f"p.since_day <= {begin} AND (p.until_day IS NULL OR p.until_day >= {end_day(month)})"

    def _in_force(self, month: Epoch) -> bool:
        since, until = self.pack.since_day, self.pack.until_day
        return (since is None or since <= first_day(month)) and (until is None or until >= end_day(month))

    def _history_month_sql(
        self, history: OwnHistory, activities: str, persons: str, month: Epoch, regions: Sequence[str]
    ) -> str:
        months = [shift_epoch(month, -12 * year) for year in range(history.years + 1)]
        spans = [(first_day(one), end_day(one)) for one in months] if self._in_force(month) else []
        # The quantity is clamped, not the difference: clipping differences would pay unchanged behaviour.
        clamped = f"LEAST(GREATEST({_SUM_OF_VALUES}, 0), {history.day_maximum})"
        days = self._by_day(activities, None, spans, regions, clamped)
        actual = f"day >= {first_day(month)}"
        scale = self.milligrams_per_step / history.years
        latest = (
            f", MAX(CASE WHEN {actual} THEN day * {len(regions)} + region_code END) AS region_code"
            if regions
            else ""
        )
        weighted = f"CASE WHEN {actual} THEN -{history.years} * total ELSE total END"
        months_sql = (
            f"SELECT person, {_times(f'CAST(SUM({weighted}) AS BIGINT)', scale)} AS total, "
            f"CAST(SUM(CASE WHEN {actual} THEN records ELSE 0 END) AS BIGINT) AS records{latest} "
            f"FROM ({days}) AS d GROUP BY person"
        )
        mg = floor_sql("m.total", -1, scale.denominator)
        return (
            f"SELECT m.person, CAST({mg} AS BIGINT) AS mg, m.records{_region(regions, 'm.')} "
            f"FROM ({months_sql}) AS m JOIN {persons} AS p ON m.person = p.person "
            f"WHERE {self._eligible(month)}"
        )

    def _by_day(
        self,
        activities: str,
        persons: str | None,
        spans: Sequence[tuple[int, int]],
        regions: Sequence[str],
        total: str,
    ) -> str:
        within = " OR ".join(_days(*span) for span in spans) or "1 = 0"
        joins = f" JOIN {persons} AS p ON a.person = p.person" if persons else ""
        columns = f"a.person, a.day, {self.lowered.value.sql} AS value"
        if regions:
            columns += ", r.code AS region_code"
            joins += _region_join(regions)
        source = self.lowered.source(activities, f"({within})", *self.lowered.matched, joins=joins)
        latest = ", MAX(region_code) AS region_code" if regions else ""
        return (
            f"SELECT person, day, {total} AS total, CAST(COUNT(*) AS BIGINT) AS records{latest} "
            f"FROM (SELECT {columns} {source}) AS v GROUP BY person, day"
        )


_SUM_OF_VALUES = "CAST(SUM(value) AS BIGINT)"


def _days(first: int, end: int) -> str:
    return f"(a.day >= {first} AND a.day < {end})"


def _region(regions: Sequence[str], prefix: str = "") -> str:
    return f", {prefix}region_code" if regions else ""


def _region_join(regions: Sequence[str]) -> str:
    if not all(is_word(region) for region in regions):
        raise invalid("a region's name is no key")
    count = len(regions)
    rows = ", ".join(f"({literal(one)}, {count - 1 - index})" for index, one in enumerate(regions))
    return f" LEFT JOIN (VALUES {rows}) AS r(region, code) ON a.region = r.region"


def _times(sql: str, scale: Fraction) -> str:
    return sql if scale.numerator == 1 else f"{sql} * {scale.numerator}"


def floor_sql(column: str, low: int, divisor: int) -> str:
    """Divide a column by a positive constant towards minus infinity; low is its proved least value."""
    if divisor == 1:
        return column
    if low >= 0:
        return f"{column} // {divisor}"
    negative = f"-((-{column} + {divisor - 1}) // {divisor})"
    return f"CASE WHEN {column} >= 0 THEN {column} // {divisor} ELSE {negative} END"


def _sum_of(value: Integer, count: int) -> Integer:
    low, high = bounded(min(value.low, value.low * count), max(value.high, value.high * count), "a day's sum")
    return replace(value, sql=_SUM_OF_VALUES, low=low, high=high)


def _floored(low: int, high: int, scale: Fraction, what: str) -> tuple[int, int]:
    """Prove that scaling and flooring an interval stays inside 64 bits; give it floored."""
    bounded(low * scale.numerator - scale.denominator, high * scale.numerator + scale.denominator, what)
    return math.floor(low * scale), math.floor(high * scale)


def compile_pack(pack: Pack) -> CompiledPack:
    """Type and scale the formula, prove its bounds, check its vectors; PACK_INVALID says why not."""
    if pack.baseline.kind not in _RECORD_KINDS | {BaselineKind.OWN_HISTORY_SAME_MONTH}:
        raise Refused(
            REASON_REACH_UNBOUNDED,
            f"Pack {pack.id}: no bound is known for what one day changes under {pack.baseline.kind.value}.",
            remedy="Use a kind with a bound: the record kinds or own_history_same_month.",
        )
    try:
        lowered = lower(pack)
        own = pack.baseline.kind is BaselineKind.OWN_HISTORY_SAME_MONTH
        compiled = _compile_history(pack, lowered) if own else _compile_records(pack, lowered)
    except Malformed as problem:
        raise Malformed(
            REASON_PACK_INVALID, f"Pack {pack.id}: {problem.message}", remedy=problem.remedy
        ) from problem
    check_vectors(pack)
    return compiled


def _compile_records(pack: Pack, lowered: Lowered) -> CompiledPack:
    if pack.baseline.quantity or pack.baseline.day_maximum or pack.baseline.years:
        raise invalid("quantity, day_maximum and years belong to own-history baselines")
    value = lowered.value
    capped = day_cap(pack, lowered, _sum_of(value, pack.activity.records_per_day_max))
    day = _floored(capped.low, capped.high, capped.unit.ratio, "a day's reduction")
    month = bounded(MONTH_DAYS_MAX * min(day[0], 0), MONTH_DAYS_MAX * max(day[1], 0), "a month's reduction")
    return CompiledPack(pack, lowered, value.unit.ratio, (value.low, value.high), day, month, None)


def _compile_history(pack: Pack, lowered: Lowered) -> CompiledPack:
    baseline, value = pack.baseline, lowered.value
    if baseline.quantity is None or baseline.day_maximum is None or baseline.years is None:
        raise invalid("own history needs quantity, day_maximum and years", "Add them under [baseline].")
    if pack.purpose is not Purpose.CREDIT or pack.caps:
        raise invalid("an own-history pack is a credit and has no caps: day_maximum clamps the quantity")
    # Constants leave a term's SQL alone: it is still the bare column exactly if the formula is linear.
    if value.sql != f"a.{baseline.quantity}" or baseline.quantity not in pack.inputs:
        raise Refused(
            REASON_REACH_UNBOUNDED,
            f"Pack {pack.id}: the formula is not a positive constant times {baseline.quantity}.",
            remedy="Own history is linear in the day's clamped quantity; anything else has no shown bound.",
        )
    history = OwnHistory(baseline.quantity, _day_maximum(pack, baseline.day_maximum, value), baseline.years)
    _sum_of(value, pack.activity.records_per_day_max)
    most = MONTH_DAYS_MAX * history.day_maximum * history.years
    scale = value.unit.ratio / history.years
    month = _floored(-most, most, scale, "a month's reduction")
    day = _floored(0, history.day_maximum, value.unit.ratio, "a day's quantity")
    return CompiledPack(pack, lowered, value.unit.ratio, (value.low, value.high), day, month, history)


def _day_maximum(pack: Pack, maximum: Amount, value: Integer) -> int:
    unit, one = parse_unit(maximum.unit), pack.activity.input(pack.baseline.quantity or "")
    steps = parse_decimal(maximum.value) * unit.ratio / one.step
    if unit.dimensions != one.dimension.dimensions or steps.denominator != 1 or steps <= 0:
        raise invalid("day_maximum is not a positive whole number of the quantity's steps")
    assert value.unit.ratio > 0
    return steps.numerator
