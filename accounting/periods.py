"""Measures of records that cover a period (a monthly bill): their unit and their clamp are the person-month.

A bill is one record: clamped by day it would be cut to nothing, so its month is clamped, and a whole
person-month is what the noise hides.
"""

# ruff: noqa: S608  (SQL is what this module makes; every word in it passed `literal` or a checked pattern)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accounting.compiler import CompiledPack
from accounting.documents import is_word
from accounting.histograms import CLAMP_GRAMS_MAX
from accounting.packs import Purpose
from accounting.quantities import MG_PER_GRAM
from accounting.reach import Reach
from accounting.relations import Relations, invalid_plan
from protos.epochs import Epoch


@dataclass(frozen=True, slots=True)
class PeriodMeasure:
    """Packs whose records cover a month, summed, the person-month clamped to [0, M] grams."""

    id: str
    packs: tuple[CompiledPack, ...]
    month_clamp_grams: int
    reach: Reach


def plan_period(measure_id: str, packs: Sequence[CompiledPack], month_clamp_grams: int) -> PeriodMeasure:
    """Put a measure of period records together; its reach is its clamp. PACK_INVALID on a wrong mix."""
    if not is_word(measure_id):
        raise invalid_plan(measure_id, "its name is no key", "Use letters, digits, points and dashes.")
    if not packs or len({one.pack.id for one in packs}) < len(packs):
        raise invalid_plan(measure_id, "it sums no pack, or one twice", "Name each pack once.")
    if any(one.pack.purpose is not Purpose.CREDIT or one.own_history for one in packs):
        raise invalid_plan(
            measure_id,
            "it takes credited packs without own history alone",
            "An own-history pack clamps its quantities itself: make it a measure by day.",
        )
    if not 1 <= month_clamp_grams <= CLAMP_GRAMS_MAX:
        raise invalid_plan(
            measure_id, "it has no clamp", f"Give 1 to {CLAMP_GRAMS_MAX} g for a person-month."
        )
    return PeriodMeasure(
        measure_id, tuple(packs), month_clamp_grams, Reach(month_clamp_grams, 1, signed=False)
    )


def period_statement_sql(measure: PeriodMeasure, relations: Relations, epoch: Epoch) -> str:
    """Give (person, grams), one row for each person of `persons`: months clamped, then floored to grams."""
    parts = []
    for one in measure.packs:
        month = relations.months_of(one, epoch)
        parts.append(f"SELECT x.person, x.mg FROM ({month}) AS x WHERE {relations.included(one, 'x', epoch)}")
    months = " UNION ALL ".join(parts)
    summed = f"SELECT person, CAST(SUM(mg) AS BIGINT) AS mg FROM ({months}) AS u GROUP BY person"
    clamped = f"GREATEST(LEAST(mg, {measure.month_clamp_grams * MG_PER_GRAM}), 0)"
    return (
        "SELECT p.person, CAST(COALESCE(s.grams, 0) AS BIGINT) AS grams "
        f"FROM {relations.persons} AS p LEFT JOIN (SELECT person, {clamped} // {MG_PER_GRAM} AS grams "
        f"FROM ({summed}) AS t) AS s ON p.person = s.person"
    )
