"""The SQL on DuckDB against the exact oracle, on shipped packs and on packs that use all of the language."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.compiler import CompiledPack, compile_pack, floor_sql
from accounting.evaluator import Record, person_days
from accounting.months import person_months
from accounting.packs import Pack
from engine.engine import Engine
from protos.epochs import end_day, first_day, shift_epoch
from protos.problems import Malformed, Problem, Refused
from protos.v1.problem_pb2 import REASON_PACK_INVALID, REASON_REACH_UNBOUNDED
from tests.unit.accounting import samples

CO2E = {"source": "made", "confidence": "official"}
PARAMETERS = {
    "f": {"value": "0.0487", "unit": "kgCO2e/km", **CO2E},
    "car": {"value": "0.1771", "unit": "kgCO2e/vkm", **CO2E},
    "seats": {"value": "3", "unit": "person", **CO2E},
    "limit": {"value": "5.5", "unit": "km", **CO2E},
    "start": {"value": "0.7", "unit": "gCO2e", **CO2E},
}
CAPS = {
    "event_input": {"per": "event", "of": "distance", "maximum": "7.0005", "unit": "km", **CO2E},
    "event_reduction": {"per": "event", "of": "reduction", "maximum": "0.3", "unit": "kgCO2e", **CO2E},
    "day_input": {"per": "day", "of": "distance", "maximum": "30.0003", "unit": "km", **CO2E},
    "day_reduction": {"per": "day", "of": "reduction", "maximum": "0.29", "unit": "kgCO2e", **CO2E},
}
TWO = {"distance": "km", "detour": "km"}
KEYED = {"distance": "km", "mode": "key"}
LANGUAGE: dict[str, dict[str, Any]] = {
    "constant": {"formula": "distance * f"},
    "negative": {"formula": "-distance * f"},
    "divided": {"formula": "distance * car / seats"},
    "difference": {"formula": "max(0, distance * car - detour * car / seats - start)", "inputs": TWO},
    "signed": {"formula": "distance * f - detour * car / seats", "inputs": TWO},
    "piecewise": {"formula": "distance * f if distance < limit else limit * f"},
    "threshold": {
        "formula": "(distance - detour) * f if distance - detour >= 0.05 * distance else 0",
        "inputs": TWO,
    },
    "keyed": {"formula": "distance * (car - modes[mode])", "inputs": KEYED},
    "member": {
        "formula": "distance * f",
        "applies_when": "mode in modes and not mode == 'car'",
        "inputs": KEYED,
    },
    "either": {
        "formula": "distance * f",
        "applies_when": "mode == 'car' or distance > 2 * limit",
        "inputs": KEYED,
    },
    "extremes": {
        "formula": "min(distance, detour, limit) * f + max(distance, detour) * car / 7",
        "inputs": TWO,
    },
    "product": {"formula": "distance * detour / limit * car", "inputs": TWO},
    "nothing": {"formula": "0 * distance", "baseline": {"kind": "none", "text": "points only"}},
    "event_input": {"formula": "distance * f", "caps": [CAPS["event_input"]]},
    "event_reduction": {"formula": "distance * f", "caps": [CAPS["event_reduction"]]},
    "day_input": {"formula": "distance * f", "caps": [CAPS["day_input"]]},
    "day_reduction": {"formula": "distance * f", "caps": [CAPS["day_reduction"]]},
    "both_days": {"formula": "distance * f", "caps": [CAPS["day_input"], CAPS["day_reduction"]]},
    "dated": {"formula": "distance * f", "validity": {"since": "2020-12-02", "until": "2020-12-31"}},
}
MODES = ("bus", "metro", "car", "boat")


def language_pack(name: str) -> CompiledPack:
    changes = dict(LANGUAGE[name])
    if "mode" in changes.get("inputs", {}):
        changes["tables"] = {"modes": samples.mode_table()}
    return samples.compiled(**{"parameters": PARAMETERS, **changes})


def history_pack(years: int, grid: str = "0.5306") -> CompiledPack:
    baseline = samples.document(samples.ENERGY)["baseline"] | {"years": years}
    parameters = {"grid": {"value": grid, "unit": "kgCO2e/kWh", **CO2E}}
    return samples.compiled(samples.ENERGY, baseline=baseline, parameters=parameters)


def assert_days_agree(engine: Engine, one: CompiledPack, drawn: list[Any]) -> None:
    samples.load_records(engine, "acts", one.pack.activity, drawn)
    days = (first_day(samples.EPOCH) - 5, end_day(samples.EPOCH) + 5)
    got = {(person, day): mg for person, day, mg, _ in engine.rows(one.person_day_sql("acts", None, *days))}
    assert got == person_days(one.pack, drawn)


@pytest.mark.parametrize("name", sorted(LANGUAGE))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_days_of_the_whole_language_equal_the_oracle(name: str, data: st.DataObject, engine: Engine) -> None:
    one = language_pack(name)
    assert_days_agree(engine, one, data.draw(samples.records(one.pack, MODES)))


def shipped_records_packs() -> list[str]:
    return [one for one in samples.shipped_ids() if not samples.shipped(one).baseline.own_history]


@pytest.mark.parametrize("pack_id", shipped_records_packs())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_days_of_shipped_packs_equal_the_oracle(pack_id: str, data: st.DataObject, engine: Engine) -> None:
    one = compile_pack(samples.shipped(pack_id))
    assert_days_agree(engine, one, data.draw(samples.records(one.pack, samples.known_keys(one.pack))))


DATES = st.one_of(
    st.just((0, None)),
    st.tuples(
        st.sampled_from(
            [first_day(shift_epoch(samples.EPOCH, -months)) + late for months in (12, 24) for late in (0, 1)]
        ),
        st.one_of(st.none(), st.sampled_from([end_day(samples.EPOCH), end_day(samples.EPOCH) - 1])),
    ),
)


@pytest.mark.parametrize(("years", "grid"), [(1, "0.5306"), (2, "0.5306"), (3, "0.0001"), (5, "7.77777")])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_months_of_own_history_equal_the_oracle(
    years: int, grid: str, data: st.DataObject, engine: Engine
) -> None:
    one = history_pack(years, grid)
    drawn = data.draw(samples.records(one.pack, ("m1",)))
    persons = {person: data.draw(DATES) for person in range(3)}
    samples.load_records(engine, "acts", one.pack.activity, drawn)
    samples.load_persons(engine, persons)
    rows = engine.rows(one.person_month_sql("acts", "persons", samples.EPOCH))
    expected = person_months(one.pack, drawn, persons, samples.EPOCH)
    assert {row[0]: row[1] for row in rows} == {
        person: mg for person, mg in expected.items() if person in {row[0] for row in rows}
    }
    assert all(mg == 0 for person, mg in expected.items() if person not in {row[0] for row in rows})


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_order_and_batches_do_not_matter(data: st.DataObject, engine: Engine) -> None:
    one = language_pack("difference")
    drawn = data.draw(samples.records(one.pack, MODES))
    shuffled = data.draw(st.permutations(drawn))
    half = len(shuffled) // 2
    sql = one.person_month_sql("acts", "persons", samples.EPOCH)
    samples.load_records(engine, "acts", one.pack.activity, drawn)
    whole = sorted(engine.rows(sql))
    for name, part in (("first_part", shuffled[:half]), ("second_part", shuffled[half:])):
        samples.load_records(engine, name, one.pack.activity, part)
    parts = "(SELECT * FROM second_part UNION ALL SELECT * FROM first_part)"
    assert sorted(engine.rows(one.person_month_sql(parts, "persons", samples.EPOCH))) == whole


@given(value=st.integers(-(10**6), 10**6), divisor=st.integers(1, 2000))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_division_floors_towards_minus_infinity(value: int, divisor: int, engine: Engine) -> None:
    [[got]] = engine.rows(f"SELECT {floor_sql('x', -1, divisor)} FROM (VALUES ({value})) AS t(x)")
    assert got == value // divisor
    if value >= 0:
        [[plain]] = engine.rows(f"SELECT {floor_sql('x', 0, divisor)} FROM (VALUES ({value})) AS t(x)")
        assert plain == got


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["event_reduction", "day_input", "day_reduction", "both_days"]))
def test_caps_are_never_exceeded(data: st.DataObject, name: str, engine: Engine) -> None:
    one = language_pack(name)
    drawn = data.draw(samples.records(one.pack, MODES))
    samples.load_records(engine, "acts", one.pack.activity, drawn)
    days = engine.rows(one.person_day_sql("acts", None, first_day(samples.EPOCH), end_day(samples.EPOCH)))
    most = {"event_reduction": 300_000, "day_input": 1_461_014}.get(name, 290_000)
    assert all(mg <= most * (records if name == "event_reduction" else 1) for _, _, mg, records in days)


def test_bounds_hold_for_the_extreme_day(engine: Engine) -> None:
    one = compile_pack(samples.shipped("con.retail_footprint"))
    line: dict[str, int | str] = {"spend": 500_000, "naics": "311612", "protein": "other"}
    count = one.pack.activity.records_per_day_max
    drawn = [Record(1, first_day(samples.EPOCH), "east", line)] * count
    samples.load_records(engine, "acts", one.pack.activity, drawn)
    [[_, _, mg, records]] = engine.rows(
        one.person_day_sql("acts", None, first_day(samples.EPOCH), end_day(samples.EPOCH))
    )
    assert (mg, records) == (one.day_bounds_mg[1], count)


def test_unknown_keys_are_named_and_never_guessed(engine: Engine) -> None:
    one = language_pack("keyed")
    day = first_day(samples.EPOCH)
    drawn = [Record(1, day, "east", {"distance": 1000, "detour": 0, "mode": mode}) for mode in MODES]
    samples.load_records(engine, "acts", one.pack.activity, drawn)
    assert engine.rows(one.unmatched_sql("acts", day, day + 1)) == [("r3", day)]
    values = {row[0]: row[4] for row in engine.rows(one.record_sql("acts"))}
    assert values["r3"] is None
    assert values["r2"] == 0
    assert engine.rows(language_pack("constant").unmatched_sql("acts", day, day + 1)) == []


def test_a_missing_quantity_never_earns_the_cap(engine: Engine) -> None:
    """LEAST and GREATEST pass over NULL in both engines: without the condition it would count as the cap."""
    one = language_pack("event_input")
    day = first_day(samples.EPOCH)
    samples.load_records(engine, "acts", one.pack.activity, [])
    engine.execute(f"INSERT INTO acts VALUES ('r0', 1, {day}, 'east', NULL, 0, 'bus')")
    assert engine.rows(one.person_day_sql("acts", None, day, day + 1)) == []


def test_regions_are_told_by_the_latest_record(engine: Engine) -> None:
    one = language_pack("constant")
    day = first_day(samples.EPOCH)
    places = [(day, "east"), (day + 1, "west"), (day + 2, "elsewhere")]
    inputs: dict[str, int | str] = {"distance": 1, "detour": 0, "mode": "bus"}
    drawn = [Record(1, when, region, inputs) for when, region in places]
    samples.load_records(engine, "acts", one.pack.activity, drawn)
    [[_, _, records, code]] = engine.rows(
        one.person_month_sql("acts", "persons", samples.EPOCH, samples.REGIONS)
    )
    assert (records, code) == (3, (day + 1) * 2 + 0)


REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown name": ({"formula": "distance * g"}, "neither input nor parameter"),
    "wrong unit": ({"formula": "distance"}, "not CO2e"),
    "mixed units": ({"formula": "distance + f"}, "meets"),
    "divided by an input": ({"formula": "f / distance"}, "constant other than zero"),
    "divided by zero": ({"formula": "distance * f / 0"}, "constant other than zero"),
    "condition as number": ({"formula": "(distance > 5 * limit) * f"}, "number is expected"),
    "number as condition": ({"formula": "distance * f if distance else 0"}, "condition is expected"),
    "key as number": ({"formula": "mode * f", "inputs": KEYED}, "number is expected"),
    "key compared with number": (
        {"formula": "distance * f", "applies_when": "mode == 3", "inputs": KEYED},
        "word",
    ),
    "no table": ({"formula": "distance * modes[mode]", "inputs": KEYED}, "no factor table"),
    "table by quantity": (
        {"formula": "distance * modes[distance]", "inputs": KEYED, "tables": {"modes": samples.mode_table()}},
        "is no key",
    ),
    "too large": (
        {"formula": "distance * distance * distance / limit / limit * car / 1000003"},
        "not below 2^63",
    ),
    "day cap of a nonlinear formula": (
        {"formula": "max(0, distance * f)", "caps": [CAPS["day_input"]]},
        "constant times distance",
    ),
    "quote in a word": (
        {"formula": "distance * f", "applies_when": 'mode == "a\'b"', "inputs": KEYED},
        "characters",
    ),
    "history keys on a record kind": (
        {"baseline": {"kind": "none", "text": "x", "years": 1}},
        "own-history baselines",
    ),
}


@pytest.mark.parametrize("case", sorted(REJECTED))
def test_what_does_not_type_is_refused_with_the_place(case: str) -> None:
    changes, problem = REJECTED[case]
    with pytest.raises(Malformed, match="Pack test") as raised:
        compile_pack(samples.make_pack(**{"parameters": PARAMETERS, **changes}))
    assert raised.value.reason == REASON_PACK_INVALID
    assert problem in raised.value.message


LINE = {"value": "8", "unit": "kWh", **CO2E}
GRID = {"value": "0.3125", "unit": "kgCO2e/kWh", **CO2E}
CLAMP = {"value": "12", "unit": "kWh"}
DUAL = {
    "kind": "dual_population_then_own7",
    "text": "line",
    "quantity": "energy",
    "day_maximum": CLAMP,
    "days": 7,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"formula": "max(0, energy * grid)"},
        {"formula": "0 - energy * grid"},
        {"baseline": {**DUAL, "line": "line"}, "parameters": {"grid": GRID, "line": LINE}},
    ],
)
def test_own_history_without_a_bound_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as raised:
        compile_pack(samples.make_pack(samples.ENERGY, **changes))
    assert raised.value.reason == REASON_REACH_UNBOUNDED


@pytest.mark.parametrize(
    "baseline",
    [
        {"quantity": None},
        {"years": None},
        {"day_maximum": None},
        {"day_maximum": {"value": "0.0001", "unit": "kWh"}},
        {"day_maximum": {"value": "12", "unit": "km"}},
        {"day_maximum": {"value": "-1", "unit": "kWh"}},
    ],
)
def test_own_history_says_all_it_needs(baseline: dict[str, Any]) -> None:
    whole = samples.document(samples.ENERGY)["baseline"] | baseline
    with pytest.raises(Problem):
        compile_pack(
            samples.make_pack(
                samples.ENERGY, baseline={key: value for key, value in whole.items() if value is not None}
            )
        )


def test_own_history_has_no_days_and_no_caps() -> None:
    one = history_pack(1)
    with pytest.raises(Malformed):
        one.person_day_sql("acts", None, 0, 1)
    cap = {"per": "day", "of": "reduction", "maximum": "1", "unit": "kgCO2e", **CO2E}
    with pytest.raises(Malformed, match="no caps"):
        compile_pack(samples.make_pack(samples.ENERGY, caps=[cap]))


def test_a_pack_out_of_force_gives_nothing(engine: Engine) -> None:
    late: Pack = samples.make_pack(samples.ENERGY, validity={"since": "2020-12-02", "until": ""})
    one = CompiledPack(late, *_fields(history_pack(1))[1:])
    samples.load_records(engine, "acts", late.activity, [])
    samples.load_persons(engine, samples.everybody())
    assert "1 = 0" in one.person_month_sql("acts", "persons", samples.EPOCH)
    assert engine.rows(one.person_month_sql("acts", "persons", samples.EPOCH)) == []


def _fields(one: CompiledPack) -> list[Any]:
    return [getattr(one, name) for name in CompiledPack.__dataclass_fields__]
