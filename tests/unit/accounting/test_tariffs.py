"""Points reckoned at the node: equal to the oracle, never above their bounds, moved no further by a day."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.compiler import CompiledPack, compile_pack
from accounting.conditions import Tariff
from accounting.contributions import Relations
from accounting.documents import checked
from accounting.evaluator import Record
from accounting.months import person_points
from accounting.packs import Pack, Vector
from accounting.tariffs import (
    PointsReach,
    pack_reach,
    period_points_max,
    plan_points,
    points_month_sql,
    points_statement_sql,
)
from accounting.vectors import evaluate_points, evaluate_vector
from engine.engine import Engine
from protos.epochs import Epoch, first_day, shift_epoch
from protos.problems import Malformed
from tests.unit.accounting import samples
from tests.unit.accounting.histories import MADE, POINTS, SHARE, TARIFFS, history_of, used

START = first_day(samples.EPOCH)
ONCE = [HealthCheck.function_scoped_fixture]
EACH = {"each": {"amount": "40", "points": 2}}
TIERS = {"tiers": [{"since": "97.4", "points": 3}, {"since": "500", "points": 11}]}
DAY: dict[str, Any] = {"per": "day", "of": "reduction", "unit": "gCO2e", "maximum": 12, **MADE}
COUNTED: dict[str, Any] = {"unit": "1", "each": {"amount": "1", "points": 5}, **MADE}
RECORD_TARIFFS: dict[str, dict[str, Any]] = {
    "day_linear": {**DAY, **EACH},
    "day_tiers": {**DAY, **TIERS},
    "day_both": {**DAY, **EACH, **TIERS, "month_maximum": 20},
    "month_linear": {**DAY, **EACH, "per": "month", "maximum": 30},
    "month_tiers": {**DAY, **TIERS, "per": "month"},
    "records_a_day": {**COUNTED, "per": "day", "of": "records", "maximum": 8},
    "records_a_month": {**COUNTED, "per": "month", "of": "records", "maximum": 40},
    "streak": {
        "per": "month",
        "of": "streak",
        "unit": "day",
        "tiers": [{"since": "2", "points": 1}, {"since": "4", "points": 7}],
        "maximum": 7,
        **MADE,
    },
}
TRIPS = Relations({"test.trip": "acts"}, "persons")
METERS = Relations({"test.energy": "acts"}, "persons")


def trip_points(tariff: dict[str, Any], **changes: Any) -> CompiledPack:
    vector: dict[str, Any] = {"inputs": {"distance": "1"}}
    made: dict[str, Any] = {"purpose": "points", "tariff": tariff, **changes}
    pack = samples.make_pack(**made, vectors=[vector])
    drawn = checked(Vector, vector, "vector")
    vector |= {"milligrams": evaluate_vector(pack, drawn), "points": evaluate_points(pack, drawn)}
    return compile_pack(samples.make_pack(**made, vectors=[vector]))


def trip(day: int, metres: int, person: int = 1) -> Record:
    return Record(person, day, "east", {"distance": metres, "detour": 0, "mode": "bus"})


def trips() -> st.SearchStrategy[list[Record]]:
    days = st.one_of(st.integers(START, START + 6), st.sampled_from([START - 1, START + 30, START + 31]))
    metres = st.one_of(st.integers(-1000, 30_000), st.sampled_from([0, 2000, 1999, 300_000]))
    return st.lists(st.builds(trip, days, metres, st.integers(0, 2)), max_size=25)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with samples.new_engine() as opened:
        samples.load_persons(opened, samples.everybody(3))
        yield opened


@pytest.mark.parametrize("name", sorted(RECORD_TARIFFS))
@settings(max_examples=8, deadline=None, suppress_health_check=ONCE)
@given(drawn=trips())
def test_points_of_records_equal_the_oracle(name: str, drawn: list[Record], engine: Engine) -> None:
    assert_points_agree(engine, trip_points(RECORD_TARIFFS[name]), drawn)


@pytest.mark.parametrize("name", sorted(TARIFFS))
@settings(max_examples=5, deadline=None, suppress_health_check=ONCE)
@given(data=st.data())
def test_points_of_own_history_equal_the_oracle(name: str, data: st.DataObject, engine: Engine) -> None:
    starts = [first_day(shift_epoch(samples.EPOCH, -back)) for back in (0, 1, 2, 3, 12, 24)]
    reading = st.builds(
        used,
        st.sampled_from([start + offset for start in starts for offset in (-3, -1, 0, 1)]),
        st.one_of(st.integers(-500, 20_000), st.sampled_from([8000, 8001, 1000, 950, 875])),
        st.integers(0, 2),
    )
    assert_points_agree(engine, history_of(*TARIFFS[name]), data.draw(st.lists(reading, max_size=20)))


def assert_points_agree(engine: Engine, one: CompiledPack, drawn: list[Record]) -> None:
    samples.load_records(engine, "acts", one.pack.activity, drawn)
    rows = dict(engine.rows(points_month_sql(one, "acts", "persons", samples.EPOCH)))
    expected = person_points(one.pack, drawn, samples.everybody(3), samples.EPOCH)
    assert {person: points for person, points in rows.items() if points} == {
        person: points for person, points in expected.items() if points
    }
    tariff = one.pack.tariff
    assert tariff is not None
    most = tariff.month_maximum or period_points_max(one) * (31 if tariff.per == "day" else 1)
    assert all(0 <= points <= most for points in rows.values())


def moved(engine: Engine, one: CompiledPack, rest: Sequence[Record], day: Sequence[Record]) -> int:
    """Sum over the releases of three years what adding the day's records changes."""
    measure = plan_points("m", [one])
    relations = METERS if one.own_history else TRIPS
    read = {-1, 0, 1, *(one.history.window.offsets if one.history else ()), 12, 36}
    epochs = [Epoch(shift_epoch(samples.EPOCH, month)) for month in sorted(read)]
    found = []
    for records in (list(rest), [*rest, *day]):
        samples.load_records(engine, "acts", one.pack.activity, records)
        persons = {}
        for epoch in epochs:
            persons[epoch] = dict(engine.rows(points_statement_sql(measure, relations, epoch)))[1]
        found.append(persons)
    return sum(abs(found[0][epoch] - found[1][epoch]) for epoch in epochs)


