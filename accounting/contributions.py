"""What a person contributes to an epoch's statements, as SQL, and exact figures for local use.

A statement has one row for each person of the relation `persons`, zeros included.
"""

# ruff: noqa: S608  (SQL is what this module makes; every word in it passed `literal` or a checked pattern)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accounting.compiler import CompiledPack, floor_sql
from accounting.documents import is_word
from accounting.histograms import (
    CLAMP_GRAMS_MAX,
    COUNT_CELLS_MAX,
    DOMAIN_METHODOLOGY_POOLED,
    REGION_DOMAIN,
    CellTable,
    Histogram,
    dense_tables,
    histogram_loss_sql,
    histogram_months_sql,
    histogram_sql,
    plan_histogram,
)
from accounting.lowering import literal
from accounting.packs import Purpose
from accounting.quantities import MG_PER_GRAM
from accounting.reach import Reach, clamped_groups, measure_reach
from accounting.relations import Relations, invalid_plan
from accounting.terms import bounded
from protos.epochs import Epoch, end_day, first_day

__all__ = [
    "COUNT_CELLS_MAX",
    "DOMAIN_METHODOLOGY_POOLED",
    "REGION_DOMAIN",
    "CellTable",
    "Histogram",
    "Measure",
    "Relations",
    "clamped_days_sql",
    "dense_tables",
    "histogram_loss_sql",
    "histogram_months_sql",
    "histogram_sql",
    "person_totals_sql",
    "plan_histogram",
    "plan_measure",
    "statement_loss_sql",
    "statement_sql",
]


@dataclass(frozen=True, slots=True)
class Measure:
    """One statement series: packs of one kind, either clamped by day (D grams) or own-history (D = 0)."""

    id: str
    packs: tuple[CompiledPack, ...]
    day_clamp_grams: int
    reach: Reach

    @property
    def own_history(self) -> bool:
        """Tell whether the packs clamp quantities themselves."""
        return self.packs[0].own_history


def plan_measure(measure_id: str, packs: Sequence[CompiledPack], day_clamp_grams: int) -> Measure:
    """Put a measure together with its reach; PACK_INVALID on a mix of kinds or a footprint pack."""
    if not is_word(measure_id):
        raise invalid_plan(measure_id, "its name is no key", "Use letters, digits, points and dashes.")
    if not packs or len({one.pack.id for one in packs}) < len(packs):
        raise invalid_plan(measure_id, "it sums no pack, or one twice", "Name each pack once.")
    if any(one.pack.purpose is Purpose.FOOTPRINT for one in packs):
        raise invalid_plan(measure_id, "a footprint pack is no credit", "Leave it out of measures.")
    if any(one.pack.purpose is Purpose.POINTS for one in packs):
        raise invalid_plan(measure_id, "a points pack gives no grams", "Put it into a measure of points.")
    if len({one.own_history for one in packs}) > 1:
        raise invalid_plan(measure_id, "it mixes own-history packs with others", "Make a measure of each.")
    if packs[0].own_history == bool(day_clamp_grams) or not 0 <= day_clamp_grams <= CLAMP_GRAMS_MAX:
        raise invalid_plan(
            measure_id,
            f"its day clamp does not fit its packs ({day_clamp_grams} g)",
            f"Give 1 to {CLAMP_GRAMS_MAX} g; 0 for own-history packs, which clamp the day's quantity.",
        )
    low, high = (sum(one.month_bounds_mg[side] for one in packs) for side in (0, 1))
    bounded(low, high, "the measure's month")
    return Measure(measure_id, tuple(packs), day_clamp_grams, measure_reach(packs, day_clamp_grams))


def statement_sql(measure: Measure, relations: Relations, epoch: Epoch, late: str | None = None) -> str:
    """Give (person, grams), one row for each person of `persons`.

    `late` is (person, day, mg) of earlier months' days that the release carries (see `accounting/late.py`).
    """
    if measure.own_history:
        months, low = _months(measure.packs, relations, epoch), -1
    else:
        parts = [_group_month(measure, group, relations, epoch) for group in clamped_groups(measure.packs)]
        if late is not None:
            parts.append(f"SELECT person, mg FROM {late}")
        months, low = " UNION ALL ".join(parts), 0 if late is None else -1
    summed = f"SELECT person, CAST(SUM(mg) AS BIGINT) AS mg FROM ({months}) AS u GROUP BY person"
    grams = floor_sql("mg", low, MG_PER_GRAM)
    return (
        "SELECT p.person, CAST(COALESCE(s.grams, 0) AS BIGINT) AS grams "
        f"FROM {relations.persons} AS p LEFT JOIN "
        f"(SELECT person, {grams} AS grams FROM ({summed}) AS t) AS s ON p.person = s.person"
    )


