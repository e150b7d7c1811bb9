"""What evidence costs: appending to the log, proving, verifying a million statements; beside floors.

CPU seconds of one process, best of the runs; a floor is the part nobody can do without (hashing the same
bytes once). A table on standard output and .bench/evidence.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hub.log import LogWriter
from privacy import checkpoint, merkle
from privacy.checkpoint import Checkpoint
from privacy.keys import SigningKey
from privacy.merkle import leaf_hash
from privacy.tiles import HashReader, Tile
from protos.epochs import Epoch, next_epoch

ORIGIN = "bench.example/log"
KEY = SigningKey(hashlib.sha256(b"bench").digest(), name="bench")
ENTRY_BYTES = 1024
BATCH = 1000
RUNS = 3
FIRST_EPOCH = Epoch(202012)
OUT = Path(".bench/evidence.json")
# What the child of the verification prints last.
_CHILD = """
import json, resource, sys, time
from pathlib import Path
from auditor.app import verify_source
began = time.process_time()
report = verify_source(sys.argv[1], Path(sys.argv[2]), None)
used = time.process_time() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"verdict": report.verdict.value, "cpu": used, "peak_kib": peak}))
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured thing: how many a CPU second, the floor's, and what part of the floor that is."""

    what: str
    count: int
    per_second: int
    floor: str
    floor_per_second: int
    ratio: float


def row(what: str, count: int, seconds: float, floor: str, floor_seconds: float) -> Row:
    """Put a measurement beside its floor."""
    per_second, at_best = count / max(seconds, 1e-9), count / max(floor_seconds, 1e-9)
    return Row(what, count, round(per_second), floor, round(at_best), round(per_second / at_best, 3))


def best(work: Callable[[], object]) -> float:
    """Give the least CPU seconds of a few runs."""
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder on memory where there is one: disks are not what is measured."""
    memory = Path("/dev/shm")
    base = str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="cgsp-bench-", dir=base) as made:
        yield Path(made)


def append_rate(count: int) -> Row:
    """Append entries with leaf hash, tree, tiles and bundles; a checkpoint each thousand."""
    entries = [number.to_bytes(8, "big") * (ENTRY_BYTES // 8) for number in range(count)]

    def work() -> None:
        with folder() as home:
            log = LogWriter(home, ORIGIN, KEY)
            for start in range(0, count, BATCH):
                for data in entries[start : start + BATCH]:
                    log.append(leaf_hash(data), data)
                log.publish()

    floor = best(lambda: [hashlib.sha256(b"\0" + data).digest() for data in entries])
    return row(f"append, {ENTRY_BYTES} B", count, best(work), "leaf hash", floor)


def checkpoint_rate(count: int) -> Row:
    """Sign checkpoints with both algorithms, beside Ed25519 alone."""
    heads = [Checkpoint(ORIGIN, number, merkle.EMPTY_ROOT) for number in range(count)]
    both = best(lambda: [checkpoint.sign_checkpoint_twice(head, KEY) for head in heads])
    alone = best(lambda: [checkpoint.sign_checkpoint(head, KEY) for head in heads])
    return row("checkpoint, Ed25519 + ML-DSA-44", count, both, "Ed25519 alone", alone)


def proof_rates(size: int, count: int) -> Iterator[Row]:
    """Make proofs from tiles and check them; the floor of checking is its hashes."""
    tree = merkle.Tree(leaf_hash(number.to_bytes(8, "big")) for number in range(size))
    root, step = tree.root(), max(size // count, 1)
    indices = range(0, size, step)[:count]

    def tile(wanted: Tile) -> bytes:
        return tree.nodes(8 * (wanted.level or 0), wanted.index * 256, wanted.width)

    def make() -> list[list[bytes]]:
        reader = HashReader(tile, size)
        return [reader.inclusion_proof(index) for index in indices]

    proofs = make()

    def check() -> None:
        for index, proof in zip(indices, proofs, strict=True):
            merkle.verify_inclusion(leaf_hash(index.to_bytes(8, "big")), index, size, proof, root)

    hashes = [one for proof in proofs for one in proof]
    floor = best(lambda: [hashlib.sha256(b"\1" + one + one).digest() for one in hashes])
    yield row("inclusion proof made from tiles", count, best(make), "its hashes", floor)
    yield row("inclusion proof checked", count, best(check), "its hashes", floor)


def verify_rate(persons: int, epochs: int) -> tuple[Row, dict[str, Any]]:
    """Verify a whole bundle in a process of its own; statements a second, peak memory."""
    with folder() as home:
        trust_root = _write_bundle(home, persons, epochs)
        files = [path for path in (home / "bundle").rglob("*") if path.is_file()]
        floor = best(lambda: [hashlib.sha256(path.read_bytes()).digest() for path in files])
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(home / "bundle"), str(trust_root)],
            capture_output=True,
            check=True,
        )
    told = json.loads(done.stdout.splitlines()[-1])
    if told["verdict"] != "PASS":
        raise SystemExit(f"the bundle does not verify: {told['verdict']}")
    count = persons * epochs
    figures = {"peak_rss_mib": told["peak_kib"] >> 10, "statements": count}
    return row(
        "statements verified and replayed", count, told["cpu"], "SHA-256 of the bundle", floor
    ), figures


def _write_bundle(home: Path, persons: int, epochs: int) -> Path:
    """Let the simulated federation release and close as many epochs as are wanted."""
    from tests.simulator import closed
    from tests.unit.auditor.city import parts

    wanted = [FIRST_EPOCH]
    while len(wanted) < epochs:
        wanted.append(next_epoch(wanted[-1]))
    made = parts()
    # All persons at one enterprise: what is verified is rows, not parties.
    one = replace(made["enterprises"][0], persons=range(persons), quota=2 * persons)
    federation = closed(*wanted, **{**made, "enterprises": [one]})
    return federation.write_bundle(home / "bundle")


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=50_000)
    parser.add_argument("--proofs", type=int, default=10_000)
    parser.add_argument("--tree", type=int, default=1 << 18)
    parser.add_argument("--persons", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=20)
    asked = parser.parse_args()
    verified, figures = verify_rate(asked.persons, asked.epochs)
    rows = [
        append_rate(asked.entries),
        checkpoint_rate(200),
        *proof_rates(asked.tree, asked.proofs),
        verified,
    ]
    print(f"{'what':<34}{'count':>10}{'per CPU s':>12}  {'floor':<22}{'per CPU s':>12}{'of floor':>10}")
    for one in rows:
        print(
            f"{one.what:<34}{one.count:>10,}{one.per_second:>12,}  {one.floor:<22}"
            f"{one.floor_per_second:>12,}{one.ratio:>10.3f}"
        )
    print(f"verification: peak memory {figures['peak_rss_mib']} MiB for {figures['statements']:,} statements")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(
        json.dumps({"rows": [asdict(one) for one in rows], "verification": figures}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
