"""All SQL stays inside the subset that means the same on DuckDB and Spark: integers, words, few functions."""

from __future__ import annotations

import re

import pytest

from accounting.accounts import accounts_sql, population_sql, unlinked_sql
from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import (
    Relations,
    histogram_loss_sql,
    histogram_sql,
    person_totals_sql,
    plan_histogram,
    plan_measure,
    statement_loss_sql,
    statement_sql,
)
from accounting.programmes.earning import positions_sql, unbroken_cover_sql
from accounting.programmes.versions import spans_of
from accounting.tariffs import plan_points, points_statement_sql
from protos.epochs import end_day, first_day
from tests.unit.accounting import samples
from tests.unit.accounting.histories import KINDS, TARIFFS, history_of
from tests.unit.accounting.programmes.programmes import NAMES, programme
from tests.unit.accounting.test_compiler import LANGUAGE, history_pack, language_pack
from tests.unit.accounting.test_conditions import STATED
from tests.unit.accounting.test_tariffs import RECORD_TARIFFS, trip_points

FUNCTIONS = {"CAST", "SUM", "COUNT", "MAX", "LEAST", "GREATEST", "COALESCE", "ABS", "ROW_NUMBER"}
SYNTAX = {
    "IN",
    "VALUES",
    "EXISTS",
    "AS",
    "OVER",
    "AND",
    "OR",
    "NOT",
    "WHERE",
    "FROM",
    "JOIN",
    "THEN",
    "ELSE",
    "WHEN",
}
SYNTAX |= {"SELECT", "BY", "ON"}


def texts(one: CompiledPack) -> list[str]:
    relations = Relations({one.pack.activity.code: "acts"}, "persons", exclusions="excluded", pooled="pooled")
    begin, end = first_day(samples.EPOCH), end_day(samples.EPOCH)
    made = [one.record_sql("acts"), one.unmatched_sql("acts", begin, end)]
    made.append(person_totals_sql([one], relations, samples.EPOCH))
    if not one.own_history:
        made.append(relations.days_of(one, samples.EPOCH, samples.REGIONS))
    if one.pack.purpose == "points":
        made.append(points_statement_sql(plan_points("m", [one]), relations, samples.EPOCH))
    if one.pack.purpose == "credit":
        measure = plan_measure("m", [one], 0 if one.own_history else 1000)
        histogram = plan_histogram(
            [one],
            pack_order=[one.pack.id],
            regions=samples.REGIONS,
            domains=samples.DOMAINS,
            month_clamp_grams=1000,
        )
        made += [
            one_sql(measure, relations, samples.EPOCH) for one_sql in (statement_sql, statement_loss_sql)
        ]
        made += [
            one_sql(histogram, relations, samples.EPOCH) for one_sql in (histogram_sql, histogram_loss_sql)
        ]
    return made


def packs() -> list[CompiledPack]:
    shipped = [compile_pack(samples.shipped(pack_id)) for pack_id in samples.shipped_ids()]
    made = [samples.compiled(**changes) for changes in STATED.values()]
    made += [history_of(baseline) for baseline in KINDS.values()]
    made += [history_of(*tariff) for tariff in TARIFFS.values()]
    made += [trip_points(tariff) for tariff in RECORD_TARIFFS.values()]
    return [*shipped, *made, history_pack(3), *(language_pack(name) for name in sorted(LANGUAGE))]


@pytest.mark.parametrize("one", packs(), ids=lambda one: one.pack.id)
def test_packs_use_only_the_subset(one: CompiledPack) -> None:
    for sql in texts(one):
        assert_in_subset(sql)


def test_the_fold_uses_only_the_subset() -> None:
    for sql in (accounts_sql(), unlinked_sql(), population_sql()):
        assert_in_subset(sql.replace("COUNT(DISTINCT", "COUNT("))


def test_positions_in_points_use_only_the_subset() -> None:
    ratio, brackets = [3, 10], [{"since": 0, "ratio": [1, 1]}, {"since": 50, "ratio": [1, 7]}]
    rule = {"names": NAMES, "year_points_max": 9, "overall_points_max": 20}
    earn = {"a": {**rule, "ratio": ratio}, "b": {**rule, "counts": "points", "brackets": brackets}}
    spans = spans_of([programme(earn=earn, caps={"year_points": 5, "overall_points": 7})])
    assert_in_subset(positions_sql(spans))
    assert_in_subset(unbroken_cover_sql(spans))


def assert_in_subset(sql: str) -> None:
    plain = re.sub(r"'[^']*'", "''", sql)
    assert not re.search(r"[\\\"`;]|--|/\*", plain)
    assert "/" not in plain.replace(" // ", " ")
    assert not re.search(r"\d\.\d|\d[eE]\d", plain)
    called = set(re.findall(r"([A-Za-z_]\w*)\s*\(", plain.replace("COUNT(DISTINCT", "COUNT(")))
    aliases = {name for name in called if re.fullmatch(r"f\d+|r|k|t", name)}
    assert called - aliases <= FUNCTIONS | SYNTAX
    assert set(re.findall(r"AS ([A-Z]+)\)", plain)) <= {"BIGINT", "INTEGER"}
