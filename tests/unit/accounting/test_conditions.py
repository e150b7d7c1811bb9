"""What a pack states beside its formula, the same on SQL and oracle: place, bands, caps, rounding."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import Relations, plan_measure, statement_loss_sql, statement_sql
from accounting.evaluator import Record, evaluate_record, person_days
from accounting.months import person_months
from accounting.reach import Reach
from engine.engine import Engine
from protos.epochs import end_day, first_day
from protos.problems import Malformed
from tests.unit.accounting import samples

MADE = {"source": "made", "confidence": "official"}
KEYED = {"distance": "km", "mode": "key"}
START = first_day(samples.EPOCH)
ONCE = [HealthCheck.function_scoped_fixture]
CURVE = {
    "of": "distance",
    "of_unit": "km",
    "unit": "kgCO2e/km",
    "bands": [
        {"since": "0", "value": "0.05"},
        {"since": "3", "value": "0.0301"},
        {"since": "10.5", "value": "0"},
    ],
    **MADE,
}
MONTH_REDUCTION = {"per": "month", "of": "reduction", "maximum": "0.70005", "unit": "kgCO2e", **MADE}
MONTH_INPUT = {"per": "month", "of": "distance", "maximum": "20.0003", "unit": "km", **MADE}
STATED: dict[str, dict[str, Any]] = {
    "regions": {"applicability": {"regions": ["east", "北京"]}},
    "vehicle": {"applicability": {"only": {"mode": ["bus", "metro"]}}, "inputs": KEYED},
    "region_and_dates": {
        "applicability": {"regions": ["west"]},
        "validity": {"since": "2020-12-02", "until": "2020-12-03"},
    },
    "excluded": {
        "inputs": KEYED,
        "exclusions": [{"input": "mode", "words": ["car", "boat"], "mechanism": "CCER", "source": "made"}],
    },
    "curve": {"formula": "distance * band", "curves": {"band": CURVE}},
    "curve_capped": {
        "formula": "distance * band",
        "curves": {"band": CURVE},
        "caps": [{"per": "event", "of": "distance", "maximum": "4", "unit": "km", **MADE}],
    },
    "month_reduction": {"caps": [MONTH_REDUCTION]},
    "month_input": {"caps": [MONTH_INPUT]},
    "all_caps": {
        "caps": [
            {**MONTH_INPUT, "per": "event", "maximum": "12"},
            {**MONTH_REDUCTION, "per": "day", "maximum": "0.5"},
            MONTH_REDUCTION,
        ]
    },
    "event_rounding": {"rounding": {"per": "event", "step": "1", "unit": "gCO2e"}},
    "day_rounding": {"rounding": {"per": "day", "step": "10", "unit": "gCO2e"}},
    "signed_rounding": {
        "formula": "distance * f - start",
        "parameters": {
            "f": {"value": "0.0487", "unit": "kgCO2e/km", **MADE},
            "start": {"value": "0.7003", "unit": "gCO2e", **MADE},
        },
        "rounding": {"per": "event", "step": "0.003", "unit": "gCO2e"},
    },
}
RELATIONS = Relations({"test.trip": "acts"}, "persons")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with samples.new_engine() as opened:
        samples.load_persons(opened, samples.everybody(3))
        yield opened


def stated(name: str) -> CompiledPack:
    return samples.compiled(**STATED[name])


@pytest.mark.parametrize("name", sorted(STATED))
@settings(max_examples=12, deadline=None, suppress_health_check=ONCE)
@given(data=st.data())
def test_what_is_stated_means_the_same_to_sql_and_oracle(
    name: str, data: st.DataObject, engine: Engine
) -> None:
    one = stated(name)
    drawn = data.draw(samples.records(one.pack, ("bus", "metro", "car", "boat")))
    samples.load_records(engine, "acts", one.pack.activity, drawn)
    days = (START - 5, end_day(samples.EPOCH) + 5)
    got = {(person, day): mg for person, day, mg, _ in engine.rows(one.person_day_sql("acts", None, *days))}
    assert got == person_days(one.pack, drawn)
    rows = engine.rows(one.person_month_sql("acts", "persons", samples.EPOCH))
    assert {row[0]: row[1] for row in rows} == person_months(
        one.pack, drawn, samples.everybody(3), samples.EPOCH
    )
    assert all(row[1] <= one.month_bounds_mg[1] for row in rows)


def trip(day: int, metres: int) -> Record:
    return Record(1, day, "east", {"distance": metres, "detour": 0, "mode": "bus"})


def test_the_band_of_the_whole_distance_holds() -> None:
    pack = stated("curve").pack
    for metres, grams in ((2999, 149.95), (3000, 90.3), (10_499, 316.0199), (10_500, 0), (200_000, 0)):
        value = evaluate_record(pack, {"distance": metres}, START)
        assert value == pytest.approx(grams * 1000)


def test_a_region_that_is_not_stated_gives_nothing() -> None:
    pack = stated("regions").pack
    assert evaluate_record(pack, {"distance": 1000}, START, "北京") == 48_700
    assert evaluate_record(pack, {"distance": 1000}, START, "上海") is None
    assert evaluate_record(pack, {"distance": 1000}, START) is None


def moved(
    engine: Engine, packs: list[CompiledPack], clamp: int, rest: list[Record], day: list[Record]
) -> int:
    measure = plan_measure("m", packs, clamp)
    grams = []
    for records in (rest, [*rest, *day]):
        samples.load_records(engine, "acts", packs[0].pack.activity, records)
        grams.append(dict(engine.rows(statement_sql(measure, RELATIONS, samples.EPOCH)))[1])
    return int(abs(grams[1] - grams[0]))


def renamed(one: CompiledPack, pack_id: str) -> CompiledPack:
    return compile_pack(one.pack.model_copy(update={"id": pack_id}))


def test_a_month_cap_alone_costs_no_reach_and_beside_others_its_own(engine: Engine) -> None:
    capped, plain = stated("month_reduction"), renamed(stated("curve"), "test.plain")
    both = [capped, plain, renamed(stated("month_input"), "test.second")]
    assert plan_measure("m", [capped], 500).reach == Reach(500, 1, signed=False)
    assert plan_measure("m", both, 500).reach == Reach(1500, 1, signed=False)
    for packs, count, metres in itertools.product(([capped], both), (0, 1, 5, 30), (0, 3000, 9000, 300_000)):
        rest = [trip(START + 1 + offset, metres) for offset in range(count)]
        change = moved(engine, packs, 500, rest, [trip(START, 300_000), trip(START, 2900)])
        assert change <= plan_measure("m", packs, 500).reach.grams


@settings(max_examples=15, deadline=None, suppress_health_check=ONCE)
@given(data=st.data(), clamp=st.integers(1, 900))
def test_no_day_moves_capped_months_further_than_the_reach(
    data: st.DataObject, clamp: int, engine: Engine
) -> None:
    packs = [stated("all_caps"), renamed(stated("day_rounding"), "test.plain")]
    metres = st.integers(-1000, 30_000)
    rest = data.draw(st.lists(st.builds(trip, st.integers(START + 1, START + 9), metres), max_size=20))
    day = data.draw(st.lists(st.builds(trip, st.just(START), metres), max_size=4))
    assert moved(engine, packs, clamp, rest, day) <= plan_measure("m", packs, clamp).reach.grams == 2 * clamp


def test_a_statement_holds_the_month_cap(engine: Engine) -> None:
    one = stated("month_reduction")
    measure = plan_measure("m", [one], 500)
    samples.load_records(engine, "acts", one.pack.activity, [trip(START + day, 9000) for day in range(20)])
    assert dict(engine.rows(statement_sql(measure, RELATIONS, samples.EPOCH)))[1] == 700
    [(persons, days, lost, _)] = engine.rows(statement_loss_sql(measure, RELATIONS, samples.EPOCH))
    assert (persons, days, lost) == (0, 0, 0)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a key that is no input": ({"applicability": {"only": {"mode": ["bus"]}}}, "key inputs"),
    "an exclusion by quantity": (
        {"exclusions": [{"input": "distance", "words": ["x"], "mechanism": "m", "source": "s"}]},
        "key inputs",
    ),
    "bands out of order": (
        {"curves": {"band": {**CURVE, "bands": [*reversed(CURVE["bands"])]}}},
        "ascend",
    ),
    "a curve of nothing": ({"curves": {"band": {**CURVE, "of": "detour"}}}, "quantities"),
    "a month cap of a formula that is not linear": (
        {"formula": "max(0, distance * f)", "caps": [MONTH_INPUT]},
        "constant times",
    ),
    "rounding finer than a milligram": (
        {"rounding": {"per": "day", "step": "0.0001", "unit": "gCO2e"}},
        "mg",
    ),
    "rounding of a length": ({"rounding": {"per": "day", "step": "1", "unit": "km"}}, "mg"),
    "a negative month cap": ({"caps": [{**MONTH_REDUCTION, "maximum": "-1"}]}, "amount of CO2e"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_does_not_hold_together_is_refused(case: str) -> None:
    changes, problem = REFUSED[case]
    with pytest.raises(Malformed, match=problem):
        compile_pack(samples.make_pack(**changes))
