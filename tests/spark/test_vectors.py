"""Every pack's worked examples on Spark and on DuckDB: to the milligram and the point."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import pytest

from accounting.activities import Activity, InputKind
from accounting.compiler import CompiledPack
from accounting.evaluator import Record
from accounting.packs import Vector
from accounting.tariffs import points_month_sql
from accounting.vectors import vector_month, vector_records
from engine.engine import Engine
from protos.epochs import Epoch, end_day, first_day
from tests.spark.world import shipped_packs
from tests.unit.accounting import samples

Expected = dict[str, list[tuple[Any, ...]]]

_DAYS_MAX = 40_000


class Examples:
    """All vectors in one set of tables, a person for each, and the questions that give them back."""

    def __init__(self) -> None:
        self.activities: dict[str, Activity] = {}
        self.records: defaultdict[str, list[Record]] = defaultdict(list)
        self.expected: Expected = {"milligrams": [], "points": []}
        self._persons: defaultdict[Question, list[int]] = defaultdict(list)
        self._count = 0

    def add(self, place: int, one: CompiledPack, vector: Vector) -> None:
        person, self._count = self._count, self._count + 1
        pack, month = one.pack, vector_month(one.pack, vector)
        self.activities[pack.activity.code] = pack.activity
        for record in vector_records(pack, vector):
            inputs = _nothing(pack.activity) | dict(record.inputs)
            self.records[pack.activity.code].append(Record(person, record.day, record.region, inputs))
        column = "month_mg" if pack.baseline.own_history or vector.records else "day_mg"
        self._expect("milligrams", Question("milligrams", place, column, month), person, vector.milligrams)
        if pack.tariff is not None:
            self._expect("points", Question("points", place, "points", month), person, vector.points)

    def _expect(self, name: str, question: Question, person: int, value: int | None) -> None:
        self._persons[question].append(person)
        if value is not None:
            self.expected[name].append((person, value))

    def define(self, engine: Engine) -> None:
        for code, records in self.records.items():
            samples.load_records(engine, table(code), self.activities[code], records)
        samples.load_persons(engine, dict.fromkeys(range(self._count), (-_DAYS_MAX, None)))

    def text(self, name: str) -> str:
        """Ask every pack about its own examples' persons."""
        parts = []
        for question, persons in self._persons.items():
            if question.name == name:
                among = f"person >= {min(persons)} AND person <= {max(persons)}"
                value, sql = question.column.removeprefix("month_").removeprefix("day_"), question.sql()
                parts.append(f"SELECT person, {value} FROM ({sql}) AS x WHERE {among}")
        return " UNION ALL ".join(parts)


class Question(NamedTuple):
    """What a pack, by its place, is asked for a month."""

    name: str
    place: int
    column: str
    month: Epoch

    def sql(self) -> str:
        one = shipped_packs()[self.place]
        relation = table(one.pack.activity.code)
        if self.column == "day_mg":
            return one.person_day_sql(relation, None, first_day(self.month), end_day(self.month))
        month_sql = points_month_sql if self.column == "points" else CompiledPack.person_month_sql
        return month_sql(one, relation, "persons", self.month)


def _nothing(activity: Activity) -> dict[str, int | str]:
    """Give values for the inputs an example does not read."""
    return {one.name: "" if one.kind is InputKind.KEY else 0 for one in activity.inputs}


def table(code: str) -> str:
    return "examples_" + code.replace(".", "_")


@pytest.fixture(scope="session")
def examples() -> Examples:
    made = Examples()
    for place, one in enumerate(shipped_packs()):
        assert one.pack.vectors
        for vector in one.pack.vectors:
            made.add(place, one, vector)
    return made


@pytest.mark.parametrize("name", ["milligrams", "points"])
def test_duckdb_gives_every_packs_examples(name: str, duckdb: Engine, examples: Examples) -> None:
    assert_given(name, duckdb, examples)


@pytest.mark.parametrize("name", ["milligrams", "points"])
def test_spark_gives_every_packs_examples(name: str, spark: Engine, examples: Examples) -> None:
    assert_given(name, spark, examples)


def assert_given(name: str, engine: Engine, examples: Examples) -> None:
    examples.define(engine)
    found = engine.rows(examples.text(name))
    assert sorted(found) == sorted(examples.expected[name])
    assert found
