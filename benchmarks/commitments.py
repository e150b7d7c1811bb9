"""What a commitment costs a node: hiding evidence, building the sum tree; beside SHA-256 of the same bytes.

CPU seconds of one process, best of the runs. A leaf comes with its share of the nodes above it and of the
slots' places. A table on standard output and .bench/commitments.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from enterprise_node.commitments import Secrets
from privacy import merkle_sum
from privacy.merkle_sum import evidence_hash
from privacy.sum_tree import Leaves, SumTree

RUNS = 3
OUT = Path(".bench/commitments.json")
DAYS = 20
PACKS = ("trv.shared_bike@1",)


def best(work: Callable[[], Any]) -> float:
    """Give the least CPU seconds of the runs."""
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def leaves_of(slots: int) -> Leaves:
    """Make leaves: every slot was active on so many days."""
    count = slots * DAYS
    generator = np.random.default_rng(1)
    return Leaves(
        place=np.repeat(np.arange(slots, dtype=np.int64), DAYS),
        day=np.tile(np.arange(18_597, 18_597 + DAYS, dtype=np.int64), slots),
        plus=generator.integers(1, 500_000, count),
        minus=np.zeros(count, dtype=np.int64),
        evidence=generator.integers(0, 256, (count, 32), dtype=np.uint8),
    )


def hashed(rows: int, width: int) -> None:
    """Hash so many rows of that width, one after the other: the floor."""
    data, sha256 = bytes(width), hashlib.sha256
    for _ in range(rows):
        sha256(data).digest()


def tree_floor(slots: int) -> None:
    """Hash what the tree hashes: leaves, inner nodes of both trees, places."""
    count = slots * DAYS
    hashed(count, merkle_sum._LEAF.size)
    hashed(count - slots + slots - 1, merkle_sum._NODE.size)
    hashed(slots, merkle_sum._PLACE.size)


def hide(leaves: Leaves) -> None:
    """Salt and hash every leaf's evidence, as a node does once record roots are there."""
    secrets, root = Secrets(bytes(32)), bytes(32)
    for slot, day in zip(leaves.place.tolist(), leaves.day.tolist(), strict=True):
        evidence_hash(secrets.leaf_salt(slot, 0, day), root, PACKS)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=50_000)
    slots = parser.parse_args().slots
    leaves = leaves_of(slots)
    count, numbers = slots * DAYS, np.arange(slots, dtype=np.int64)
    pairs = {
        "sum tree": (lambda: SumTree(numbers, 1, leaves), lambda: tree_floor(slots)),
        # One keyed hash for the salt and one for the evidence.
        "evidence": (lambda: hide(leaves), lambda: hashed(2 * count, 96)),
    }
    rows = []
    for what, (work, floor) in pairs.items():
        used, least = best(work), best(floor)
        rows.append(
            {
                "what": what,
                "leaves": count,
                "leaves_per_second": round(count / used),
                "floor_leaves_per_second": round(count / least),
                "ratio": round(used / least, 2),
            }
        )
        print(
            f"{what:<10} {count:>10,} leaves {count / used:>12,.0f}/s; SHA-256 of the same bytes "
            f"{count / least:>12,.0f}/s; {used / least:.2f} x"
        )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
