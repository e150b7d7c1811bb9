"""The reach against attackers: no neighbour, extremal or random, moves the releases further."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import Measure, Relations, plan_measure, statement_sql
from accounting.evaluator import Record
from accounting.reach import Reach, histogram_reach, measure_reach
from engine.engine import Engine
from protos.epochs import Epoch, first_day, shift_epoch
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_REACH_UNBOUNDED
from tests.unit.accounting import samples
from tests.unit.accounting.test_compiler import history_pack, language_pack

RELATIONS = Relations(activities={"test.energy": "energy_acts", "test.trip": "trip_acts"}, persons="persons")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with samples.new_engine() as opened:
        samples.load_persons(opened, {1: (0, None)})
        yield opened


def moved(engine: Engine, measure: Measure, rest: Sequence[Record], day: Sequence[Record]) -> int:
    """Sum over every release the day can touch what adding the day's records changes."""
    activity = measure.packs[0].pack.activity
    name = RELATIONS.activities[activity.code]
    epochs = [Epoch(shift_epoch(samples.EPOCH, 12 * year)) for year in range(-1, 7)]
    found = []
    for records in (list(rest), [*rest, *day]):
        samples.load_records(engine, name, activity, records)
        found.append([engine.rows(statement_sql(measure, RELATIONS, epoch))[0][1] for epoch in epochs])
    return sum(abs(before - after) for before, after in zip(*found, strict=True))


def energy(day: int, steps: int) -> Record:
    return Record(1, day, "east", {"energy": steps, "meter": "m"})


def test_the_reach_of_the_shipped_packs() -> None:
    saving = compile_pack(samples.shipped("life.electricity_saving"))
    assert measure_reach([saving], 0) == Reach(12_736, 2, signed=True, later=((12, 6_368),))
    bike = compile_pack(samples.shipped("trv.shared_bike"))
    assert measure_reach([bike], 500) == Reach(500, 1, signed=False)


@pytest.mark.parametrize("years", [1, 2, 3, 5])
def test_the_extremal_day_stays_within_and_comes_close(years: int, engine: Engine) -> None:
    measure = plan_measure("m", [history_pack(years)], 0)
    start = first_day(samples.EPOCH)
    worst = max(
        moved(engine, measure, [energy(start + 1, rest)], [energy(start, 100_000)])
        for rest in (0, 1, 3, 5, 9)
    )
    assert worst <= measure.reach.grams
    assert worst >= measure.reach.grams - years - 1


@pytest.mark.parametrize("grid", ["0.5306", "0.0001", "0.00001"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_random_day_moves_own_history_further(grid: str, data: st.DataObject, engine: Engine) -> None:
    measure = plan_measure("m", [history_pack(2, grid)], 0)
    start = first_day(samples.EPOCH)
    rest = data.draw(
        st.lists(
            st.builds(
                energy,
                st.sampled_from([start + 1, first_day(shift_epoch(samples.EPOCH, -12)), start + 367]),
                st.integers(-500, 20_000),
            ),
            max_size=6,
        )
    )
    day = data.draw(st.lists(st.builds(energy, st.just(start), st.integers(-500, 20_000)), max_size=3))
    assert moved(engine, measure, rest, day) <= measure.reach.grams


def test_two_packs_round_apart_and_are_bounded_together(engine: Engine) -> None:
    packs = [history_pack(1, "0.00007"), renamed(history_pack(2, "0.00011"))]
    measure = plan_measure("m", packs, 0)
    start = first_day(samples.EPOCH)
    for rest in range(0, 20, 3):
        change = moved(engine, measure, [energy(start + 2, rest)], [energy(start, 12_000)])
        assert change <= measure.reach.grams


def renamed(one: CompiledPack) -> CompiledPack:
    fields = {name: getattr(one, name) for name in CompiledPack.__dataclass_fields__}
    return CompiledPack(**fields | {"pack": one.pack.model_copy(update={"id": "test.other"})})


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), clamp=st.integers(1, 5000))
def test_no_day_moves_a_clamped_measure_further(data: st.DataObject, clamp: int, engine: Engine) -> None:
    measure = plan_measure("m", [language_pack("signed"), renamed(language_pack("constant"))], clamp)
    start = first_day(samples.EPOCH)
    inputs = st.fixed_dictionaries(
        {"distance": st.integers(-1000, 300_000), "detour": st.integers(0, 300_000), "mode": st.just("bus")}
    )
    rest = data.draw(
        st.lists(st.builds(Record, st.just(1), st.integers(start + 1, start + 2), st.just("east"), inputs))
    )
    day = data.draw(st.lists(st.builds(Record, st.just(1), st.just(start), st.just("east"), inputs)))
    assert moved(engine, measure, rest, day) <= measure.reach.grams == clamp


def test_the_clamped_reach_is_reached(engine: Engine) -> None:
    measure = plan_measure("m", [language_pack("constant")], 1000)
    trip = Record(1, first_day(samples.EPOCH), "east", {"distance": 300_000, "detour": 0, "mode": "bus"})
    assert moved(engine, measure, [], [trip]) == 1000


def test_without_a_clamp_there_is_no_bound() -> None:
    for bound, packs in ((measure_reach, [language_pack("constant")]), (histogram_reach, [])):
        with pytest.raises(Refused) as raised:
            bound(packs, 0)
        assert raised.value.reason == REASON_REACH_UNBOUNDED


def test_the_histogram_reach_counts_later_baselines() -> None:
    assert histogram_reach([language_pack("constant")], 60_000) == Reach(60_000, 1, signed=False)
    assert histogram_reach([history_pack(2), language_pack("constant")], 5000) == Reach(
        25_000, 3, signed=True, later=((12, 10_000), (24, 10_000))
    )
