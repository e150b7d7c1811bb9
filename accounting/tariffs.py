"""Points the node reckons itself: tiers, streaks, thresholds and day caps, exactly and bounded.

A tariff by day gives points for each day alone, so a day moves a month by at most a day's points. One by
month may turn on a single day, in every month that reads it: the bound is a month's most points for each.
"""

# ruff: noqa: S608  (SQL is what this module makes; every word in it passed `literal` or a checked pattern)

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from accounting.compiled import CompiledPack
from accounting.conditions import POINTS_MAX, Tariff, TariffOf, TariffPer, scale_of
from accounting.documents import is_word
from accounting.history import MONTH_DAYS_MAX
from accounting.reach import split_reach
from accounting.relations import Relations, invalid_plan
from accounting.terms import invalid
from protos.epochs import Epoch, checked_epoch, end_day, first_day


@dataclass(frozen=True, slots=True)
class PointsReach:
    """How far one person-day moves a series of points: over all releases (L1), over how many.

    `later` is the part of it that falls on later months' releases: (months after the day's own, points).
    """

    points: int
    releases: int
    later: tuple[tuple[int, int], ...] = ()

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """Give the reach by months after the day's own, that one first."""
        return split_reach(self.points, self.later)


@dataclass(frozen=True, slots=True)
class PointsMeasure:
    """One statement series of points; a person's points are never negative."""

    id: str
    packs: tuple[CompiledPack, ...]
    reach: PointsReach


def period_points_max(compiled: CompiledPack) -> int:
    """Give the most points of one day, or one month, that the tariff is reckoned for."""
    tariff = _tariff(compiled)
    scale, by_day = scale_of(tariff), tariff.per is TariffPer.DAY
    records = compiled.pack.activity.records_per_day_max
    most = {
        TariffOf.REDUCTION: (compiled.day_bounds_mg if by_day else compiled.month_bounds_mg)[1],
        TariffOf.SHARE: 1,
        TariffOf.STREAK: MONTH_DAYS_MAX,
        TariffOf.RECORDS: records if by_day else records * MONTH_DAYS_MAX,
    }[tariff.of]
    return min(tariff.maximum, scale.points(Fraction(most)))


def pack_reach(compiled: CompiledPack) -> PointsReach:
    """Bound what one person-day moves a points pack over all months."""
    tariff, most = _tariff(compiled), period_points_max(compiled)
    if tariff.per is TariffPer.DAY:
        return PointsReach(most if tariff.month_maximum is None else min(most, tariff.month_maximum), 1)
    offsets = compiled.history.window.offsets if compiled.history else ()
    releases = 1 + len(offsets)
    return PointsReach(most * releases, releases, tuple((offset, most) for offset in offsets))


def check_tariff(compiled: CompiledPack) -> None:
    """Refuse a tariff that does not fit its pack's baseline or gives nothing at all."""
    tariff = _tariff(compiled)
    if compiled.own_history and tariff.per is TariffPer.DAY:
        raise invalid("own history is reckoned by month, and so is its tariff")
    if compiled.own_history and tariff.of not in (TariffOf.REDUCTION, TariffOf.SHARE):
        raise invalid("own history gives points for the reduction or its share")
    linear = compiled.history is not None and compiled.history.line is None
    if tariff.of is TariffOf.SHARE and not (linear and _months_averaged(compiled)):
        raise invalid("a share is of a mean of one's own earlier months")
    if tariff.of is TariffOf.SHARE:
        _check_share_bounds(tariff, compiled)
    if not 0 < period_points_max(compiled) <= POINTS_MAX:
        raise invalid("the tariff's tiers are out of reach: it never gives a point")


def _months_averaged(compiled: CompiledPack) -> bool:
    return compiled.pack.baseline.days is None


def _tariff(compiled: CompiledPack) -> Tariff:
    if compiled.pack.tariff is None:
        raise invalid_plan(compiled.pack.id, "it has no tariff", "Only packs of purpose points give points.")
    return compiled.pack.tariff


def plan_points(measure_id: str, packs: Sequence[CompiledPack]) -> PointsMeasure:
    """Put a measure of points together with its reach; PACK_INVALID on a pack without a tariff."""
    if not is_word(measure_id):
        raise invalid_plan(measure_id, "its name is no key", "Use letters, digits, points and dashes.")
    if not packs or len({one.pack.id for one in packs}) < len(packs):
        raise invalid_plan(measure_id, "it sums no pack, or one twice", "Name each pack once.")
    reaches = [pack_reach(one) for one in packs]
    later: Counter[int] = Counter()
    for one in reaches:
        later.update(dict(one.later))
    reach = PointsReach(
        sum(one.points for one in reaches),
        max(one.releases for one in reaches),
        tuple(sorted(later.items())),
    )
    return PointsMeasure(measure_id, tuple(packs), reach)


