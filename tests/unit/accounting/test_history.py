"""Own history of every kind: equal to the oracle, worth nothing unchanged, never further than its reach."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import Relations, plan_measure, statement_loss_sql, statement_sql
from accounting.documents import checked
from accounting.evaluator import Record
from accounting.months import first_needed, person_months
from accounting.packs import Pack
from accounting.reach import histogram_reach, measure_reach
from engine.engine import Engine
from protos.epochs import Epoch, end_day, first_day, shift_epoch
from protos.problems import Malformed, Problem, Refused
from tests.unit.accounting import samples
from tests.unit.accounting.histories import DUAL, EACH, KINDS, POINTS, QUANTITY, history_of, kinds, used

RELATIONS = Relations({"test.energy": "acts"}, "persons")
START = first_day(samples.EPOCH)
ONCE = [HealthCheck.function_scoped_fixture]


@st.composite
def readings(draw: st.DrawFn, reach_back: int) -> list[Record]:
    """Draw readings near the edges of the months a figure reads."""
    months = [first_day(shift_epoch(samples.EPOCH, -back)) for back in (0, 1, 2, 3, 4, 12, 24, -1)]
    edges = [edge + offset for edge in months for offset in (-29, -8, -7, -1, 0, 1, 6, 7, 28, reach_back)]
    quantity = st.one_of(st.integers(-500, 20_000), st.sampled_from([0, 8000, 8001, 12_000, 100_000]))
    reading = st.builds(used, st.sampled_from(edges), quantity, st.integers(0, 2))
    return draw(st.lists(reading, max_size=30))


def dates(one: CompiledPack) -> st.SearchStrategy[tuple[int, int | None]]:
    needed = first_needed(one.pack, samples.EPOCH)
    since = st.sampled_from([0, needed, needed + 1])
    until = st.sampled_from([None, end_day(samples.EPOCH), end_day(samples.EPOCH) - 1])
    return st.tuples(since, until)


@pytest.mark.parametrize("kind", kinds())
@settings(max_examples=6, deadline=None, suppress_health_check=ONCE)
@given(data=st.data())
def test_months_of_every_kind_equal_the_oracle(kind: str, data: st.DataObject, engine: Engine) -> None:
    one = history_of(KINDS[kind])
    assert_months_agree(engine, one, data)


@settings(max_examples=10, deadline=None, suppress_health_check=ONCE)
@given(data=st.data())
def test_months_beside_a_line_equal_the_oracle(data: st.DataObject, engine: Engine) -> None:
    assert_months_agree(engine, history_of(DUAL, {**POINTS, **EACH}), data)


def assert_months_agree(engine: Engine, one: CompiledPack, data: st.DataObject) -> None:
    drawn = data.draw(readings(3))
    persons = {person: data.draw(dates(one)) for person in range(3)}
    samples.load_records(engine, "acts", one.pack.activity, drawn)
    samples.load_persons(engine, persons)
    month = one.person_month_sql("acts", "persons", samples.EPOCH)
    rows = engine.rows(f"SELECT person, mg FROM ({month}) AS m")
    expected = person_months(one.pack, drawn, persons, samples.EPOCH)
    got = {person: mg for person, mg in rows if mg != 0}
    assert got == {person: mg for person, mg in expected.items() if mg != 0}
    assert all(one.month_bounds_mg[0] <= mg <= one.month_bounds_mg[1] for mg in got.values())


def year_of(pattern: Sequence[int], first: int, end: int) -> list[Record]:
    return [used(day, pattern[day % len(pattern)]) for day in range(first, end)]


@pytest.mark.parametrize("kind", kinds())
@settings(max_examples=2, deadline=None, suppress_health_check=ONCE)
@given(pattern=st.lists(st.integers(0, 15_000), min_size=1, max_size=7))
def test_unchanged_behaviour_earns_zero_on_average(kind: str, pattern: list[int], engine: Engine) -> None:
    """The same pattern started on every one of its days: what some starts earn, the others owe."""
    one = history_of(KINDS[kind])
    samples.load_persons(engine, {1: (0, None)})
    shifts = [pattern[shift:] + pattern[:shift] for shift in range(len(pattern))]
    months = [samples.EPOCH]
    if kind.startswith(("mean", "spend")):
        # Months differ in length: over a whole cycle of them what a short one earns, a long one owes.
        months = [Epoch(shift_epoch(samples.EPOCH, -back)) for back in range(12)]
        shifts = [[pattern[0]]]
    total = 0
    for shifted in shifts:
        records = year_of(shifted, first_needed(one.pack, months[-1]), end_day(samples.EPOCH))
        samples.load_records(engine, "acts", one.pack.activity, records)
        for month in months:
            sql = one.person_month_sql("acts", "persons", month)
            total += engine.rows(f"SELECT mg FROM ({sql}) AS m")[0][0]
    # A floor takes up to a milligram from each month; months of unequal length leave less than one month's.
    slack = one.month_bounds_mg[1] // 31 * 4 if len(months) > 1 else 0
    assert -len(shifts) * len(months) - slack <= total <= slack


@pytest.mark.parametrize("daily", [0, 1, 8001, 9000, 12_000, 20_000])
def test_a_household_above_the_line_that_changes_nothing_earns_nothing(daily: int, engine: Engine) -> None:
    one = history_of(DUAL, {**POINTS, **EACH})
    samples.load_persons(engine, {1: (0, None)})
    samples.load_records(engine, "acts", one.pack.activity, year_of([daily], START - 7, START + 31))
    [(mg,)] = engine.rows(f"SELECT mg FROM ({one.person_month_sql('acts', 'persons', samples.EPOCH)}) AS m")
    assert mg == (0 if daily >= 8001 else (8001 - daily) * 31 * 5306 // 10)


def moved(engine: Engine, one: CompiledPack, rest: Sequence[Record], day: Sequence[Record]) -> list[int]:
    """Give what adding the day's records changes in each release of three years."""
    measure = plan_measure("m", [one], 0)
    assert one.history is not None
    read = {-1, 0, 1, 2, 6, *one.history.window.offsets, 12, 36}
    epochs = [Epoch(shift_epoch(samples.EPOCH, month)) for month in sorted(read)]
    found = []
    for records in (list(rest), [*rest, *day]):
        samples.load_records(engine, "acts", one.pack.activity, records)
        found.append([engine.rows(statement_sql(measure, RELATIONS, epoch))[0][1] for epoch in epochs])
    return [after - before for before, after in zip(*found, strict=True)]


