"""Builds the Merkle-sum tree of `privacy.merkle_sum` from columns: packed by NumPy, hashed by hashlib.

Every level is one packed table of what its nodes hash, so that a leaf costs little more than its SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from privacy.merkle import EMPTY_ROOT, HASH_BYTES
from privacy.merkle_sum import EMPTY, MEASURES_MAX, SUM_END, Leaf, Path, SumHash, Tag
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_WRONG_SHAPE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers: TypeAlias = "NDArray[np.int64]"
    Hashes: TypeAlias = "NDArray[np.uint8]"

_HASH = ("u1", (HASH_BYTES,))
_LEAF = [
    ("tag", "u1"),
    ("slot", ">u4"),
    ("day", ">i4"),
    ("measure", ">u2"),
    ("plus", ">u8"),
    ("minus", ">u8"),
]
_NODE = [
    ("tag", "u1"),
    *(("plus_left", ">u8"), ("minus_left", ">u8"), ("hash_left", *_HASH)),
    *(("plus_right", ">u8"), ("minus_right", ">u8"), ("hash_right", *_HASH)),
]
_PLACE = [
    ("tag", "u1"),
    ("slot", ">u4"),
    ("measure", ">u2"),
    ("leaves", ">u4"),
    ("plus", ">u8"),
    ("minus", ">u8"),
]


@dataclass(frozen=True, slots=True)
class Leaves:
    """Leaves as columns, by place (row * measures + measure), then day; both ascend, evidence is (n, 32)."""

    place: Integers
    day: Integers
    plus: Integers
    minus: Integers
    evidence: Hashes


@dataclass(frozen=True, slots=True)
class _Level:
    """One level of a forest: trees end to end, `starts` says where each begins (and, last, where all end)."""

    starts: Integers
    plus: Integers
    minus: Integers
    hashes: Hashes

    def node(self, tree: int, index: int) -> SumHash | None:
        at = int(self.starts[tree]) + index
        if at >= self.starts[tree + 1]:
            return None
        return SumHash(int(self.plus[at]), int(self.minus[at]), self.hashes[at].tobytes())


class SumTree:
    """The tree over an epoch's active slots and a policy's measures, with every path in it."""

    def __init__(self, slots: Integers, measures: int, leaves: Leaves) -> None:
        import numpy as np

        _check(slots, measures, leaves)
        self.slots, self.measures, self.leaves = slots, measures, leaves
        self.places = len(slots) * measures
        counts = np.bincount(leaves.place, minlength=self.places).astype(np.int64)
        starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
        hashes = _leaf_hashes(slots, measures, leaves)
        self._below = _climbed(_Level(starts, leaves.plus, leaves.minus, hashes))
        self._above = _climbed(self._place_level(counts))

    @property
    def root(self) -> SumHash:
        """Give the root with the totals; `EMPTY` without slots."""
        top = self._above[-1]
        return top.node(0, 0) or EMPTY

    def leaf(self, number: int) -> Leaf:
        """Give one leaf by its number in canonical order."""
        at = int(self.leaves.place[number])
        return Leaf(
            slot=int(self.slots[at // self.measures]),
            day=int(self.leaves.day[number]),
            measure=at % self.measures,
            plus=int(self.leaves.plus[number]),
            minus=int(self.leaves.minus[number]),
            evidence=self.leaves.evidence[number].tobytes(),
        )

    def leaf_at(self, point: int) -> int:
        """Find the leaf whose amount covers a point of [0, total amount): what walking down by sums finds."""
        import numpy as np

        return int(np.searchsorted(np.cumsum(self.leaves.plus + self.leaves.minus), point, side="right"))

    def paths(self, number: int) -> tuple[Path, Path]:
        """Give a leaf's path to its slot's place, and that place's path to the root."""
        at = int(self.leaves.place[number])
        index = number - int(self._below[0].starts[at])
        return _path(self._below, at, index), _path(self._above, 0, at)

    def net(self, measure: int) -> Integers:
        """Give each slot's net sum of a measure in mg, in slot order."""
        first = self._above[0]
        net: Integers = (first.plus - first.minus)[measure :: self.measures]
        return net

    def _place_level(self, counts: Integers) -> _Level:
        import numpy as np

        plus, minus = np.zeros((2, self.places), dtype=np.int64)
        hashes = np.tile(np.frombuffer(EMPTY_ROOT, dtype=np.uint8), (self.places, 1))
        top, used = self._below[-1], counts > 0
        plus[used], minus[used], hashes[used] = top.plus, top.minus, top.hashes
        rows = np.zeros(self.places, dtype=[*_PLACE, ("hash", *_HASH)])
        rows["tag"] = Tag.PLACE
        rows["slot"] = np.repeat(self.slots, self.measures)
        rows["measure"] = np.tile(np.arange(self.measures), len(self.slots))
        rows["leaves"], rows["plus"], rows["minus"], rows["hash"] = counts, plus, minus, hashes
        starts = np.array([0, self.places], dtype=np.int64)
        return _Level(starts, plus, minus, _hashed(rows))


