"""What the node's data plane costs: raw files to activities, activities to statements and cells.

Every job runs in a process of its own, beside the floor (scanning and hashing the same file) and beside SQL
somebody wrote by hand for this one job, in turns, so that what else the machine does meets all three. CPU
seconds are the least of the rounds, peaks the most. Results must be equal, else nothing is printed. A table
on standard output and .bench/node.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.node_jobs import Place, write_raw

OUT = Path(".bench")
MEMORY_LIMIT_MB = 3000
THREADS = 2
# Above this a file is measured once: a round takes minutes.
ROUNDS_ROWS_MAX = 10_000_000
GOAL_ROWS_MIN = 10_000_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What a job took: the least CPU and wall seconds, the most memory, and the digest of its result."""

    cpu_seconds: float
    wall_seconds: float
    peak_mib: int
    digest: str


@dataclass(frozen=True, slots=True)
class Row:
    """One job of the node beside its floor and beside hand-written SQL."""

    job: str
    rows: int
    rows_a_second: int
    cpu_seconds: float
    peak_mib: int
    floor_cpu_seconds: float
    times_floor: float
    by_hand_cpu_seconds: float
    by_hand_peak_mib: int
    times_by_hand: float
    goal: str


def run(job: str, place: Place) -> Taken:
    """Run one job in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.node_jobs", job, json.dumps(place.to_json())],
        stdout=subprocess.PIPE,
        check=True,
    )
    return Taken(**json.loads(done.stdout.splitlines()[-1]))


def measured(jobs: Sequence[str], place: Place, rounds: int) -> dict[str, Taken]:
    """Run jobs in turns and keep the least seconds and the highest peak of each."""
    runs: dict[str, list[Taken]] = {job: [] for job in jobs}
    for _ in range(rounds):
        for job in jobs:
            runs[job].append(run(job, place))
    return {
        job: Taken(
            min(one.cpu_seconds for one in taken),
            min(one.wall_seconds for one in taken),
            max(one.peak_mib for one in taken),
            taken[-1].digest,
        )
        for job, taken in runs.items()
    }


def rows_of(place: Place, rounds: int, kind: str) -> Iterator[Row]:
    """Measure reading the raw file, then the month's statements and cells of what was read."""
    # Below this what a process does once counts as much as the rows do.
    goal_of_reduce = "<= 1.1 by hand, <= 8 floors" if place.rows >= GOAL_ROWS_MIN else ""
    for stage, goal in (("read", ""), ("reduce", goal_of_reduce)):
        found = measured([f"{stage}-floor", f"{stage}-node", f"{stage}-by-hand"], place, rounds)
        floor, node, by_hand = found.values()
        if node.digest != by_hand.digest:
            raise SystemExit(f"{stage} of {place.rows} rows: the node and the hand-written SQL differ")
        yield Row(
            job=f"{kind} to activities" if stage == "read" else "activities to statements, cells",
            rows=place.rows,
            rows_a_second=round(place.rows / node.wall_seconds),
            cpu_seconds=round(node.cpu_seconds, 2),
            peak_mib=node.peak_mib,
            floor_cpu_seconds=round(floor.cpu_seconds, 2),
            times_floor=round(node.cpu_seconds / floor.cpu_seconds, 2),
            by_hand_cpu_seconds=round(by_hand.cpu_seconds, 2),
            by_hand_peak_mib=by_hand.peak_mib,
            times_by_hand=round(node.cpu_seconds / by_hand.cpu_seconds, 2),
            goal=goal,
        )


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Give the lines of the table."""
    yield (
        f"{'job':<32}{'rows':>12}{'rows/s':>11}{'CPU s':>9}{'peak MiB':>10}"
        f"{'floor':>8}{'x floor':>9}{'by hand':>9}{'x hand':>8}  goal"
    )
    for one in rows:
        yield (
            f"{one.job:<32}{one.rows:>12,}{one.rows_a_second:>11,}{one.cpu_seconds:>9.2f}{one.peak_mib:>10,}"
            f"{one.floor_cpu_seconds:>8.2f}{one.times_floor:>9.2f}{one.by_hand_cpu_seconds:>9.2f}"
            f"{one.times_by_hand:>8.2f}  {one.goal}"
        )


def main() -> None:
    """Measure what is asked for and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parquet", type=int, nargs="*", default=[1_000_000, 10_000_000, 50_000_000])
    parser.add_argument("--csv", type=int, nargs="*", default=[10_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    wanted = [("parquet", count) for count in asked.parquet] + [("csv", count) for count in asked.csv]
    rows: list[Row] = []
    for kind, count in wanted:
        folder = OUT / "node"
        shutil.rmtree(folder, ignore_errors=True)
        place = Place(folder.absolute(), kind, count, MEMORY_LIMIT_MB, THREADS)
        try:
            write_raw(place)
            rounds = asked.rounds if count <= ROUNDS_ROWS_MAX else 1
            for row in rows_of(place, rounds, kind):
                rows.append(row)
                print(list(table([row]))[-1], file=sys.stderr, flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(table(rows)))
    print(f"memory_limit_mb = {MEMORY_LIMIT_MB}, threads = {THREADS}; goal of memory: peak <= 4096 MiB")
    OUT.mkdir(exist_ok=True)
    report: dict[str, Any] = {"memory_limit_mb": MEMORY_LIMIT_MB, "threads": THREADS}
    (OUT / "node.json").write_text(
        json.dumps(report | {"rows": [asdict(one) for one in rows]}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
