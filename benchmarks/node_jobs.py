"""The jobs of the node's benchmark, one a process: the node's own, the floor's, and SQL written by hand.

The raw file is one month of invented bicycle rides, fifty a person on average. `by hand` is what somebody who
knows DuckDB writes for exactly this file, this methodology and these cells, and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from protos.epochs import Epoch, end_day, first_day

if TYPE_CHECKING:
    from enterprise_node.reductions import Reductions
    from enterprise_node.workspace import Workspace

EPOCH = Epoch(202012)
REGIONS = tuple(f"region-{number:02d}" for number in range(31))
ROWS_A_PERSON = 50
DAY_CLAMP_GRAMS, MONTH_CLAMP_GRAMS = 1_000, 5_000
PACK = Path(__file__).parents[1] / "packs" / "trv.shared_bike" / "1"
# The pack's figures, as somebody would write them down: 48.7 mg a metre, at most 30 km a day.
MG_PER_10_M, DAY_METRES_MAX = 487, 30_000

_CONFIGURATION = """
enterprise_id = "bench"
name = "Bench"
name_zh = "基准"
region = "{region}"
packs = ["{pack}"]
data = "synthetic"

[engine]
memory_limit_mb = {memory}
threads = {threads}

[[source]]
id = "rides"
path = "{path}"
record = ["ride"]
person = "mobile"
activity = "trip.bicycle"
region = {{ column = "region" }}

[source.columns]
ride = "text"
mobile = {{ type = "text", private = true }}
start = "{start}"
km = {{ type = "decimal", decimals = 3 }}
region = "text"

[source.time]
column = "start"