@pytest.mark.parametrize("name", sorted(RECORD_TARIFFS))
def test_no_extremal_day_of_records_goes_further_than_the_reach(name: str, engine: Engine) -> None:
    one = trip_points(RECORD_TARIFFS[name])
    worst = 0
    for others, metres in itertools.product((0, 3, 30), (2000, 300_000)):
        rest = [trip(START + 1 + offset, 300_000) for offset in range(others)]
        change = moved(engine, one, rest, [trip(START, metres)] * 8)
        assert change <= pack_reach(one).points
        worst = max(worst, change)
    assert worst * 2 >= pack_reach(one).points, "the bound is not far from what happens"


@pytest.mark.parametrize("name", sorted(TARIFFS))
def test_no_extremal_day_of_own_history_goes_further_than_the_reach(name: str, engine: Engine) -> None:
    one = history_of(*TARIFFS[name])
    for start, steps, level in itertools.product((START, START + 30), (0, 100_000), (8_050,)):
        rest = [used(day, level) for day in range(START - 45, START + 62) if day != start]
        assert moved(engine, one, rest, [used(start, steps)]) <= pack_reach(one).points


@pytest.mark.parametrize("name", sorted(TARIFFS))
def test_a_month_like_those_before_earns_no_points(name: str, engine: Engine) -> None:
    one = history_of(*TARIFFS[name])
    begin = first_day(shift_epoch(samples.EPOCH, -25))
    # The same sum every month, whatever its length: ten days of 9 kWh; every day for averages over days.
    days = list(range(begin, START + 31))
    if one.pack.baseline.days is None:
        months = [first_day(shift_epoch(samples.EPOCH, -back)) for back in range(25)]
        days = [first + offset for first in months for offset in range(10)]
    samples.load_records(engine, "acts", one.pack.activity, [used(day, 9000) for day in days])
    assert dict(engine.rows(points_month_sql(one, "acts", "persons", samples.EPOCH)))[1] == 0


def test_several_packs_add_up_and_so_do_their_bounds(engine: Engine) -> None:
    first = trip_points(RECORD_TARIFFS["day_tiers"])
    second = trip_points(RECORD_TARIFFS["streak"], id="test.streak")
    measure = plan_points("m", [first, second])
    assert measure.reach == PointsReach(11 + 7, 1)
    samples.load_records(
        engine, "acts", first.pack.activity, [trip(START + offset, 2000) for offset in range(4)]
    )
    rows = dict(engine.rows(points_statement_sql(measure, TRIPS, samples.EPOCH)))
    assert rows == {0: 0, 1: 4 * 3 + 7, 2: 0}


def test_a_day_is_worth_at_most_its_cap(engine: Engine) -> None:
    one = trip_points(RECORD_TARIFFS["day_linear"])
    assert pack_reach(one) == PointsReach(12, 1)
    samples.load_records(engine, "acts", one.pack.activity, [trip(START, 300_000)] * 3)
    assert engine.rows(points_month_sql(one, "acts", "persons", samples.EPOCH)) == [(1, 12)]


def tariff_of(document: dict[str, Any]) -> Tariff:
    return checked(Tariff, document, "tariff")


REFUSED: dict[str, dict[str, Any]] = {
    "share of records": {**POINTS, **SHARE},
    "wrong unit": {**DAY, **EACH, "unit": "km"},
    "out of reach": {**DAY, "tiers": [{"since": "100", "points": 1}], "unit": "tCO2e"},
    "less than a milligram": {**DAY, "each": {"amount": "0.0001", "points": 1}},
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_tariff_that_does_not_fit_is_refused(case: str) -> None:
    with pytest.raises(Malformed):
        compile_pack(trip_points(DAY | EACH).pack.model_copy(update={"tariff": tariff_of(REFUSED[case])}))


@pytest.mark.parametrize(
    "tariff",
    [
        None,
        {**DAY},
        {**DAY, "tiers": [{"since": "5", "points": 2}, {"since": "5", "points": 3}]},
        {**DAY, **EACH, "per": "month", "month_maximum": 5},
        {**DAY, **EACH, "of": "streak"},
        {**DAY, "each": {"amount": "0", "points": 1}},
    ],
)
def test_a_tariff_is_whole(tariff: dict[str, Any] | None) -> None:
    with pytest.raises(Malformed):
        samples.make_pack(purpose="points", tariff=tariff)


def test_only_packs_with_a_tariff_give_points() -> None:
    with pytest.raises(Malformed):
        samples.make_pack(tariff=RECORD_TARIFFS["streak"])
    plain: Pack = samples.make_pack()
    with pytest.raises(Malformed, match="tariff"):
        plan_points("m", [compile_pack(plain)])


def test_a_share_too_fine_to_compare_is_refused() -> None:
    fine = {**POINTS, **SHARE, "tiers": [{"since": "0.050000000000000001", "points": 1}]}
    with pytest.raises(Malformed, match="decimals"):
        history_of(TARIFFS["gwangju"][0], fine)
