"""Columns of independent elements, worked on side by side: libsodium runs outside the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")

# Below this many elements a thread costs more than it saves.
_ELEMENTS_MIN = 256


def spread(work: Callable[[range], T], count: int, workers: int) -> list[T]:
    """Run work over consecutive ranges that cover 0 to count; results stand in order."""
    parts = max(1, min(workers, count // _ELEMENTS_MIN))
    edges = [count * part // parts for part in range(parts + 1)]
    ranges = [range(first, end) for first, end in pairwise(edges)]
    if parts == 1:
        return [work(ranges[0])]
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(work, ranges))