def _check(slots: Integers, measures: int, leaves: Leaves) -> None:
    """Refuse columns that are out of order or range; the total alone bounds every sum in the tree."""
    import numpy as np

    count = len(leaves.place)
    columns = (leaves.day, leaves.plus, leaves.minus, leaves.evidence)
    if not 1 <= measures < MEASURES_MAX or any(len(column) != count for column in columns):
        raise Malformed(REASON_WRONG_SHAPE, "A tree's columns are not equally long, or it has no measure.")
    if np.any(np.diff(slots) <= 0) or np.any(slots < 0):
        raise Malformed(REASON_WRONG_SHAPE, "A tree's slots are distinct and ascending.")
    if not count:
        return
    later = np.diff(leaves.place)
    if leaves.place[0] < 0 or leaves.place[-1] >= len(slots) * measures or np.any(later < 0):
        raise Malformed(REASON_WRONG_SHAPE, "A tree's leaves are not in the order of their places.")
    if np.any(np.diff(leaves.day)[later == 0] <= 0) or np.any(leaves.day < 0):
        raise Malformed(REASON_WRONG_SHAPE, "A place's leaves are not in the order of days, each once.")
    if np.any(leaves.plus < 0) or np.any(leaves.minus < 0):
        raise Malformed(REASON_WRONG_SHAPE, "A leaf's amounts are not negative.")
    # Python's integers: NumPy's would wrap round.
    if sum(leaves.plus.tolist()) + sum(leaves.minus.tolist()) >= SUM_END:
        raise Malformed(REASON_WRONG_SHAPE, "The total reaches 2^63 mg.")


def _leaf_hashes(slots: Integers, measures: int, leaves: Leaves) -> Hashes:
    import numpy as np

    rows = np.zeros(len(leaves.place), dtype=[*_LEAF, ("evidence", *_HASH)])
    rows["tag"] = Tag.LEAF
    rows["slot"] = slots[leaves.place // measures] if len(slots) else 0
    rows["measure"] = leaves.place % measures
    rows["day"], rows["plus"], rows["minus"] = leaves.day, leaves.plus, leaves.minus
    rows["evidence"] = leaves.evidence
    return _hashed(rows)


def _hashed(rows: NDArray[np.void]) -> Hashes:
    import numpy as np

    data, width, sha256 = rows.tobytes(), rows.dtype.itemsize, hashlib.sha256
    hashes = [sha256(data[at : at + width]).digest() for at in range(0, len(data), width)]
    return np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, HASH_BYTES)


def _climbed(level: _Level) -> Sequence[_Level]:
    """Pair up every tree's nodes until each has one; an odd last one goes up as it is (RFC 6962's shape)."""
    import numpy as np

    levels = [level]
    while len(level.starts) > 1 and int(np.max(np.diff(level.starts), initial=0)) > 1:
        level = _parents(level)
        levels.append(level)
    return levels


def _parents(level: _Level) -> _Level:
    import numpy as np

    counts = np.diff(level.starts)
    tree = np.repeat(np.arange(len(counts)), counts)
    index = np.arange(len(tree)) - level.starts[tree]
    left = np.flatnonzero(index % 2 == 0)
    paired = index[left] + 1 < counts[tree[left]]
    right = left[paired] + 1
    rows = np.zeros(len(right), dtype=_NODE)
    rows["tag"] = Tag.NODE
    for side, places in (("left", left[paired]), ("right", right)):
        rows[f"plus_{side}"], rows[f"minus_{side}"] = level.plus[places], level.minus[places]
        rows[f"hash_{side}"] = level.hashes[places]
    plus, minus, hashes = level.plus[left].copy(), level.minus[left].copy(), level.hashes[left].copy()
    plus[paired] += level.plus[right]
    minus[paired] += level.minus[right]
    hashes[paired] = _hashed(rows)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum((counts + 1) // 2)])
    return _Level(starts, plus, minus, hashes)


def _path(levels: Sequence[_Level], tree: int, index: int) -> Path:
    size = int(levels[0].starts[tree + 1] - levels[0].starts[tree])
    siblings, at = [], index
    for level in levels[:-1]:
        sibling = level.node(tree, at ^ 1)
        if sibling is not None:
            siblings.append(sibling)
        at >>= 1
    return Path(index, size, tuple(siblings))