def _clamped(measure: Measure) -> str:
    return f"GREATEST(LEAST(mg, {measure.day_clamp_grams * MG_PER_GRAM}), 0)"


def clamped_days_sql(
    measure: Measure, group: Sequence[CompiledPack], relations: Relations, epoch: Epoch
) -> str:
    """Give (person, day, mg) of a group of packs: their days of the month added, then clamped."""
    return f"SELECT person, day, {_clamped(measure)} AS mg FROM ({_days(group, relations, epoch)}) AS c"


def _group_month(measure: Measure, group: Sequence[CompiledPack], relations: Relations, epoch: Epoch) -> str:
    """Give (person, mg) of the packs of one group: days clamped, then the month capped."""
    clamped = clamped_days_sql(measure, group, relations, epoch)
    mg, limit = "CAST(SUM(mg) AS BIGINT)", group[0].month_limit_mg
    mg = mg if limit is None else f"LEAST({mg}, {limit})"
    return f"SELECT person, {mg} AS mg FROM ({clamped}) AS g GROUP BY person"


def _days(packs: Sequence[CompiledPack], relations: Relations, epoch: Epoch) -> str:
    """Give (person, day, mg), the packs added before the clamp."""
    parts = []
    for one in packs:
        days = relations.days_of(one, epoch)
        included = relations.included(one, "x", epoch)
        parts.append(f"SELECT x.person, x.day, x.mg FROM ({days}) AS x WHERE {included}")
    if len(parts) == 1:
        return parts[0]
    union = " UNION ALL ".join(parts)
    return f"SELECT person, day, CAST(SUM(mg) AS BIGINT) AS mg FROM ({union}) AS u GROUP BY person, day"


def _months(packs: Sequence[CompiledPack], relations: Relations, epoch: Epoch) -> str:
    parts = []
    for one in packs:
        month = relations.months_of(one, epoch)
        parts.append(f"SELECT x.person, x.mg FROM ({month}) AS x WHERE {relations.included(one, 'x', epoch)}")
    return " UNION ALL ".join(parts)


def statement_loss_sql(measure: Measure, relations: Relations, epoch: Epoch) -> str:
    """Give one row (persons_clamped, days_clamped, lost_mg, insufficient_history): local figures only."""
    if not measure.own_history:
        lost = f"mg - {_clamped(measure)}"
        parts = [
            f"SELECT person, {lost} AS lost_mg FROM ({_days(group, relations, epoch)}) AS d"
            for group in clamped_groups(measure.packs)
        ]
        insufficient = "0"
    else:
        days = first_day(epoch), end_day(epoch)
        parts = [one.history_loss_sql(relations.of(one), *days) for one in measure.packs]
        longest = max(measure.packs, key=lambda one: one.months_back)
        insufficient = f"(SELECT COUNT(*) FROM ({longest.ineligible_sql(relations.persons, epoch)}) AS i)"
    return (
        "SELECT CAST(COUNT(DISTINCT l.person) AS BIGINT) AS persons_clamped, "
        "CAST(COUNT(*) AS BIGINT) AS days_clamped, CAST(COALESCE(SUM(l.lost_mg), 0) AS BIGINT) AS lost_mg, "
        f"CAST({insufficient} AS BIGINT) AS insufficient_history "
        f"FROM ({' UNION ALL '.join(parts)}) AS l JOIN {relations.persons} AS p ON l.person = p.person "
        "WHERE l.lost_mg <> 0"
    )


def person_totals_sql(packs: Sequence[CompiledPack], relations: Relations, epoch: Epoch) -> str:
    """Give (person, pack_id, version, mg, records) of the month, exact, unclamped, all kinds, local use."""
    parts = [
        f"SELECT x.person, {_named(one)}, x.mg, x.records FROM ({relations.months_of(one, epoch)}) AS x"
        for one in packs
    ]
    return " UNION ALL ".join(parts) if parts else _NOTHING


_NOTHING = (
    "SELECT CAST(0 AS BIGINT) AS person, '' AS pack_id, 0 AS version, "
    "CAST(0 AS BIGINT) AS mg, CAST(0 AS BIGINT) AS records WHERE 1 = 0"
)


def _named(one: CompiledPack) -> str:
    return f"{literal(one.pack.id)} AS pack_id, {one.pack.version} AS version"