@pytest.mark.parametrize("kind", kinds())
def test_no_extremal_day_goes_further_than_the_reach_in_three_years(kind: str, engine: Engine) -> None:
    one = history_of(KINDS[kind])
    samples.load_persons(engine, {1: (0, None)})
    reach = measure_reach([one], 0)
    worst = 0
    for offset, rest in itertools.product((0, 30), ([], year_of([7_003], START - 40, START + 40))):
        quiet = [record for record in rest if record.day != START + offset]
        changes = moved(engine, one, quiet, [used(START + offset, 100_000)])
        assert sum(map(abs, changes)) <= reach.grams
        assert sum(change != 0 for change in changes) <= reach.releases
        worst = max(worst, sum(map(abs, changes)))
    assert worst * 10 >= reach.grams * 9, "the bound is tight"


@pytest.mark.parametrize("kind", kinds())
@settings(max_examples=3, deadline=None, suppress_health_check=ONCE)
@given(data=st.data())
def test_no_random_day_goes_further_than_the_reach(kind: str, data: st.DataObject, engine: Engine) -> None:
    one = history_of(KINDS[kind])
    samples.load_persons(engine, {1: (0, None)})
    rest = [record for record in data.draw(readings(2)) if record.day != START]
    rest = [used(record.day, int(record.inputs["energy"])) for record in rest]
    day = data.draw(st.lists(st.builds(used, st.just(START), st.integers(-500, 20_000)), max_size=3))
    assert sum(map(abs, moved(engine, one, rest, day))) <= measure_reach([one], 0).grams


def test_windows_of_different_kinds_are_bounded_month_by_month() -> None:
    packs = [history_of(KINDS[kind]) for kind in ("same_month_2", "mean_3", "average_7")]
    assert measure_reach(packs, 0).releases == 1 + 5  # after 1, 2, 3, 12 and 24 months
    assert histogram_reach(packs, 1000).grams == 11_000


def test_days_above_the_clamp_are_told_locally(engine: Engine) -> None:
    one = history_of(KINDS["spend_2"])
    samples.load_persons(engine, {1: (0, None)})
    samples.load_records(engine, "acts", one.pack.activity, [used(START, 10_000), used(START + 1, 1000)])
    measure = plan_measure("m", [one], 0)
    [(persons, days, lost, _)] = engine.rows(statement_loss_sql(measure, RELATIONS, samples.EPOCH))
    assert (persons, days) == (1, 1)
    assert lost == 5_306_000 - 3_000_300 - 1 or lost == 5_306_000 - 3_000_300


@pytest.mark.parametrize(
    "baseline",
    [
        {"kind": "own_history_mean", **QUANTITY},
        {"kind": "own_history_mean", "months": 2, "years": 1, **QUANTITY},
        {"kind": "own_moving_average", "days": 7, "line": "line", **QUANTITY},
        {"kind": "dual_population_then_own7", "days": 7, **QUANTITY},
        {"kind": "own_history_spend", "months": 2, **QUANTITY},
        {"kind": "own_history_mean", "months": 2, "text": "own", "quantity": "energy"},
    ],
)
def test_a_history_says_exactly_what_its_kind_needs(baseline: dict[str, object]) -> None:
    whole = history_of(KINDS["mean_1"]).pack.model_dump(mode="json")
    with pytest.raises(Problem):
        compile_pack(checked(Pack, {**whole, "baseline": baseline}, "pack.toml"))


def test_a_line_beside_history_gives_no_grams() -> None:
    with pytest.raises(Refused):
        history_of(DUAL)


def test_a_points_pack_has_no_place_in_a_measure_of_grams() -> None:
    with pytest.raises(Malformed, match="points"):
        plan_measure("m", [history_of(DUAL, {**POINTS, **EACH})], 0)
