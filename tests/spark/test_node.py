"""A node whose node.toml names Spark: every figure of a release is that of the embedded engine."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.engine import Engine
from enterprise_node.reductions import HistogramSpec, MeasureSpec, Reductions
from enterprise_node.store.selections import SelectionTable
from enterprise_node.workspace import Workspace
from protos.epochs import Epoch
from runtime.configuration import format_toml
from tests.spark.cluster import Cluster
from tests.spark.conftest import LOCAL
from tests.unit.enterprise_node.homes import ANNA, BERT, CARL, REGISTER, TRIPS, Home, home_at
from tests.unit.enterprise_node.test_reductions import METERS

JANUARY = Epoch(202101)
RIDES = MeasureSpec("rides", ("trv.shared_bike",), 500)
POWER = MeasureSpec("power", ("life.electricity_saving",), 0)
CELLS = HistogramSpec(
    regions=("east", "west"),
    domains=("travel", "life"),
    pack_order=("trv.shared_bike", "life.electricity_saving"),
    pack_ids=("trv.shared_bike", "life.electricity_saving"),
    month_clamp_grams=3_000,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "home", TRIPS, METERS, REGISTER)
    write_sources(home)
    return home


def write_sources(home: Home) -> None:
    """Write a register, a month of rides, and power of the same month in two years."""
    draw = random.Random(3)
    days = range(1, 32)
    home.write("register.csv", *(f"{one},2019-01-01," for one in (ANNA, BERT)), header="mobile,since,until")
    home.write(
        "trips.csv",
        *(
            f"t{number},{draw.choice([ANNA, BERT, CARL])},2021-01-{draw.choice(days):02d} 08:00:00,"
            f"{draw.randint(0, 19_999) / 1000:.3f}"
            for number in range(300)
        ),
    )
    home.write(
        "readings.csv",
        *(
            f"{name}{year}{number},{mobile},{year}-01-{number:02d},{draw.randint(0, 15_000) / 1000:.3f}"
            for name, mobile in (("a", ANNA), ("b", BERT))
            for year in (2020, 2021)
            for number in days
        ),
        header="reading,mobile,day,kwh",
    )


@contextmanager
def opened_on(home: Home, engine: Engine) -> Iterator[Workspace]:
    """Open the home as node.toml would with an engine that is open already: a process holds one Spark."""
    with home.opened() as workspace:
        on_spark = Reductions(
            workspace.home,
            engine,
            workspace.activities,
            workspace.persons,
            workspace.packs,
            SelectionTable(workspace.database),
        )
        yield replace(workspace, reductions=on_spark)


def figures(reductions: Reductions) -> list[Any]:
    """Give all that a release, its preview and the status are made of."""
    roster = np.array([1, 2], dtype=np.int64)
    tables = reductions.histogram(JANUARY, CELLS, roster)
    vectors = [reductions.statement_vector(JANUARY, one) for one in (RIDES, POWER)]
    return [
        [(one.table_id, one.sums.tolist(), one.counts.tolist()) for one in tables],
        [(one.persons.tolist(), one.grams.tolist()) for one in vectors],
        [reductions.statement_losses(JANUARY, one) for one in (RIDES, POWER)],
        reductions.histogram_losses(JANUARY, CELLS, roster),
        reductions.pack_totals(JANUARY),
        reductions.insufficient_history(JANUARY),
    ]


@pytest.mark.parametrize("spark", [LOCAL], indirect=True, scope="session")
def test_a_node_on_spark_releases_the_same_figures(spark: Engine, home: Home) -> None:
    with opened_on(home, spark) as workspace:
        list(workspace.read())
        found = figures(workspace.reductions)
    with home.opened() as workspace:
        (workspace.home / "reductions" / "2021-01" / "inputs.json").unlink()
        expected = figures(workspace.reductions)
    assert found == expected
    assert sum(expected[0][0][1]) > 0
    assert all(any(grams) for _, grams in expected[1])


def test_node_toml_alone_moves_a_node_to_a_cluster(cluster: Cluster, tmp_path: Path) -> None:
    said = []
    settings = {**cluster.settings, "spark.cores.max": "1"}
    on_cluster = format_toml({"engine": {"at": cluster.master, "spark": settings}})
    for name, engine in (("on_duckdb", ""), ("on_cluster", on_cluster)):
        home = home_at(tmp_path / name, TRIPS, METERS, REGISTER, engine)
        write_sources(home)
        cgsp_node(home, "ingest")
        said.append(json.loads(cgsp_node(home, "status", "--epoch", "2021-01", "--json"))["epochs"])
    assert said[0] == said[1]
    assert said[0]["2021-01"]["reductions_mg"] > 0


def cgsp_node(home: Home, *arguments: str) -> str:
    program = Path(sys.executable).with_name("cgsp-node")
    command = [str(program), arguments[0], "--home", str(home.folder)]
    return subprocess.run([*command, *arguments[1:]], capture_output=True, text=True, check=True).stdout
