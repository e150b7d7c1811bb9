"""Every kind of SQL the accounting makes, asked over the whole world: one text for any engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from accounting.compiler import CompiledPack
from accounting.contributions import (
    Histogram,
    Measure,
    Relations,
    histogram_loss_sql,
    histogram_sql,
    person_totals_sql,
    plan_histogram,
    plan_measure,
    statement_loss_sql,
    statement_sql,
)
from accounting.packs import Purpose
from accounting.tariffs import plan_points, points_month_sql, points_statement_sql
from protos.problems import Malformed
from tests.spark.world import EPOCH, REGIONS, days, shipped_packs
from tests.unit.accounting import samples

DAY_CLAMP_GRAMS = 1000
MONTH_CLAMP_GRAMS = 60_000


def by_pack(packs: Sequence[CompiledPack], relations: Relations, since: int = 0) -> dict[str, str]:
    """Ask for records, days, months and points of every pack from a place on, each named by its place."""
    asked: dict[str, list[str]] = {name: [] for name in ("records", "unmatched", "days", "months", "points")}
    begin, end = days(packs)[0], days(packs)[-1] + 1

    def ask(name: str, place: int, columns: str, sql: str) -> None:
        asked[name].append(f"SELECT {place} AS place, {columns} FROM ({sql}) AS x")

    for place, one in enumerate(packs[since:], start=since):
        relation = relations.of(one)
        ask("records", place, "x.record, x.person, x.value", one.record_sql(relation))
        if one.lowered.matched:
            ask("unmatched", place, "x.record, x.day", one.unmatched_sql(relation, begin, end))
        if not one.own_history:
            day = one.person_day_sql(relation, None, begin, end)
            ask("days", place, "x.person, x.day, x.mg, x.records", day)
        month = one.person_month_sql(relation, relations.persons, EPOCH, REGIONS)
        ask("months", place, "x.person, x.mg, x.records, x.region_code", month)
        if one.pack.tariff is not None:
            points = points_month_sql(one, relation, relations.persons, EPOCH)
            ask("points", place, "x.person, x.points", points)
    return {name: " UNION ALL ".join(texts) for name, texts in asked.items() if texts}


def of_language(packs: Sequence[CompiledPack], relations: Relations) -> dict[str, str]:
    """Ask for days and months of the language's packs: a release asks only about the shipped ones."""
    asked = by_pack(packs, relations, len(shipped_packs()))
    return {f"language_{name}": asked[name] for name in ("days", "months")}


def reduced(relations: Relations) -> str:
    """Ask for the person-days of every pack that is summed by day, each named by its place."""
    return " UNION ALL ".join(
        f"SELECT {place} AS place, x.* FROM ({relations.days_of(one, EPOCH, REGIONS)}) AS x"
        for place, one in enumerate(_by_day())
    )


def with_days(relations: Relations, name: str) -> Relations:
    """Let the relations read those person-days from the table that holds them, as a node does."""
    columns = "person, day, mg, records, region_code"
    return replace(
        relations,
        days={
            (one.pack.id, EPOCH): f"(SELECT {columns} FROM {name} WHERE place = {place}) AS kept_{place}"
            for place, one in enumerate(_by_day())
        },
    )


def planned() -> Histogram:
    """Put the histogram of all credited packs together."""
    credits = [one for one in _latest() if one.pack.purpose is Purpose.CREDIT]
    return plan_histogram(
        credits,
        pack_order=[one.pack.id for one in credits],
        regions=REGIONS,
        domains=samples.DOMAINS,
        month_clamp_grams=MONTH_CLAMP_GRAMS,
    )


def contributions(relations: Relations, months: str) -> dict[str, str]:
    """Ask for all a release is made from: statements, histograms, totals, and what clamps took."""
    latest = _latest()
    credits = [one for one in latest if one.pack.purpose is Purpose.CREDIT]
    asked = {"totals": person_totals_sql(latest, relations, EPOCH)}
    statements, losses = [], []
    for number, measure in enumerate(measures(credits)):
        statements.append(_numbered(number, "x.person, x.grams", statement_sql(measure, relations, EPOCH)))
        lost = "x.persons_clamped, x.days_clamped, x.lost_mg, x.insufficient_history"
        losses.append(_numbered(number, lost, statement_loss_sql(measure, relations, EPOCH)))
    asked["statements"] = " UNION ALL ".join(statements)
    asked["statement_losses"] = " UNION ALL ".join(losses)
    pointed = plan_points("points", [one for one in latest if one.pack.tariff is not None])
    asked["point_statements"] = points_statement_sql(pointed, relations, EPOCH)
    asked["histogram"] = histogram_sql(planned(), relations, EPOCH, months)
    asked["histogram_losses"] = histogram_loss_sql(planned(), relations, EPOCH, months)
    return asked


def _latest() -> list[CompiledPack]:
    return list({one.pack.id: one for one in shipped_packs()}.values())


def _by_day() -> list[CompiledPack]:
    return [one for one in _latest() if one.pack.purpose is Purpose.CREDIT and not one.own_history]


def _numbered(number: int, columns: str, sql: str) -> str:
    return f"SELECT {number} AS measure, {columns} FROM ({sql}) AS x"


def measures(credits: Sequence[CompiledPack]) -> list[Measure]:
    """Put the packs into as few measures as their bounds allow, own history apart."""
    made: list[Measure] = []
    for own_history in (False, True):
        clamp, group = 0 if own_history else DAY_CLAMP_GRAMS, list[CompiledPack]()
        for one in (one for one in credits if one.own_history is own_history):
            try:
                measure = plan_measure("m", [*group, one], clamp)
                made = [*made[:-1], measure] if group else [*made, measure]
                group.append(one)
            except Malformed:
                made.append(plan_measure("m", [one], clamp))
                group = [one]
    return made