def points_statement_sql(measure: PointsMeasure, relations: Relations, epoch: Epoch) -> str:
    """Give (person, points), one row for each person of `persons`, zeros included."""
    parts = []
    for one in measure.packs:
        month = points_month_sql(one, relations.of(one), relations.persons, epoch)
        included = relations.included(one, "x", epoch)
        parts.append(f"SELECT x.person, x.points FROM ({month}) AS x WHERE {included}")
    summed = f"SELECT person, SUM(points) AS points FROM ({' UNION ALL '.join(parts)}) AS u GROUP BY person"
    return (
        "SELECT p.person, CAST(COALESCE(s.points, 0) AS BIGINT) AS points "
        f"FROM {relations.persons} AS p LEFT JOIN ({summed}) AS s ON p.person = s.person"
    )


def points_month_sql(compiled: CompiledPack, activities: str, persons: str, epoch: int) -> str:
    """Give (person, points) of the month, for persons with records (own history: the eligible)."""
    tariff, month = _tariff(compiled), checked_epoch(epoch)
    days = (first_day(month), end_day(month))
    match tariff.of, tariff.per:
        case _, TariffPer.DAY:
            column = "mg" if tariff.of is TariffOf.REDUCTION else "records"
            by_day = compiled.person_day_sql(activities, None, *days)
            points = f"SELECT person, {_points(tariff, column)} AS points FROM ({by_day}) AS t"
            total = "CAST(SUM(points) AS BIGINT)"
            total = total if tariff.month_maximum is None else f"LEAST({total}, {tariff.month_maximum})"
            return f"SELECT person, {total} AS points FROM ({points}) AS g GROUP BY person"
        case TariffOf.STREAK, _:
            column, relation = "days", _streaks(compiled.person_day_sql(activities, None, *days))
        case _:
            column = "records" if tariff.of is TariffOf.RECORDS else "mg"
            relation = compiled.person_month_sql(activities, persons, month)
    by_share = tariff.of is TariffOf.SHARE
    points_sql = _shares(tariff) if by_share else _points(tariff, column)
    return f"SELECT person, {points_sql} AS points FROM ({relation}) AS t"


def _streaks(days: str) -> str:
    """Give (person, days): the longest run of days in a row on which the pack gives a record."""
    number = "ROW_NUMBER() OVER (PARTITION BY person ORDER BY day)"
    runs = f"SELECT person, day - {number} AS run FROM ({days}) AS r"
    counted = f"SELECT person, run, CAST(COUNT(*) AS BIGINT) AS days FROM ({runs}) AS k GROUP BY person, run"
    return f"SELECT person, MAX(days) AS days FROM ({counted}) AS c GROUP BY person"


def _points(tariff: Tariff, column: str) -> str:
    """Give points by a whole-number column, never below 0."""
    scale = scale_of(tariff)
    conditions = [(f"{column} >= {math.ceil(since)}", points) for since, points in scale.tiers]
    sql = _tiers(conditions)
    if scale.each is not None:
        # Bounded first, so that the product stays below 2^63 and `//` meets nothing negative.
        amount, points = scale.each
        whole = f"LEAST(GREATEST({column}, 0) // {amount}, {tariff.maximum}) * {points}"
        sql = f"{sql} + {whole}"
    return f"CAST(LEAST({sql}, {tariff.maximum}) AS BIGINT)"


def _shares(tariff: Tariff) -> str:
    """Give points by the saving's share of the baseline, without a division: total / base >= since."""
    conditions = []
    for since, points in scale_of(tariff).tiers:
        compared = f"total * {since.denominator} >= base * {since.numerator}"
        conditions.append((f"base > 0 AND {compared}", points))
    return f"CAST(LEAST({_tiers(conditions)}, {tariff.maximum}) AS BIGINT)"


def _check_share_bounds(tariff: Tariff, compiled: CompiledPack) -> None:
    assert compiled.history is not None
    low, high = compiled.history.month_bounds()
    for since, _ in scale_of(tariff).tiers:
        if max(-low, high) * max(since.numerator, since.denominator) >= 2**63:
            raise invalid("a share's threshold has too many decimals for the day's clamp")


def _tiers(conditions: Sequence[tuple[str, int]]) -> str:
    if not conditions:
        return "0"
    cases = " ".join(f"WHEN {condition} THEN {points}" for condition, points in reversed(conditions))
    return f"CASE {cases} ELSE 0 END"
