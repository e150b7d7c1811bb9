"""A million records over all packs: DuckDB, Spark and the plain-Python evaluation agree in every row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from accounting.compiler import CompiledPack
from accounting.contributions import histogram_months_sql
from engine.engine import Engine
from tests.spark.comparison import assert_equal, assert_equal_rows
from tests.spark.conftest import made_once
from tests.spark.oracle import evaluate_world
from tests.spark.questions import by_pack, contributions, of_language, planned, reduced, with_days
from tests.spark.world import EPOCH, RECORDS, World

Packs = tuple[CompiledPack, ...]

# How many rows each answer has at least, so that nothing passes by being empty.
LEAST = {"records": RECORDS, "days": 300_000, "months": 10_000, "reductions": 200_000}


# What is written on the way to the others.
WRITTEN = ("reductions", "cell_months")
ASKED = (
    "records",
    *WRITTEN,
    "unmatched",
    "language_days",
    "language_months",
    "totals",
    "statements",
    "statement_losses",
    "point_statements",
    "histogram",
    "histogram_losses",
)


def answer(engine: Engine, world: World, packs: Packs, folder: Path) -> dict[str, str]:
    """Define the world in an engine, sum days and months into the folder as a node does, and give the rest.

    Days and months of every pack are for the evaluation.
    """
    relations = world.define(engine, packs)
    asked = by_pack(packs, relations) | of_language(packs, relations)
    engine.write_parquet(reduced(relations), folder / "reductions.parquet")
    engine.view("reduced", [folder / "reductions.parquet"])
    relations = with_days(relations, "reduced")
    engine.write_parquet(histogram_months_sql(planned(), relations, EPOCH), folder / "cell_months.parquet")
    engine.view("cell_months", [folder / "cell_months.parquet"])
    return asked | contributions(relations, "cell_months")


@pytest.fixture(scope="session")
def answered(duckdb: Engine, world: World, packs: Packs, shared: Path) -> dict[str, Path]:
    """Answer every question on DuckDB."""
    folder = shared / "answered"
    with made_once(folder) as first:
        if first:
            for name, sql in answer(duckdb, world, packs, folder).items():
                duckdb.write_parquet(sql, folder / f"{name}.parquet")
    return {path.stem: path for path in folder.glob("*.parquet")}


def test_a_million_records_are_asked_about(duckdb: Engine, world: World, packs: Packs) -> None:
    relations = world.define(duckdb, packs)
    counts = [duckdb.rows(f"SELECT COUNT(*) FROM {name}")[0][0] for name in relations.activities.values()]
    assert sum(counts) == RECORDS
    for one in packs:
        [(most,)] = duckdb.rows(
            f"SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM {relations.of(one)} GROUP BY person, day) AS c"
        )
        assert most <= one.pack.activity.records_per_day_max


def test_python_agrees_with_duckdb(
    duckdb: Engine, world: World, answered: dict[str, Path], tmp_path: Path
) -> None:
    oracle = evaluate_world(world, tmp_path)
    asked = {
        "records": "SELECT place, record, value FROM found WHERE value IS NOT NULL",
        "days": "SELECT place, person, day, mg FROM found",
        "months": "SELECT place, person, mg FROM found",
        "points": "SELECT place, person, points FROM found",
    }
    for name, sql in asked.items():
        duckdb.view("found", [answered[name]])
        duckdb.view("expected", oracle[name])
        assert_equal(duckdb, sql, "SELECT * FROM expected", LEAST.get(name, 300) // 2)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Spark's answers beside DuckDB's."""

    spark: Engine
    duckdb: Engine
    asked: dict[str, str]
    answered: dict[str, Path]
    folder: Path

    def hold(self, name: str) -> None:
        """Hold that every row of one answer is the same."""
        found = self.folder / f"{name}.parquet"
        if name not in WRITTEN:
            self.spark.write_parquet(self.asked[name], found)
        assert_equal_rows(self.duckdb, [found], [self.answered[name]], LEAST.get(name, 1))


@pytest.fixture(scope="session")
def comparison(
    spark: Engine,
    duckdb: Engine,
    world: World,
    packs: Packs,
    answered: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Comparison:
    """Define the world in Spark, and sum its person-days, once."""
    folder = tmp_path_factory.mktemp("spark_answers")
    return Comparison(spark, duckdb, answer(spark, world, packs, folder), answered, folder)


# Only the engine is a parameter of the session: were the question one too, Spark would start for each anew.
@pytest.mark.parametrize("name", ASKED)
def test_spark_agrees_with_duckdb_in_one_process_and_on_two_workers(
    name: str, comparison: Comparison
) -> None:
    comparison.hold(name)


def test_every_question_is_asked(answered: dict[str, Path]) -> None:
    """Days, months and points of shipped packs are inside what a release asks."""
    assert {*ASKED, "days", "months", "points"} == set(answered)
