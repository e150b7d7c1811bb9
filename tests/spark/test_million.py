"""A million records over all packs: DuckDB, Spark and the plain-Python evaluation agree in every row."""

from __future__ import annotations

from pathlib import Path

import pytest

from accounting.compiler import CompiledPack
from engine.engine import Engine
from tests.spark.comparison import assert_equal, assert_equal_rows
from tests.spark.conftest import CLUSTER, LOCAL
from tests.spark.oracle import ONE_PERSON_IN, evaluate_world
from tests.spark.questions import by_pack, contributions, of_language
from tests.spark.world import RECORDS, World, shipped_packs

Packs = tuple[CompiledPack, ...]

# How many rows each answer has at least, so that nothing passes by being empty.
LEAST = {"records": RECORDS, "days": 300_000, "months": 10_000, "reductions": 200_000}


# What the cluster is asked again; one process is asked everything.
BOTH = ("records", "reductions", "totals", "statements", "point_statements", "histogram")
ONE_PROCESS = ("unmatched", "language_days", "language_months", "statement_losses", "histogram_losses")
ASKED = [
    *((LOCAL, name) for name in (*BOTH, *ONE_PROCESS)),
    *((CLUSTER, name) for name in BOTH),
]


def questions(engine: Engine, world: World, packs: Packs) -> dict[str, str]:
    """Define the world in an engine and ask; days and months of every pack are for the evaluation."""
    relations = world.define(engine, packs)
    of_release = contributions(shipped_packs(), relations)
    return by_pack(packs, relations) | of_language(packs, relations) | of_release


@pytest.fixture(scope="session")
def answered(duckdb: Engine, world: World, packs: Packs, answers: Path) -> dict[str, Path]:
    """Answer every question on DuckDB."""
    asked = questions(duckdb, world, packs)
    for name, sql in asked.items():
        duckdb.write_parquet(sql, answers / f"{name}.parquet")
    return {name: answers / f"{name}.parquet" for name in asked}


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
        "records": ("place, record, value", f"value IS NOT NULL AND person % {ONE_PERSON_IN} = 0"),
        "days": ("place, person, day, mg", f"person % {ONE_PERSON_IN} = 0"),
        "months": ("place, person, mg", f"person % {ONE_PERSON_IN} = 0"),
        "points": ("place, person, points", f"person % {ONE_PERSON_IN} = 0"),
    }
    for name, (columns, condition) in asked.items():
        duckdb.view("found", [answered[name]])
        duckdb.view("expected", oracle[name])
        assert_equal(
            duckdb,
            f"SELECT {columns} FROM found WHERE {condition}",
            f"SELECT {columns} FROM expected",
            LEAST.get(name, 300) // (2 * ONE_PERSON_IN),
        )


@pytest.fixture(scope="session")
def asked(spark: Engine, world: World, packs: Packs) -> dict[str, str]:
    """Define the world in Spark, once."""
    return questions(spark, world, packs)


@pytest.mark.parametrize(("spark", "name"), ASKED, indirect=["spark"], scope="session")
def test_spark_agrees_with_duckdb(
    name: str,
    spark: Engine,
    duckdb: Engine,
    asked: dict[str, str],
    answered: dict[str, Path],
    tmp_path: Path,
) -> None:
    assert set(asked) == set(answered)
    spark.write_parquet(asked[name], tmp_path / "found.parquet")
    assert_equal_rows(duckdb, [tmp_path / "found.parquet"], [answered[name]], LEAST.get(name, 1))


def test_every_question_is_asked(answered: dict[str, Path]) -> None:
    """Days, months and points of shipped packs are inside what a release asks."""
    inside = {"days", "months", "points"}
    assert {name for _, name in ASKED} | inside == set(answered)
