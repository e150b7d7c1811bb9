"""What a person costs node and custodian, in raw scalar multiplications of the same run; a table and JSON.

CPU time, medians over rounds, each round beside raw multiplications of its own: the ratios hold on a busy
machine too, the wall times do not.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from privacy import pseudonyms, ristretto, shares, sodium
from privacy.pseudonyms import CustodianAnswer, PseudonymKeyView
from privacy.ristretto import ELEMENT_BYTES
from privacy.shares import Dealing
from privacy.threads import spread

QUORUM = (1, 2)
CUSTODIANS = 3
NODE_GOAL, CUSTODIAN_GOAL = 8.5, 2.6

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: microseconds of CPU a person, and in raw multiplications."""

    threads: int
    raw_us: float
    node_us: float
    node_ratio: float
    custodian_us: float
    custodian_ratio: float
    node_persons_per_second: int
    custodian_persons_per_second: int


@dataclass(slots=True)
class Clock:
    """Adds up CPU and wall time of what it runs."""

    cpu: float = 0.0
    wall: float = 0.0

    def run(self, work: Callable[[], T]) -> T:
        """Run and count."""
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall
        return result

    def over(self, persons: int) -> Clock:
        """Give the times a person."""
        return Clock(self.cpu / persons, self.wall / persons)


def multiply_raw(blinded: bytes, threads: int) -> float:
    """Give the CPU seconds of one multiplication by libsodium alone, on as many threads."""
    multiply = sodium.library().crypto_scalarmult_ristretto255
    elements = [blinded[at : at + ELEMENT_BYTES] for at in range(0, len(blinded), ELEMENT_BYTES)]
    scalar, clock = ristretto.scalar_random(os.urandom), Clock()

    def some_of_them(places: range) -> None:
        out = ctypes.create_string_buffer(ELEMENT_BYTES)
        for place in places:
            multiply(out, scalar, elements[place])

    clock.run(lambda: spread(some_of_them, len(elements), threads))
    return clock.cpu / len(elements)


@dataclass(frozen=True, slots=True)
class Round:
    """One batch through node and quorum: seconds a person, and of one raw multiplication meanwhile."""

    raw: float
    node: Clock
    custodian: Clock


def take_through(dealing: Dealing, identifiers: list[bytes], threads: int) -> Round:
    """Blind, evaluate at each custodian of the quorum, combine; raw multiplications in between."""
    node, custodian = Clock(), Clock()
    batch = node.run(lambda: pseudonyms.blind_batch(identifiers, os.urandom, workers=threads))

    def evaluate(index: int) -> CustodianAnswer:
        share = dealing.shares[index - 1]
        return pseudonyms.evaluate_batch(share, QUORUM, batch.blinded, os.urandom, workers=threads)

    raw = multiply_raw(batch.blinded, threads)
    answers = custodian.run(lambda: [evaluate(index) for index in QUORUM])
    raw = (raw + multiply_raw(batch.blinded, threads)) / 2
    key = PseudonymKeyView(dealing.threshold, dealing.commitments)
    node.run(lambda: pseudonyms.combine_batch(batch, answers, key, QUORUM, workers=threads))
    persons = len(identifiers)
    return Round(raw, node.over(persons), custodian.over(persons * len(QUORUM)))


def measure(persons: int, rounds: int, threads: int) -> Row:
    """Take batches through and give the medians."""
    dealing = shares.deal(threshold=len(QUORUM), count=CUSTODIANS, random=os.urandom)
    identifiers = [b"cn_mobile\x1f138%08d" % number for number in range(persons)]
    taken = [take_through(dealing, identifiers, threads) for _ in range(rounds)]
    median = statistics.median
    return Row(
        threads=threads,
        raw_us=round(median(one.raw for one in taken) * 1e6, 1),
        node_us=round(median(one.node.cpu for one in taken) * 1e6, 1),
        node_ratio=round(median(one.node.cpu / one.raw for one in taken), 2),
        custodian_us=round(median(one.custodian.cpu for one in taken) * 1e6, 1),
        custodian_ratio=round(median(one.custodian.cpu / one.raw for one in taken), 2),
        node_persons_per_second=round(1 / median(one.node.wall for one in taken)),
        custodian_persons_per_second=round(1 / median(one.custodian.wall for one in taken)),
    )


def table(rows: list[Row]) -> str:
    """Write the rows as a Markdown table."""
    lines = [
        "| threads | raw multiplication µs | node µs a person | in raw (goal ≤ 8.5) | custodian µs a person"
        " | in raw (goal ≤ 2.6) | node persons/s | custodian persons/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.threads} | {row.raw_us} | {row.node_us} | {row.node_ratio} | {row.custodian_us}"
        f" | {row.custodian_ratio} | {row.node_persons_per_second:,} | {row.custodian_persons_per_second:,} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(".bench/pseudonyms.json"))
    asked = parser.parse_args()
    rows = [measure(asked.persons, asked.rounds, threads) for threads in (1, 2)]
    described = {
        "library": sodium.provider(),
        "persons": asked.persons,
        "rounds": asked.rounds,
        "quorum": f"{len(QUORUM)} of {CUSTODIANS}",
        "goals": {"node": NODE_GOAL, "custodian": CUSTODIAN_GOAL},
        "rows": [asdict(row) for row in rows],
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(described, indent=2) + "\n")
    print(f"pseudonyms, {described['quorum']}, {asked.persons:,} persons, {described['library']}\n")
    print(table(rows))


if __name__ == "__main__":
    main()
