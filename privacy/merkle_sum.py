"""A Merkle tree whose nodes carry sums: what an enterprise commits to, and the paths that open one leaf.

Two trees in one. A (slot, measure) has its leaves by day; the tree above has one place for each slot and
measure, by slot, then measure, so that a slot's net sum is its statement's exact value and none can stand
twice. A node hashes both children with both their sums: hashing only the added sums would let one
leaf hide another's amount. Amounts are mg, a plus and a minus of them; no sum reaches 2^63.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from privacy.merkle import EMPTY_ROOT, HASH_BYTES
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_PROOF_INVALID, REASON_WRONG_SHAPE

SALT_BYTES = 16
SUM_END = 1 << 63
SLOT_END = 1 << 32
MEASURES_MAX = 1 << 16
# The day of a leaf that stands for a whole month: own history, records of a period, packs with a month's cap.
WHOLE_MONTH = 0
# Levels of the deepest path: 2^48 leaves are more than slots, measures and days can make.
PATH_MAX = 48

_COMMITMENT_TAG = b"cgsp-commitment-v1\x00"
_EVIDENCE_TAG = b"cgsp-leaf-evidence-v1\x00"
_LEAF = struct.Struct(">BIiHQQ32s")
_NODE = struct.Struct(">BQQ32sQQ32s")
_PLACE = struct.Struct(">BIHIQQ32s")


class Tag(IntEnum):
    """The first byte of what is hashed, so that no leaf is taken for a node."""

    LEAF = 0
    NODE = 1
    PLACE = 2


@dataclass(frozen=True, slots=True)
class SumHash:
    """A subtree: the sums below it in mg, and its hash."""

    plus: int
    minus: int
    hash: bytes

    def __post_init__(self) -> None:
        if not (0 <= self.plus < SUM_END and 0 <= self.minus < SUM_END and self.amount < SUM_END):
            raise Malformed(REASON_WRONG_SHAPE, "A sum in a commitment is negative or reaches 2^63 mg.")
        if len(self.hash) != HASH_BYTES:
            raise Malformed(REASON_WRONG_SHAPE, f"A hash in a commitment has {HASH_BYTES} bytes.")

    @property
    def net(self) -> int:
        """Give what counts for the statement: plus less minus."""
        return self.plus - self.minus

    @property
    def amount(self) -> int:
        """Give what is sampled by: plus and minus added."""
        return self.plus + self.minus


EMPTY = SumHash(0, 0, EMPTY_ROOT)


@dataclass(frozen=True, slots=True)
class Leaf:
    """What one slot's records of one day come to in one measure, and the hash of the evidence for it."""

    slot: int
    day: int
    measure: int
    plus: int
    minus: int
    evidence: bytes

    def sum_hash(self) -> SumHash:
        """Hash the leaf; raises Malformed on a number out of range."""
        checked = SumHash(self.plus, self.minus, self.evidence)
        if not (0 <= self.slot < SLOT_END and 0 <= self.measure < MEASURES_MAX and 0 <= self.day < 1 << 31):
            raise Malformed(REASON_WRONG_SHAPE, "A leaf's slot, day or measure is out of range.")
        data = _LEAF.pack(Tag.LEAF, self.slot, self.day, self.measure, self.plus, self.minus, checked.hash)
        return SumHash(self.plus, self.minus, hashlib.sha256(data).digest())


@dataclass(frozen=True, slots=True)
class Path:
    """Siblings from a node up to the root of its tree, and where among how many it stands."""

    index: int
    size: int
    siblings: tuple[SumHash, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A leaf with its path to its slot's sums and on to the root; `before` is the amount left of it."""

    root: SumHash
    slot_sums: SumHash
    before: int


def node(left: SumHash, right: SumHash) -> SumHash:
    """Join two children; raises Malformed if a sum overflows."""
    data = _NODE.pack(Tag.NODE, left.plus, left.minus, left.hash, right.plus, right.minus, right.hash)
    return SumHash(left.plus + right.plus, left.minus + right.minus, hashlib.sha256(data).digest())


def place(slot: int, measure: int, leaves: int, below: SumHash) -> SumHash:
    """Hash a slot's place for a measure over the root of its leaves (`EMPTY` for none).

    Raises Malformed WRONG_SHAPE.
    """
    if not (0 <= slot < SLOT_END and 0 <= measure < MEASURES_MAX and 0 <= leaves < SLOT_END):
        raise Malformed(REASON_WRONG_SHAPE, "A slot, measure or number of leaves is out of range.")
    data = _PLACE.pack(Tag.PLACE, slot, measure, leaves, below.plus, below.minus, below.hash)
    return SumHash(below.plus, below.minus, hashlib.sha256(data).digest())


def evidence_hash(salt: bytes, record_root: bytes, packs: Sequence[str]) -> bytes:
    """Hide the records behind a leaf: H(salt || root over the raw records || packs as id@version).

    Raises Malformed WRONG_SHAPE.
    """
    if len(salt) != SALT_BYTES or len(record_root) != HASH_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, "A leaf's salt has 16 bytes, its record root 32.")
    names = ",".join(packs).encode()
    return hashlib.sha256(_EVIDENCE_TAG + salt + record_root + names).digest()


def commitment(salt: bytes, root: SumHash) -> bytes:
    """Give what is logged: a salted hash of root and total; the total itself would undo the noise.

    Raises Malformed WRONG_SHAPE.
    """
    if len(salt) != HASH_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"A commitment's salt has {HASH_BYTES} bytes.")
    total = struct.pack(">QQ", root.plus, root.minus)
    return hashlib.sha256(_COMMITMENT_TAG + salt + root.hash + total).digest()


def climb(start: SumHash, path: Path) -> tuple[SumHash, int]:
    """Recompute a root along a path, with the amount left of the start; raises Malformed on a wrong shape."""
    if not 0 <= path.index < path.size or len(path.siblings) > PATH_MAX:
        raise Malformed(REASON_WRONG_SHAPE, "A path starts outside its tree, or is too long.")
    current, before = start, 0
    siblings = iter(path.siblings)
    index, last = path.index, path.size - 1
    while last:
        if index & 1 or index < last:
            sibling = next(siblings, None)
            if sibling is None:
                raise Malformed(REASON_WRONG_SHAPE, "A path is shorter than its tree is high.")
            if index & 1:
                before += sibling.amount
                current = node(sibling, current)
            else:
                current = node(current, sibling)
        index, last = index >> 1, last >> 1
    if next(siblings, None) is not None:
        raise Malformed(REASON_WRONG_SHAPE, "A path is longer than its tree is high.")
    return current, before


def open_leaf(leaf: Leaf, in_slot: Path, in_tree: Path, *, measures: int) -> Opened:
    """Climb from a leaf to its slot's place and to the root; raises Malformed where the places do not fit."""
    if measures < 1 or in_tree.index % measures != leaf.measure:
        raise Malformed(REASON_WRONG_SHAPE, "A leaf's measure is not that of its place in the tree.")
    below, before_in_slot = climb(leaf.sum_hash(), in_slot)
    sums = place(leaf.slot, leaf.measure, in_slot.size, below)
    root, before = climb(sums, in_tree)
    return Opened(root, sums, before + before_in_slot)


def check_commitment(logged: bytes, salt: bytes, root: SumHash) -> None:
    """Refuse a root and total that are not what was committed to, Unverified."""
    if commitment(salt, root) != logged:
        raise Unverified(
            REASON_PROOF_INVALID,
            "Root, total and salt are not those of the commitment in the log.",
            remedy="Keep what was opened and report the enterprise.",
        )
