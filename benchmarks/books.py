"""What the hub's books cost on each store: a close, redemptions, a reconciliation, each beside its floor.

Floors are measured in the same run: rows that are ready loaded without a key (COPY BINARY, executemany), one
UPDATE and one INSERT at the same durability, one scan. With PGLEDGER_SQL=…/pgledger.sql (a checkout of
pgr0ss/pgledger) its transfers run on the same server. Wall seconds; a busy machine shows in all of them.
A table on standard output and .bench/books.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import books_redeem
from benchmarks.books_close import ENTERPRISES, Close, Released, close_all
from hub.store.location import Location, PostgresServer, SqliteFile
from tests.postgres import running_server
from tests.unit.hub.stores import fresh_schema

# fsync and synchronous_commit as a server has them by default.
DURABLE = "-c shared_buffers=512MB -c max_wal_size=4GB"
CLIENTS = (1, 8)
ROUNDS = 5
# Of a transfer with its keys.
BYTES_MAX = 200
OUT = Path(".bench/books.json")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing beside its floor: rows or acts a second, or bytes; the ratio says ours over the floor's."""

    store: str
    what: str
    ours: int
    floor: str
    floor_rate: int
    ratio: float
    goal: str


def close_rows(store: str, count: int, close: Close) -> Iterator[Row]:
    """Put a close beside bare loads, times its floor's seconds."""
    bare, goal = ("COPY BINARY", "<= 4") if store == "postgresql" else ("executemany", "<= 6")
    loaded, statements = 2 * count, ENTERPRISES * count
    yield _slower(store, "close: load", loaded, close.load, f"{bare}, the same rows", close.bare_load, goal)
    yield _slower(
        store, "close: whole", statements, close.whole, f"{bare}, its statements", close.bare_statements, ""
    )
    yield _slower(store, "reconciliation", count, close.reconcile, "one scan of credits", close.scan, "")


def _slower(store: str, what: str, count: int, seconds: float, floor: str, least: float, goal: str) -> Row:
    return Row(
        store, what, round(count / seconds), floor, round(count / least), round(seconds / least, 2), goal
    )


def measure_closes(count: int, folder: Path, dsn: str) -> list[Row]:
    """Close into each store, once."""
    (folder / "released").mkdir()
    released = Released(folder / "released", count)
    rows: list[Row] = []
    with fresh_schema(dsn) as server:
        places: dict[str, Location] = {"sqlite": SqliteFile(folder / "hub.sqlite"), "postgresql": server}
        for store, location in places.items():
            rows += close_rows(store, count, close_all(location, released, folder))
    return rows


def measure_redemptions(persons: int, seconds: float, folder: Path, dsn: str) -> list[Row]:
    """Redeem at each number of clients, interleaved; the median of the rounds."""
    with ExitStack() as stack:
        server: PostgresServer = stack.enter_context(fresh_schema(dsn))
        ours = {
            "sqlite": stack.enter_context(books_redeem.ledger(folder / "a", persons, None)),
            "postgresql": stack.enter_context(books_redeem.ledger(folder / "b", persons, server)),
        }
        ways: dict[str, books_redeem.Connect] = {
            "sqlite raw": books_redeem.raw_sqlite(folder / "raw.sqlite", persons),
            "sqlite": ours["sqlite"].connect,
            "postgresql raw": books_redeem.raw_postgres(dsn, persons),
            "postgresql": ours["postgresql"].connect,
        }
        given = os.environ.get("PGLEDGER_SQL")
        if given:
            ways["pgledger"] = books_redeem.pgledger(dsn, Path(given), persons)
        rates: dict[tuple[str, int], list[float]] = {}
        for _ in range(ROUNDS):
            for name, connect in ways.items():
                for clients in CLIENTS:
                    rate = books_redeem.measure(clients, seconds, connect)
                    rates.setdefault((name, clients), []).append(rate.per_second)
        sizes = [
            Row(store, "bytes per transfer", used, "at most", BYTES_MAX, round(used / BYTES_MAX, 2), "<= 1")
            for store, one in ours.items()
            for used in [one.bytes_per_transfer()]
        ]
    return [*_redeem_rows({key: statistics.median(found) for key, found in rates.items()}), *sizes]


def _redeem_rows(rates: dict[tuple[str, int], float]) -> Iterator[Row]:
    for store in ("sqlite", "postgresql"):
        for clients in CLIENTS:
            ours, raw = rates[store, clients], rates[f"{store} raw", clients]
            what = f"redemption, {clients} client{'s' if clients > 1 else ''}"
            goal = ">= 0.75" if clients > 1 else ""
            yield Row(store, what, round(ours), "UPDATE + INSERT", round(raw), round(ours / raw, 2), goal)
            other = rates.get(("pgledger", clients))
            if store == "postgresql" and other is not None:
                goal = ">= 2" if clients > 1 else ""
                yield Row(store, what, round(ours), "pgledger", round(other), round(ours / other, 2), goal)


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--persons", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    asked = parser.parse_args()
    OUT.parent.mkdir(exist_ok=True)
    # On the disk that is written to: durability is part of what is measured.
    with tempfile.TemporaryDirectory(dir=OUT.parent) as made, running_server(DURABLE) as dsn:
        folder = Path(made)
        rows = measure_closes(asked.accounts, folder, dsn)
        rows += measure_redemptions(asked.persons, asked.seconds, folder, dsn)
    print(f"{'store':<12}{'what':<24}{'per second':>12}  {'floor':<26}{'per second':>12}{'ratio':>8}  goal")
    for one in rows:
        print(
            f"{one.store:<12}{one.what:<24}{one.ours:>12,}  {one.floor:<26}{one.floor_rate:>12,}"
            f"{one.ratio:>8.2f}  {one.goal}"
        )
    if not os.environ.get("PGLEDGER_SQL"):
        print("pgledger: not measured, PGLEDGER_SQL names no file")
    load = round(os.getloadavg()[0], 1)
    print(
        f"load average {load} on {os.cpu_count()} cores; close and reconciliation: times the floor's seconds"
    )
    print("redemption: tickets are signed before the clock runs, for that is the enterprise's work")
    OUT.write_text(json.dumps({"rows": [asdict(one) for one in rows], "load": load}, indent=2) + "\n")


if __name__ == "__main__":
    main()
