"""A compiled pack: one integer-only SQL text for DuckDB and Spark, by record, person-day and person-month.

`//` is integer division on operands that are never negative; Spark spells it `div`, its engine replaces it.
Nothing is rounded but once a person-day (own history: a person-month), by a floor towards minus infinity.
"""

# ruff: noqa: S608  (SQL is what this module makes; every word in it passed `literal` or a checked pattern)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from accounting.conditions import RoundingPer
from accounting.documents import is_word
from accounting.history import OwnHistory
from accounting.lowering import Lowered, day_cap, literal, rounding_step
from accounting.packs import Pack
from accounting.terms import Integer, bounded, floor_sql, invalid
from protos.epochs import Epoch, checked_epoch, end_day, first_day


@dataclass(frozen=True, slots=True)
class CompiledPack:
    """A pack ready to run; values count steps of `milligrams_per_step`, bounds are proved."""

    pack: Pack
    lowered: Lowered
    milligrams_per_step: Fraction
    record_bounds: tuple[int, int]
    day_bounds_mg: tuple[int, int]
    month_bounds_mg: tuple[int, int]
    month_limit_mg: int | None
    history: OwnHistory | None

    @property
    def own_history(self) -> bool:
        """Tell whether the person's own earlier months are the baseline."""
        return self.history is not None

    @property
    def months_back(self) -> int:
        """Count the months before its own that a month's figure may read; 0 for kinds without history."""
        return self.history.window.offsets[-1] if self.history else 0

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
        total = sum_of(self.lowered.value, self.pack.activity.records_per_day_max)
        capped = day_cap(self.pack, self.lowered, total)
        scale = capped.unit.ratio
        step = rounding_step(self.pack, RoundingPer.DAY) or Fraction(1)
        mg = floor_sql("total", capped.low * scale.numerator, scale.denominator * step.numerator)
        mg = mg if step == 1 else f"({mg}) * {step.numerator}"
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
        return self.days_month_sql(days, len(regions))

    def days_month_sql(self, days: str, regions: int) -> str:
        """Give person_month_sql's rows out of the SQL of the month's person-days, with so many regions."""
        latest = f", MAX(day * {regions} + region_code) AS region_code" if regions else ""
        mg = "CAST(SUM(mg) AS BIGINT)"
        mg = mg if self.month_limit_mg is None else f"LEAST({mg}, {self.month_limit_mg})"
        return (
            f"SELECT person, CAST({mg} AS BIGINT) AS mg, CAST(SUM(records) AS BIGINT) AS records"
            f"{latest} FROM ({days}) AS m GROUP BY person"
        )

    def history_loss_sql(self, activities: str, first_day: int, end_day: int) -> str:
        """Give (person, lost_mg) of the days whose own-history quantity was above its clamp."""
        assert self.history is not None
        lost = self.history.lost
        scale = lost.unit.ratio
        days = self._by_day(activities, None, [(first_day, end_day)], (), lost.sql)
        floored = f"CAST({floor_sql(_times('total', scale), 0, scale.denominator)} AS BIGINT)"
        return f"SELECT person, {floored} AS lost_mg FROM ({days}) AS h WHERE total > 0"

    def ineligible_sql(self, persons: str, epoch: int) -> str:
        """Give (person) of those whose dates do not cover the month and its baseline."""
        return f"SELECT p.person FROM {persons} AS p WHERE NOT ({self._eligible(checked_epoch(epoch))})"

    def history_totals_sql(self, activities: str, epoch: int, regions: Sequence[str] = ()) -> str:
        """Give (person, total, base, records): an own-history month's weighted sum, and the baseline's alone.

        Both count steps of the clamped day over `window.count`; base is 0 for the kind with a line.
        """
        history, month = self.history, checked_epoch(epoch)
        assert history is not None
        spans = history.window.spans(month) if self._in_force(month) else []
        days = self._by_day(activities, None, spans, regions, history.clamped.sql)
        actual = f"day >= {first_day(month)}"
        latest = (
            f", MAX(CASE WHEN {actual} THEN day * {len(regions)} + region_code END) AS region_code"
            if regions
            else ""
        )
        if history.line is None:
            total = f"total * ({history.window.weight_sql(month)})"
            base = f"CASE WHEN {actual} THEN 0 ELSE total END"
        else:
            days, total, base = _against_line(history, history.line, days, actual), "value", "0"
        return (
            f"SELECT person, CAST(SUM({total}) AS BIGINT) AS total, CAST(SUM({base}) AS BIGINT) AS base, "
            f"CAST(SUM(CASE WHEN {actual} THEN records ELSE 0 END) AS BIGINT) AS records{latest} "
            f"FROM ({days}) AS d GROUP BY person"
        )

    def _eligible(self, month: Epoch) -> str:
        begin = self.history.window.begin(month) if self.history else first_day(month)
        return f"p.since_day <= {begin} AND (p.until_day IS NULL OR p.until_day >= {end_day(month)})"

    def _in_force(self, month: Epoch) -> bool:
        since, until = self.pack.since_day, self.pack.until_day
        return (since is None or since <= first_day(month)) and (until is None or until >= end_day(month))

    def _history_month_sql(
        self, history: OwnHistory, activities: str, persons: str, month: Epoch, regions: Sequence[str]
    ) -> str:
        scale = history.clamped.unit.ratio / history.window.count
        totals = self.history_totals_sql(activities, month, regions)
        mg = floor_sql(f"({_times('m.total', scale)})", -1, scale.denominator)
        return (
            f"SELECT m.person, CAST({mg} AS BIGINT) AS mg, m.base, m.total, "
            f"m.records{_region(regions, 'm.')} "
            f"FROM ({totals}) AS m JOIN {persons} AS p ON m.person = p.person "
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


def _against_line(history: OwnHistory, line: int, days: str, actual: str) -> str:
    """Give days with a value: below the line against it, else against the mean of the days before."""
    count = history.window.count
    frame = f"PARTITION BY person ORDER BY day RANGE BETWEEN {count} PRECEDING AND 1 PRECEDING"
    value = (
        f"CASE WHEN NOT ({actual}) THEN 0 WHEN total < {line} THEN {count} * ({line} - total) "
        f"ELSE earlier - {count} * total END"
    )
    windowed = (
        f"SELECT *, COALESCE(CAST(SUM(total) OVER ({frame}) AS BIGINT), 0) AS earlier FROM ({days}) AS w"
    )
    return f"SELECT *, {value} AS value FROM ({windowed}) AS l"


def sum_of(value: Integer, count: int) -> Integer:
    """Give the sum of so many values, proved to stay inside 64 bits."""
    low, high = bounded(min(value.low, value.low * count), max(value.high, value.high * count), "a day's sum")
    return replace(value, sql=_SUM_OF_VALUES, low=low, high=high)
