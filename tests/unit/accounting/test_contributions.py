"""Statements: a row for everybody, days clamped, one floor, exclusions obeyed, nothing for no change."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.compiler import compile_pack
from accounting.contributions import (
    Relations,
    person_totals_sql,
    plan_measure,
    statement_loss_sql,
    statement_sql,
)
from accounting.evaluator import Record, person_days
from accounting.months import person_months
from engine.engine import Engine
from protos.epochs import Epoch, days_in, epoch_of, first_day, shift_epoch
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID, REASON_PACK_UNKNOWN
from tests.unit.accounting import samples
from tests.unit.accounting.test_compiler import MODES, history_pack, language_pack
from tests.unit.accounting.test_reach import energy, renamed

RELATIONS = Relations(activities={"test.energy": "energy_acts", "test.trip": "trip_acts"}, persons="persons")
START = first_day(samples.EPOCH)


def trip(person: int, day: int, distance: int, region: str = "east") -> Record:
    return Record(person, day, region, {"distance": distance, "detour": 0, "mode": "bus"})


def load(engine: Engine, records: list[Record], persons: int = 4) -> None:
    activities = samples.activities()
    samples.load_persons(engine, samples.everybody(persons))
    for name, code in (("trip_acts", "test.trip"), ("energy_acts", "test.energy")):
        own = [one for one in records if ("distance" in one.inputs) == (code == "test.trip")]
        samples.load_records(engine, name, activities[code], own)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), clamp=st.integers(1, 3000))
def test_statements_equal_the_oracle(data: st.DataObject, clamp: int, engine: Engine) -> None:
    packs = [language_pack("signed"), renamed(language_pack("piecewise"))]
    records = data.draw(samples.records(packs[0].pack, MODES))
    load(engine, records)
    days: dict[tuple[int, int], int] = defaultdict(int)
    for one in packs:
        for key, mg in person_days(one.pack, records).items():
            days[key] += mg
    expected = dict.fromkeys(range(4), 0)
    for (person, day), mg in days.items():
        expected[person] += min(max(mg, 0), clamp * 1000) if epoch_of(day) == samples.EPOCH else 0
    got = dict(engine.rows(statement_sql(plan_measure("m", packs, clamp), RELATIONS, samples.EPOCH)))
    assert got == {person: mg // 1000 for person, mg in expected.items()}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_own_history_statements_equal_the_oracle(data: st.DataObject, engine: Engine) -> None:
    one = history_pack(1)
    records = data.draw(samples.records(one.pack, ("m",)))
    load(engine, records)
    months = person_months(one.pack, records, samples.everybody(), samples.EPOCH)
    got = dict(engine.rows(statement_sql(plan_measure("m", [one], 0), RELATIONS, samples.EPOCH)))
    assert got == {person: months.get(person, 0) // 1000 for person in range(4)}


def test_everybody_has_a_row_and_nobody_else(engine: Engine) -> None:
    load(engine, [trip(0, START, 1000), trip(99, START, 1000)], persons=3)
    measure = plan_measure("m", [language_pack("constant")], 1000)
    assert sorted(engine.rows(statement_sql(measure, RELATIONS, samples.EPOCH))) == [(0, 48), (1, 0), (2, 0)]


def test_a_slot_floors_once_not_day_by_day(engine: Engine) -> None:
    load(engine, [trip(0, START + day, 15) for day in range(10)], persons=1)
    measure = plan_measure("m", [language_pack("constant")], 1000)
    assert engine.rows(statement_sql(measure, RELATIONS, samples.EPOCH)) == [(0, 10 * 730 // 1000)]


def test_excluded_classes_are_left_out_for_those_persons(engine: Engine) -> None:
    load(engine, [trip(person, START, 10_000) for person in range(3)], persons=3)
    engine.execute("CREATE OR REPLACE TABLE exclusions (epoch INTEGER, person BIGINT, overlap_class VARCHAR)")
    rows = [(0, samples.EPOCH + 1, "OC-TRIP"), (1, samples.EPOCH, "OC-TRIP"), (2, samples.EPOCH, "OC-METER")]
    for person, epoch, overlap_class in rows:
        engine.execute(f"INSERT INTO exclusions VALUES ({epoch}, {person}, '{overlap_class}')")
    relations = Relations(RELATIONS.activities, "persons", exclusions="exclusions")
    measure = plan_measure("m", [language_pack("constant")], 1000)
    got = dict(engine.rows(statement_sql(measure, relations, samples.EPOCH)))
    assert got == {0: 487, 1: 0, 2: 487}
    history = plan_measure("h", [history_pack(1)], 0)
    load(engine, [energy(START, 1000)], persons=3)
    relations = Relations(RELATIONS.activities, "persons", exclusions="exclusions")
    assert dict(engine.rows(statement_sql(history, relations, samples.EPOCH)))[1] == -531
    engine.execute(f"UPDATE exclusions SET person = 1, epoch = {samples.EPOCH}")
    assert dict(engine.rows(statement_sql(history, relations, samples.EPOCH)))[1] == 0


def test_losses_are_counted_locally(engine: Engine) -> None:
    load(engine, [trip(0, START, 20_000), trip(0, START + 1, 1000), trip(1, START, -1000)])
    measure = plan_measure("m", [language_pack("constant")], 500)
    assert engine.rows(statement_loss_sql(measure, RELATIONS, samples.EPOCH)) == [(2, 2, 474_000 - 48_700, 0)]
    load(engine, [energy(START, 13_000), energy(START + 1, 1)])
    samples.load_persons(engine, {1: (0, None), 2: (START, None), 3: (0, START)})
    history = plan_measure("h", [history_pack(1)], 0)
    assert engine.rows(statement_loss_sql(history, RELATIONS, samples.EPOCH)) == [(1, 1, 530_600, 2)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.lists(st.integers(0, 30_000), min_size=31, max_size=31),
    split=st.integers(1, 4),
    years=st.sampled_from([1, 2, 3]),
)
def test_unchanged_behaviour_earns_nothing(days: list[int], split: int, years: int, engine: Engine) -> None:
    records = []
    for year in range(years + 1):
        start = first_day(shift_epoch(samples.EPOCH, -12 * year))
        records += [
            energy(start + day, steps // split + (steps % split if part == 0 else 0))
            for day, steps in enumerate(days)
            for part in range(split)
        ]
    load(engine, records)
    measure = plan_measure("m", [history_pack(years)], 0)
    assert dict(engine.rows(statement_sql(measure, RELATIONS, samples.EPOCH)))[1] == 0


def test_shuffled_days_earn_nothing_on_average(engine: Engine) -> None:
    """Clamping differences day by day would pay a household whose idle and busy days only swap."""
    busy, idle = 11_000, 1_000
    pattern = [busy if day % 2 else idle for day in range(days_in(samples.EPOCH) - 1)]
    before = first_day(shift_epoch(samples.EPOCH, -12))
    records = [energy(START + day, steps) for day, steps in enumerate(pattern)]
    records += [energy(before + day, steps) for day, steps in enumerate(reversed(pattern))]
    load(engine, records)
    measure = plan_measure("m", [history_pack(1)], 0)
    assert dict(engine.rows(statement_sql(measure, RELATIONS, samples.EPOCH)))[1] == 0


def test_local_figures_are_exact_by_day_and_by_month(engine: Engine) -> None:
    load(engine, [trip(0, START, 1001), trip(0, START, 1001), trip(1, START + 1, 15), energy(START, 1000)])
    trips, saving = language_pack("constant"), history_pack(1)
    days = engine.rows(RELATIONS.days_of(trips, samples.EPOCH))
    assert sorted(days) == [(0, START, 97_497, 2), (1, START + 1, 730, 1)]
    totals = engine.rows(person_totals_sql([trips, saving], RELATIONS, samples.EPOCH))
    assert sorted(totals) == [
        (0, "test.sample", 1, 97_497, 2),
        (1, "test.sample", 1, 730, 1),
        (1, "test.saving", 1, -530_600, 1),
    ]
    assert engine.rows(person_totals_sql([], RELATIONS, samples.EPOCH)) == []


@pytest.mark.parametrize(
    ("packs", "clamp"),
    [
        ([], 1000),
        (["constant", "constant"], 1000),
        (["constant"], -1),
        (["constant"], 5_000_000),
        (["constant", "history"], 1000),
        (["history"], 1000),
        (["footprint"], 1000),
        (["constant"], 0),
    ],
)
def test_measures_that_do_not_fit_together_are_refused(packs: list[str], clamp: int) -> None:
    made = {
        "constant": language_pack("constant"),
        "history": history_pack(1),
        "footprint": compile_pack(samples.shipped("con.retail_footprint")),
    }
    with pytest.raises(Malformed) as raised:
        plan_measure("m", [made[name] for name in packs], clamp)
    assert raised.value.reason == REASON_PACK_INVALID


def test_a_missing_activity_and_a_bad_name_are_refused() -> None:
    measure = plan_measure("m", [language_pack("constant")], 1000)
    with pytest.raises(Malformed) as raised:
        statement_sql(measure, Relations({}, "persons"), samples.EPOCH)
    assert raised.value.reason == REASON_PACK_UNKNOWN
    with pytest.raises(Malformed):
        plan_measure("m'", [language_pack("constant")], 1000)
    with pytest.raises(Malformed):
        statement_sql(plan_measure("h", [history_pack(1)], 0), RELATIONS, Epoch(202013))
