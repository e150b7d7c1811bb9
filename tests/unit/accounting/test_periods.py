"""Period records: the month is clamped, and no person-month moves the statement further than its clamp."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.compiler import CompiledPack
from accounting.evaluator import Record
from accounting.periods import PeriodMeasure, period_statement_sql, plan_period
from accounting.relations import Relations
from engine.engine import Engine
from protos.problems import Malformed
from tests.unit.accounting import samples
from tests.unit.accounting.test_compiler import history_pack
from tests.unit.accounting.test_tariffs import RECORD_TARIFFS, trip_points

TRIPS = Relations({"test.trip": "acts"}, "persons")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with samples.new_engine() as opened:
        samples.load_persons(opened, samples.everybody())
        yield opened


def statement(engine: Engine, measure: PeriodMeasure, records: Sequence[Record]) -> dict[int, int]:
    samples.load_records(engine, "acts", measure.packs[0].pack.activity, records)
    rows = engine.rows(period_statement_sql(measure, TRIPS, samples.EPOCH))
    return dict(rows)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), clamp=st.integers(1, 3_000))
def test_a_month_is_clamped_and_moves_no_further(data: st.DataObject, clamp: int, engine: Engine) -> None:
    pack = samples.compiled()
    measure = plan_period("bills", [pack], clamp)
    records = data.draw(samples.records(pack.pack, samples.known_keys(pack.pack)))
    everything = statement(engine, measure, records)
    assert set(everything) == set(samples.everybody())
    assert all(0 <= grams <= clamp for grams in everything.values())
    for person in everything:
        without = statement(engine, measure, [one for one in records if one.person != person])
        moved = sum(abs(everything[other] - without[other]) for other in everything)
        assert moved <= measure.reach.grams
        assert without[person] == 0


@pytest.mark.parametrize("clamp", [0, -1, 1 << 40])
def test_a_period_without_a_clamp_is_refused(clamp: int) -> None:
    with pytest.raises(Malformed):
        plan_period("bills", [samples.compiled()], clamp)


def test_own_history_points_and_doubles_are_no_period_records() -> None:
    once = samples.compiled()
    points = trip_points(RECORD_TARIFFS["day_linear"])
    wrong: list[list[CompiledPack]] = [[], [once, once], [history_pack(3)], [points]]
    for packs in wrong:
        with pytest.raises(Malformed):
            plan_period("bills", packs, 500)
