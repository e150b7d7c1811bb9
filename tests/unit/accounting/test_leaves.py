"""A statement is the floor of its leaves, of every kind; a record is hashed in SQL as it is here."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.contributions import Measure, plan_measure, statement_sql
from accounting.evaluator import Record
from accounting.leaves import (
    WHOLE_MONTH,
    contract_text,
    leaves_sql,
    reads_contracts,
    record_root,
    record_text,
    records_sql,
    roots_sql,
)
from accounting.periods import PeriodMeasure, period_statement_sql, plan_period
from engine.engine import Engine
from protos.epochs import end_day, first_day
from tests.unit.accounting import samples
from tests.unit.accounting.test_compiler import MODES, history_pack, language_pack
from tests.unit.accounting.test_contributions import RELATIONS, START, load, trip
from tests.unit.accounting.test_reach import energy, renamed

LIMIT_MG = 1_500_000


def measures(clamp: int) -> dict[str, Measure | PeriodMeasure]:
    signed, other = language_pack("signed"), renamed(language_pack("piecewise"))
    capped = dataclasses.replace(other, month_limit_mg=LIMIT_MG)
    return {
        "days": plan_measure("m", [signed, other], clamp),
        "days and a month's cap": plan_measure("m", [signed, capped], clamp),
        "own history": plan_measure("m", [history_pack(2)], 0),
        "a period": plan_period("m", [signed], clamp),
    }


def statement(engine: Engine, measure: Measure | PeriodMeasure) -> dict[int, int]:
    sql = period_statement_sql if isinstance(measure, PeriodMeasure) else statement_sql
    return dict(engine.rows(sql(measure, RELATIONS, samples.EPOCH)))  # type: ignore[arg-type]


def leaves(engine: Engine, measure: Measure | PeriodMeasure) -> list[tuple[int, int, int, int]]:
    return engine.rows(f"SELECT * FROM ({leaves_sql(measure, RELATIONS, samples.EPOCH)}) AS l ORDER BY 1, 2")


@pytest.mark.parametrize("kind", measures(1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), clamp=st.integers(1, 3_000))
def test_a_statement_is_the_floor_of_its_leaves(
    kind: str, data: st.DataObject, clamp: int, engine: Engine
) -> None:
    measure = measures(clamp)[kind]
    load(engine, data.draw(samples.records(measure.packs[0].pack, MODES)))
    net: dict[int, int] = defaultdict(int)
    for person, day, plus, minus in leaves(engine, measure):
        assert plus >= 0
        assert minus >= 0
        assert plus + minus > 0
        assert day == WHOLE_MONTH or first_day(samples.EPOCH) <= day < end_day(samples.EPOCH)
        net[person] += plus - minus
    assert statement(engine, measure) == {person: net[person] // 1000 for person in range(4)}


@pytest.mark.parametrize("kind", measures(1))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_leaf_alone_gives_its_own_amounts_again(kind: str, data: st.DataObject, engine: Engine) -> None:
    """What an auditor does: only the records behind one leaf, and the same text over them."""
    measure = measures(500)[kind]
    records = data.draw(samples.records(measure.packs[0].pack, MODES))
    load(engine, records)
    found = leaves(engine, measure)
    opened, _ = behind(engine, measure, found)
    for number, (_, day, plus, minus) in enumerate(found):
        load(engine, [record for at, record in opened if at == number], persons=len(found))
        [again] = [row for row in leaves(engine, measure) if row[:2] == (number, day)]
        assert again[2:] == (plus, minus)


@pytest.mark.parametrize("kind", measures(1))
def test_roots_are_those_of_the_texts(kind: str, engine: Engine) -> None:
    measure = measures(500)[kind]
    records = [
        record
        for person in range(3)
        for day in (0, 0, 3)
        for record in (trip(person, START + day, 900 + day, "west"), energy(START + day, 40 + day))
    ]
    load(engine, records)
    found = leaves(engine, measure)
    assert found
    opened, roots = behind(engine, measure, found)
    activities = {one.pack.activity.code: one.pack.activity for one in measure.packs}
    own_history = isinstance(measure, Measure) and measure.own_history
    for number in range(len(found)):
        texts = [
            record_text(activities["test.trip" if "distance" in row else "test.energy"], row)
            for at, row in rows_of(engine, measure, found)
            if at == number
        ]
        texts += [contract_text(0, None)] if own_history else []
        assert texts
        assert bytes.fromhex(roots[number]) == record_root(reversed(texts))
        assert record_root([*texts, "more"]) != record_root(texts)
    assert len(opened) >= len(found)


def numbered(engine: Engine, found: Sequence[tuple[int, int, int, int]]) -> None:
    columns = {
        "number": np.arange(len(found), dtype=np.int64),
        "person": np.array([row[0] for row in found], dtype=np.int64),
        "day": np.array([row[1] for row in found], dtype=np.int64),
    }
    engine.register("leaves", columns, {"number": "BIGINT", "person": "BIGINT", "day": "INTEGER"})


def rows_of(
    engine: Engine, measure: Measure | PeriodMeasure, found: Sequence[tuple[int, int, int, int]]
) -> list[tuple[int, dict[str, object]]]:
    numbered(engine, found)
    rows = []
    for code, sql in records_sql(measure, RELATIONS, samples.EPOCH, "leaves").items():
        columns = samples.activities()[code].columns()
        for number, *values in engine.rows(f"SELECT number, {', '.join(columns)} FROM ({sql}) AS r"):
            rows.append((number, dict(zip(columns, values, strict=True))))
    return rows


def behind(
    engine: Engine, measure: Measure | PeriodMeasure, found: Sequence[tuple[int, int, int, int]]
) -> tuple[list[tuple[int, Record]], dict[int, str]]:
    """Give the records behind each leaf, the leaf's number in the person's place, and the roots over them."""
    numbered(engine, found)
    names = {}
    for code, sql in records_sql(measure, RELATIONS, samples.EPOCH, "leaves").items():
        names[code] = "records_" + code.replace(".", "_")
        engine.execute(f"CREATE OR REPLACE TABLE {names[code]} AS {sql}")
    contracts = None
    if reads_contracts(measure):
        contracts = "contracts"
        engine.execute(
            "CREATE OR REPLACE TABLE contracts AS SELECT l.number, p.since_day, p.until_day FROM leaves AS l "
            "JOIN persons AS p USING (person) WHERE l.day = 0"
        )
    roots = dict(engine.rows(roots_sql(measure, names, contracts)))
    opened = [
        (
            number,
            Record(
                number,
                int(str(row["day"])),
                row["region"],  # type: ignore[arg-type]
                {name: row[name] for name in row if name not in ("record", "person", "day", "region")},  # type: ignore[misc]
            ),
        )
        for number, row in rows_of(engine, measure, found)
    ]
    return opened, roots