[source.inputs]
distance = {{ column = "km", unit = "km" }}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a benchmark's files lie, of which kind and how many rows, and what a job may use."""

    folder: Path
    kind: str
    rows: int
    memory_limit_mb: int
    threads: int

    @property
    def raw(self) -> Path:
        """Give the raw file."""
        return self.folder / f"rides.{self.kind}"

    @property
    def home(self) -> Path:
        """Give the node's home."""
        return self.folder / "home"

    @property
    def persons(self) -> int:
        """Count the persons there are at most."""
        return max(1, self.rows // ROWS_A_PERSON)

    def to_json(self) -> dict[str, Any]:
        """Say it to a job's process."""
        return asdict(self) | {"folder": str(self.folder)}

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open DuckDB under the same limits as the node's."""
        spill = self.folder / "spill"
        spill.mkdir(exist_ok=True)
        limits = {"memory_limit": f"{self.memory_limit_mb}MB", "threads": self.threads}
        return duckdb.connect(config={**limits, "temp_directory": str(spill)})

    def scan(self) -> str:
        """Give the raw file as a FROM item with declared types."""
        if self.kind == "parquet":
            return f"read_parquet('{self.raw}')"
        types = (
            "{'ride':'VARCHAR','mobile':'VARCHAR','start':'TIMESTAMP','km':'DECIMAL(9,3)','region':'VARCHAR'}"
        )
        return f"read_csv('{self.raw}', header=true, columns={types})"


def write_raw(place: Place) -> None:
    """Invent the raw file: rides in the order of time, of persons and regions as they come."""
    place.folder.mkdir(parents=True, exist_ok=True)
    seconds = (end_day(EPOCH) - first_day(EPOCH)) * 86_400
    person = f"hash(i, 1) % {place.persons}"
    sql = (
        f"SELECT 'r' || i AS ride, '138' || lpad(CAST({person} AS VARCHAR), 8, '0') AS mobile, "
        f"TIMESTAMP '2020-12-01' + INTERVAL (i * {seconds} // {place.rows}) SECOND AS start, "
        "CAST((200 + hash(i, 2) % 9800) / 1000 AS DECIMAL(9,3)) AS km, "
        f"'region-' || lpad(CAST({person} % {len(REGIONS)} AS VARCHAR), 2, '0') AS region "
        f"FROM range({place.rows}) AS t(i)"
    )
    options = "FORMAT parquet, COMPRESSION zstd" if place.kind == "parquet" else "FORMAT csv, HEADER"
    with place.connect() as connection:
        connection.execute(f"COPY ({sql}) TO '{place.raw}' ({options})")
    place.home.mkdir(mode=0o700)
    text = _CONFIGURATION.format(
        region=REGIONS[0],
        pack=PACK,
        memory=place.memory_limit_mb,
        threads=place.threads,
        path=place.raw,
        start="timestamp" if place.kind == "parquet" else "text",
    )
    (place.home / "node.toml").write_text(text)


def _opened(place: Place) -> Workspace:
    from enterprise_node.workspace import open_workspace

    return open_workspace(place.home)


def _kept(place: Place) -> str:
    """Give the activities the node keeps as a FROM item."""
    return f"read_parquet('{place.home}/activities/*/*.parquet')"


def read_floor(place: Place) -> str:
    """Scan and hash the raw file."""
    with place.connect() as connection:
        return _hashed(connection, place.scan())


def read_node(place: Place) -> str:
    """Let the node read its source; give the digest of what it keeps."""
    import shutil

    for name in ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm"):
        (place.home / name).unlink(missing_ok=True)
    for name in ("activities", "reductions"):
        shutil.rmtree(place.home / name, ignore_errors=True)
    workspace = _opened(place)
    try:
        [report] = workspace.read()
        assert report.outcome is not None
        assert report.outcome.taken == place.rows
    finally:
        workspace.close()
    return "read"


def read_by_hand(place: Place) -> str:
    """Number persons, see that records are single and days not crowded, convert, write Parquet."""
    with place.connect() as connection:
        run = connection.execute
        run(
            "CREATE TEMP TABLE numbers AS SELECT mobile, row_number() OVER (ORDER BY mobile) AS number "
            f"FROM (SELECT DISTINCT mobile FROM {place.scan()})"
        )
        target = place.folder / "by-hand.parquet"
        run(
            "COPY (SELECT ride AS record, n.number AS person, "
            "CAST(CAST(start AS DATE) - DATE '1970-01-01' AS INTEGER) AS day, region, "
            f"CAST(km * 1000 AS BIGINT) AS distance FROM {place.scan()} r JOIN numbers n USING (mobile) "
            f"WHERE km BETWEEN 0 AND 1000 AND ride IS NOT NULL) "
            f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )
        [[records, rows]] = run(f"SELECT count(DISTINCT record), count(*) FROM '{target}'").fetchall()
        [[crowd]] = run(
            f"SELECT max(n) FROM (SELECT count(*) AS n FROM '{target}' GROUP BY person, day)"
        ).fetchall()
        assert records == rows == place.rows
        assert crowd < 100
        target.unlink()
    return "read"


def reduce_floor(place: Place) -> str:
    """Scan and hash the kept activities."""
    with place.connect() as connection:
        return _hashed(connection, _kept(place))


def reduce_node(place: Place) -> str:
    """Let the node make the month's statements and cells, as a release does."""
    import shutil

    shutil.rmtree(place.home / "reductions", ignore_errors=True)
    workspace = _opened(place)
    try:
        return _digest(*_released(workspace.reductions, place.persons))
    finally:
        workspace.close()


def _released(reductions: Reductions, persons: int) -> tuple[Any, ...]:
    from enterprise_node.reductions import HistogramSpec, MeasureSpec

    id_ = next(iter(reductions.packs))
    spec = HistogramSpec(REGIONS, ("travel",), (id_,), (id_,), MONTH_CLAMP_GRAMS)
    tables = reductions.histogram(EPOCH, spec, np.arange(1, persons + 1))
    vector = reductions.statement_vector(EPOCH, MeasureSpec("rides", (id_,), DAY_CLAMP_GRAMS))
    return vector.persons, vector.grams, *(part for one in tables for part in (one.sums, one.counts))


def reduce_by_hand(place: Place) -> str:
    """Sum person-days once, then clamp and sum them to statements and to cells."""
    with place.connect() as connection:
        run = connection.execute
        listed = ", ".join(f"('{one}', {len(REGIONS) - 1 - index})" for index, one in enumerate(REGIONS))
        run(
            f"CREATE TEMP TABLE days AS SELECT person, day, least(sum(distance), {DAY_METRES_MAX})::BIGINT "
            f"* {MG_PER_10_M} // 10 AS mg, max(code) AS code FROM {_kept(place)} "
            f"LEFT JOIN (VALUES {listed}) AS r(region, code) USING (region) "
            f"WHERE day >= {first_day(EPOCH)} AND day < {end_day(EPOCH)} GROUP BY person, day"
        )
        run(f"CREATE TEMP TABLE roster AS SELECT i AS person FROM range(1, {place.persons + 1}) AS t(i)")
        statement = run(
            "SELECT person, coalesce(grams, 0) AS grams FROM roster LEFT JOIN (SELECT person, "
            f"(sum(least(mg, {DAY_CLAMP_GRAMS * 1000})) // 1000)::BIGINT AS grams FROM days GROUP BY person) "
            "USING (person) ORDER BY person"
        ).fetchnumpy()
        clamp = MONTH_CLAMP_GRAMS
        cells = run(
            f"WITH months AS (SELECT sum(mg)::BIGINT AS mg, max(day * {len(REGIONS)} + code) "
            f"% {len(REGIONS)} AS code FROM days SEMI JOIN roster USING (person) GROUP BY person) "
            "SELECT code, "
            f"sum(CASE WHEN mg <= {clamp * 1000} THEN mg // 1000 ELSE {clamp} END)::BIGINT, count(*) "
            "FROM months GROUP BY code"
        ).fetchall()
    sums, counts = np.zeros(len(REGIONS), dtype=np.int64), np.zeros(len(REGIONS), dtype=np.int64)
    for code, grams, persons in cells:
        sums[len(REGIONS) - 1 - code], counts[len(REGIONS) - 1 - code] = grams, persons
    # Nobody's reductions are pooled here.
    methods = np.array([sums.sum(), 0]), np.array([counts.sum(), 0])
    return _digest(statement["person"], statement["grams"], sums, counts, *methods)


def _hashed(connection: duckdb.DuckDBPyConnection, scan: str) -> str:
    return str(connection.execute(f"SELECT bit_xor(hash(r)), count(*) FROM {scan} AS r").fetchall())


def _digest(*arrays: Any) -> str:
    hasher = hashlib.sha256()
    for array in arrays:
        hasher.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return hasher.hexdigest()


JOBS: dict[str, Callable[[Place], str]] = {
    "read-floor": read_floor,
    "read-node": read_node,
    "read-by-hand": read_by_hand,
    "reduce-floor": reduce_floor,
    "reduce-node": reduce_node,
    "reduce-by-hand": reduce_by_hand,
}


def main(job: str, told: str) -> None:
    """Run one job and say what it took."""
    given = json.loads(told)
    place = Place(**(given | {"folder": Path(given["folder"])}))
    # What a process imports once is no part of a job.
    for module in ("enterprise_node.workspace", "enterprise_node.reductions", "enterprise_node.sessions"):
        importlib.import_module(module)
    before_cpu, before = time.process_time(), time.perf_counter()
    digest = JOBS[job](place)
    cpu, wall = time.process_time() - before_cpu, time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps({"cpu_seconds": cpu, "wall_seconds": wall, "peak_mib": peak, "digest": digest}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
