"""What privacy costs: noise for statements, histograms beside none, and beside two other libraries.

CPU seconds, least of some rounds, all of one run on one machine; ratios are the result, seconds are not. All
aggregations run on one thread, since PipelineDP's local backend has no more: two would cost others' caches.
Libraries that are not installed are skipped, and the table says so (requirements-bench.txt brings them).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import (
    Histogram,
    Relations,
    dense_tables,
    histogram_sql,
    plan_histogram,
)
from engine.duckdb_engine import DuckDbEngine
from privacy import digits, noise
from protos.epochs import Epoch, first_day
from runtime.pack_files import load_pack

EPOCH = Epoch(202012)
REGIONS = tuple(f"region-{number:02d}" for number in range(31))
CLAMP_GRAMS = 5_000
ROWS_A_PERSON = 11
THREADS = 1
SUM_EPSILON, COUNT_EPSILON = 0.4, 0.1
PACK = Path(__file__).parents[1] / "packs" / "trv.shared_bike" / "1"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what was done, CPU and wall seconds, CPU beside what it is compared with, the goal."""

    job: str
    cpu_seconds: float | None
    wall_seconds: float | None
    ratio: float | None = None
    goal: str = ""


def least(work: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Run some rounds and give the least CPU and wall seconds."""
    taken = []
    for _ in range(rounds):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        taken.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(taken)


def noise_rows(statements: int, rounds: int) -> list[Row]:
    """Draw one noise for each of many statements, with both samplers and beside plain random bytes."""
    values, scale = np.zeros(statements, dtype=np.int64), 1_000
    floor = least(lambda: os.urandom(32 * statements), rounds)
    opendp = least(lambda: noise.discrete_laplace(values, scale), rounds)
    own = least(lambda: digits.discrete_laplace(values, scale, os.urandom), rounds)
    goal = f"≤ {15 * statements / 1e6:g} core-seconds"
    return [
        Row("32 random bytes a statement", *_rounded(floor), 1.0),
        Row("noise, OpenDP (default)", *_rounded(opendp), round(opendp[0] / floor[0], 1), goal),
        Row("noise, binary digits (on request)", *_rounded(own), round(own[0] / floor[0], 1)),
    ]


@dataclass(frozen=True, slots=True)
class Rides:
    """Trips of a city's riders, one region each, as columns and in an engine."""

    engine: DuckDbEngine
    pack: CompiledPack
    columns: dict[str, Any]

    @property
    def relations(self) -> Relations:
        """Give where the rides lie."""
        return Relations(activities={self.pack.pack.activity.code: "rides"}, persons="persons")

    @property
    def histogram(self) -> Histogram:
        """Give the two tables' plan."""
        return plan_histogram(
            [self.pack],
            pack_order=[self.pack.pack.id],
            regions=REGIONS,
            domains=[self.pack.pack.domain],
            month_clamp_grams=CLAMP_GRAMS,
        )


def make_rides(engine: DuckDbEngine, rows: int) -> Rides:
    """Make a month of rides of log-normal lengths."""
    draw, persons = np.random.default_rng(1), max(1, rows // ROWS_A_PERSON)
    person = draw.integers(1, persons + 1, rows)
    home = draw.integers(0, len(REGIONS), persons + 1)
    columns = {
        "record": np.arange(rows).astype(str),
        "person": person,
        "day": draw.integers(0, 31, rows).astype(np.int32) + first_day(EPOCH),
        "region": np.array(REGIONS)[home[person]],
        "distance": np.round(draw.lognormal(math.log(2_000), 0.8, rows)).astype(np.int64),
    }
    kinds = {"record": "VARCHAR", "person": "BIGINT", "day": "INTEGER", "region": "VARCHAR"}
    engine.register("rides", columns, kinds | {"distance": "BIGINT"})
    known = np.arange(1, persons + 1)
    contracts = {"person": known, "since_day": np.zeros_like(known), "until_day": known * 0 + 2**31 - 1}
    kinds = {"person": "BIGINT", "since_day": "INTEGER", "until_day": "INTEGER"}
    engine.register("persons", contracts, kinds)
    return Rides(engine, compile_pack(load_pack(PACK)), columns)


def private(rides: Rides) -> dict[str, Any]:
    """Clamp, sum and noise both tables as a node does."""
    tables = dense_tables(
        rides.histogram,
        rides.engine.rows(histogram_sql(rides.histogram, rides.relations, EPOCH)),
    )
    sums, counts = math.ceil(CLAMP_GRAMS / SUM_EPSILON), math.ceil(4 / COUNT_EPSILON)
    return {
        name: (
            noise.discrete_laplace(np.array(table.grams, dtype=np.int64), sums),
            noise.discrete_laplace(np.array(table.persons, dtype=np.int64), counts),
        )
        for name, table in tables.items()
    }


def without_privacy(rides: Rides) -> list[Any]:
    """Aggregate by person and then into both tables, with neither clamp nor noise."""
    pack = rides.pack
    month = pack.person_month_sql(rides.relations.of(pack), "persons", EPOCH, REGIONS)
    return rides.engine.rows(
        f"WITH m AS (SELECT person, mg, region_code FROM ({month}) AS x WHERE records > 0) "
        "SELECT 0, region_code, CAST(SUM(mg) AS BIGINT), COUNT(person) FROM m GROUP BY region_code UNION ALL "
        "SELECT 1, 0, CAST(SUM(mg) AS BIGINT), COUNT(person) FROM m"
    )


def histogram_rows(rides: Rides, rows: int, rounds: int) -> list[Row]:
    """Compare the private histogram with the same aggregation without privacy and with two libraries."""
    plain = least(lambda: without_privacy(rides), rounds)
    ours = least(lambda: private(rides), rounds)
    shown = [
        Row(f"per-person aggregation without privacy, {rows:,} rows", *_rounded(plain), 1.0),
        Row("private histogram", *_rounded(ours), round(ours[0] / plain[0], 2), "≤ 1.3"),
    ]
    for name, package, work, goal in (
        ("PipelineDP, local", "pipeline_dp", pipeline_dp, "≥ 20 × ours"),
        ("OpenDP's Polars API", "polars", opendp_polars, "≥ 5 × ours"),
    ):
        if importlib.util.find_spec(package) is None:
            shown.append(Row(f"{name}: not installed, skipped", None, None, goal=goal))
            continue
        taken = least(work(rides), rounds)
        shown.append(Row(name, *_rounded(taken), round(taken[0] / ours[0], 1), goal))
    return shown


def pipeline_dp(rides: Rides) -> Callable[[], Any]:
    """Prepare sum and count by region with PipelineDP's local backend, one table of our two, in kilograms."""
    import pipeline_dp as library  # type: ignore[import-not-found,unused-ignore]

    rows = list(
        zip(
            rides.columns["person"].tolist(),
            rides.columns["region"].tolist(),
            (rides.columns["distance"] * 0.0000487).tolist(),
            strict=True,
        )
    )
    limits = library.AggregateParams(
        metrics=[library.Metrics.SUM, library.Metrics.COUNT],
        noise_kind=library.NoiseKind.LAPLACE,
        max_partitions_contributed=1,
        max_contributions_per_partition=20,
        min_value=0,
        max_value=0.5,
    )
    read = library.DataExtractors(
        privacy_id_extractor=lambda row: row[0],
        partition_extractor=lambda row: row[1],
        value_extractor=lambda row: row[2],
    )

    def run() -> list[Any]:
        accountant = library.NaiveBudgetAccountant(total_epsilon=1, total_delta=1e-9)
        engine = library.DPEngine(accountant, library.LocalBackend())
        result = engine.aggregate(rows, limits, read, public_partitions=list(REGIONS))
        accountant.compute_budgets()
        return list(result)

    return run


def opendp_polars(rides: Rides) -> Callable[[], Any]:
    """Prepare sum and count by region with OpenDP's Polars API, one table of our two."""
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import opendp.prelude
    import polars as pl  # type: ignore[import-not-found,unused-ignore]

    dp: Any = opendp.prelude
    dp.enable_features("contrib")
    frame = pl.LazyFrame(
        {
            "person": rides.columns["person"],
            "region": rides.columns["region"],
            "grams": (rides.columns["distance"] * 487) // 10_000,
        }
    )
    keys = pl.LazyFrame({"region": list(REGIONS)})

    def run() -> Any:
        # A context answers one query and is used up.
        context = dp.Context.compositor(
            data=frame,
            privacy_unit=dp.unit_of(contributions=1, identifier=pl.col("person")),
            privacy_loss=dp.loss_of(epsilon=1.0),
            split_evenly_over=1,
            margins=[dp.polars.Margin(by=[], max_length=len(rides.columns["person"]), max_groups=64)],
        )
        asked = (
            context.query()
            .truncate_per_group(20)
            .group_by("region")
            .agg(dp.len(), pl.col("grams").fill_null(0).dp.sum((0, 500)))
            .with_keys(keys)
        )
        return asked.release().collect()

    return run


def _rounded(taken: tuple[float, float]) -> tuple[float, float]:
    return round(taken[0], 3), round(taken[1], 3)


def table(rows: list[Row]) -> str:
    """Write the rows as a Markdown table."""
    lines = ["| job | CPU s | wall s | ratio | goal |", "|---|---|---|---|---|"]
    for row in rows:
        cells = ("–" if value is None else value for value in (row.cpu_seconds, row.wall_seconds, row.ratio))
        lines.append(f"| {row.job} | {' | '.join(map(str, cells))} | {row.goal} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(".bench/privacy.json"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = DuckDbEngine(memory_limit_mb=2_048, threads=THREADS, temp_dir=Path(folder))
        rides = make_rides(engine, asked.rows)
        rows = noise_rows(asked.statements, asked.rounds) + histogram_rows(rides, asked.rows, asked.rounds)
        engine.close()
    described = {"statements": asked.statements, "rows": asked.rows, "results": [asdict(row) for row in rows]}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
