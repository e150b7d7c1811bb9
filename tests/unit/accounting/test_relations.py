"""What a release is made of does not depend on how it is reckoned: by days, in any order, files, threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.compiler import CompiledPack
from accounting.contributions import (
    Histogram,
    Relations,
    histogram_loss_sql,
    histogram_months_sql,
    histogram_sql,
    person_totals_sql,
    plan_histogram,
    plan_measure,
    statement_loss_sql,
    statement_sql,
)
from engine.duckdb_engine import DuckDbEngine
from engine.engine import Engine
from protos.epochs import shift_epoch
from tests.unit.accounting import samples
from tests.unit.accounting.test_compiler import MODES, history_pack, language_pack
from tests.unit.accounting.test_contributions import RELATIONS, START, load
from tests.unit.accounting.test_histograms import variant

ROWS, PERSONS, DAYS = 260_000, 3_000, 31
Answers = list[list[tuple[object, ...]]]


def some_packs() -> list[CompiledPack]:
    """Give packs with caps of every period, negative values, divisions, and a factor table."""
    capped = samples.compiled(
        caps=[
            {"per": "month", "of": "reduction", "maximum": "2", "unit": "kgCO2e", "source": "x"}
            | {"confidence": "illustrative"}
        ]
    )
    named = ("difference", "signed", "both_days", "keyed")
    return [variant(one, f"p{n}", "travel") for n, one in enumerate([capped, *map(language_pack, named)])]


def answers(engine: Engine, packs: list[CompiledPack], relations: Relations) -> Answers:
    """Ask for all a release is made of, and what its clamps take."""
    histogram = planned(packs)
    measure = plan_measure("m", packs, 700)
    asked = [
        *(ask(measure, relations, samples.EPOCH) for ask in (statement_sql, statement_loss_sql)),
        *(ask(histogram, relations, samples.EPOCH) for ask in (histogram_sql, histogram_loss_sql)),
        person_totals_sql(packs, relations, samples.EPOCH),
    ]
    return [sorted(engine.rows(sql)) for sql in asked]


def with_months(engine: Engine, packs: list[CompiledPack], relations: Relations) -> Answers:
    """Ask for the histogram out of a table of its months."""
    histogram = planned(packs)
    months = histogram_months_sql(histogram, relations, samples.EPOCH)
    engine.execute(f"CREATE OR REPLACE TABLE cell_months AS {months}")
    asked = [
        ask(histogram, relations, samples.EPOCH, "cell_months") for ask in (histogram_sql, histogram_loss_sql)
    ]
    return [sorted(engine.rows(sql)) for sql in asked]


def planned(packs: list[CompiledPack]) -> Histogram:
    return plan_histogram(
        packs,
        pack_order=[one.pack.id for one in packs],
        regions=samples.REGIONS,
        domains=samples.DOMAINS,
        month_clamp_grams=1500,
    )


def with_days(engine: Engine, packs: list[CompiledPack], relations: Relations) -> Relations:
    """Reckon the packs' days into tables."""
    names = {one.pack.id: f"days_{number}" for number, one in enumerate(packs)}
    for one in packs:
        days = relations.days_of(one, samples.EPOCH, samples.REGIONS)
        engine.execute(f"CREATE OR REPLACE TABLE {names[one.pack.id]} AS {days}")
    return replace(relations, days={(pack_id, samples.EPOCH): name for pack_id, name in names.items()})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_days_reckoned_before_change_nothing(data: st.DataObject, engine: Engine) -> None:
    packs = some_packs()
    load(engine, data.draw(samples.records(packs[1].pack, MODES)))
    found, expected = with_days(engine, packs, RELATIONS), answers(engine, packs, RELATIONS)
    assert answers(engine, packs, found) == expected
    assert with_months(engine, packs, found) == expected[2:4]


def test_own_history_is_never_taken_from_days() -> None:
    one = history_pack(1)
    relations = replace(RELATIONS, days={(one.pack.id, samples.EPOCH): "nowhere"})
    assert relations.months_of(one, samples.EPOCH) == RELATIONS.months_of(one, samples.EPOCH)


def test_days_serve_their_own_month_alone() -> None:
    one, before = language_pack("constant"), shift_epoch(samples.EPOCH, -1)
    relations = replace(RELATIONS, days={(one.pack.id, samples.EPOCH): "nowhere"})
    assert relations.days_of(one, before) == RELATIONS.days_of(one, before)


@pytest.mark.parametrize(("threads", "files", "seed"), [(1, 3, 1), (2, 1, 2), (4, 7, 3)])
def test_order_files_and_threads_change_nothing(tmp_path: Path, threads: int, files: int, seed: int) -> None:
    packs, plain = some_packs(), Relations({"test.trip": "trip_acts"}, "persons")
    drawn = (
        f"SELECT CAST(i AS VARCHAR) AS record, CAST(hash(i, 1) % {PERSONS} AS BIGINT) AS person, "
        f"CAST({START} + hash(i, 2) % {DAYS} AS INTEGER) AS day, "
        "['east', 'west', 'north', 'elsewhere'][CAST(1 + hash(i, 3) % 4 AS BIGINT)] AS region, "
        "CAST(hash(i, 4) % 40000 AS BIGINT) AS distance, CAST(hash(i, 5) % 40000 AS BIGINT) AS detour, "
        "['bus', 'metro', 'car', 'boat'][CAST(1 + hash(i, 6) % 4 AS BIGINT)] AS mode "
        f"FROM range({ROWS}) AS t(i)"
    )
    with (
        DuckDbEngine(memory_limit_mb=512, threads=1) as alone,
        DuckDbEngine(memory_limit_mb=512, threads=threads) as other,
    ):
        paths = [tmp_path / f"{part}.parquet" for part in range(files)]
        for part, path in enumerate(paths):
            mine = f"SELECT * FROM ({drawn}) AS d WHERE hash(record, {seed}) % {files} = {part}"
            alone.write_parquet(f"{mine} ORDER BY hash(record, {seed + 1})", path)
        for one in (alone, other):
            samples.load_persons(one, samples.everybody(PERSONS))
        alone.execute(f"CREATE TABLE trip_acts AS {drawn}")
        other.view("trip_acts", [*paths[::2], *paths[1::2]])
        expected = answers(alone, packs, plain)
        assert answers(other, packs, with_days(other, packs, plain)) == expected
    assert len(expected[0]) == PERSONS
    assert all(expected)
