"""Merkle trees of RFC 6962 (section 2.1) with SHA-256: roots, inclusion and consistency proofs.

Proofs are made from any source of complete subtrees (a `NodeReader`): a tree in memory, or tiles on a disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from protos.problems import InvariantBroken, Unverified
from protos.v1.problem_pb2 import (
    REASON_HISTORY_INCONSISTENT,
    REASON_INVARIANT_BROKEN,
    REASON_PROOF_INVALID,
)

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

# Leaves hashed level by level at a time: two thirds of the cost of one after the other.
_BLOCK = 256

# Gives the hash of the complete subtree (level, index): the 2^level leaves from index * 2^level.
NodeReader = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two children."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Give the root over leaf data; SHA-256("") without leaves."""
    return root_of_hashes([leaf_hash(leaf) for leaf in leaves])


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """Give the root over leaf hashes."""
    tree = CompactTree()
    tree.extend(hashes)
    return tree.root()


class CompactTree:
    """A growing tree that keeps only the complete subtrees of its size: log2(size) hashes."""

    __slots__ = ("_stack", "size")

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []

    def append(self, hash_of_leaf: bytes) -> None:
        """Add a leaf by its leaf hash."""
        carried, size, stack = hash_of_leaf, self.size, self._stack
        while size & 1:
            carried = node_hash(stack.pop(), carried)
            size >>= 1
        stack.append(carried)
        self.size += 1

    def extend(self, hashes: Iterable[bytes]) -> None:
        """Add leaves by their leaf hashes."""
        for value in hashes:
            self.append(value)

    def extend_rows(self, rows: bytes | bytearray, row_bytes: int) -> None:
        """Add fixed-width leaf data lying end to end, a whole block of leaves at a time where one fits."""
        sha256, start = hashlib.sha256, 0
        while start < len(rows):
            end = start + (_BLOCK - self.size % _BLOCK) * row_bytes
            hashes = [
                sha256(b"\0" + rows[at : at + row_bytes]).digest()
                for at in range(start, min(end, len(rows)), row_bytes)
            ]
            if len(hashes) == _BLOCK:
                self._append_subtree(_complete_root(hashes), _BLOCK)
            else:
                self.extend(hashes)
            start = end

    def _append_subtree(self, hash_of_subtree: bytes, leaves: int) -> None:
        carried, count = hash_of_subtree, self.size // leaves
        while count & 1:
            carried = node_hash(self._stack.pop(), carried)
            count >>= 1
        self._stack.append(carried)
        self.size += leaves

    def root(self) -> bytes:
        """Give the root over all leaves so far."""
        if not self._stack:
            return EMPTY_ROOT
        result = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            result = node_hash(left, result)
        return result

    def copy(self) -> CompactTree:
        """Give an independent tree of the same leaves."""
        other = CompactTree()
        other.size, other._stack = self.size, list(self._stack)
        return other


class Tree:
    """A growing tree that keeps every complete subtree: 64 bytes a leaf, any earlier root in log time."""

    __slots__ = ("_levels",)

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        for value in hashes:
            self.append(value)

    @property
    def size(self) -> int:
        """Count the leaves."""
        return len(self._levels[0]) // HASH_BYTES

    def append(self, hash_of_leaf: bytes) -> None:
        """Add a leaf by its leaf hash, completing the subtrees above it."""
        carried, level = hash_of_leaf, 0
        while True:
            if level == len(self._levels):
                self._levels.append(bytearray())
            row = self._levels[level]
            row += carried
            if len(row) % (2 * HASH_BYTES):
                return
            carried = node_hash(bytes(row[-2 * HASH_BYTES : -HASH_BYTES]), carried)
            level += 1

    def node(self, level: int, index: int) -> bytes:
        """Give a complete subtree's hash (a `NodeReader`)."""
        return self.nodes(level, index, 1)

    def nodes(self, level: int, index: int, count: int) -> bytes:
        """Give `count` neighbouring hashes of a level, end to end."""
        row = self._levels[level] if level < len(self._levels) else bytearray()
        found = bytes(row[index * HASH_BYTES : (index + count) * HASH_BYTES])
        if len(found) != count * HASH_BYTES:
            raise InvariantBroken(REASON_INVARIANT_BROKEN, "A hash beyond the tree was asked for.")
        return found

    def root(self, size: int | None = None) -> bytes:
        """Give the root over the first `size` leaves (all by default)."""
        return root_from(self.node, self.size if size is None else size)


def root_from(node: NodeReader, size: int) -> bytes:
    """Give the root of the first `size` leaves from complete subtrees."""
    return _range_hash(node, 0, size)


def inclusion_from(node: NodeReader, index: int, size: int) -> list[bytes]:
    """Make the proof that leaf `index` is in the tree of `size` (RFC 6962 section 2.1.1), leaf side first."""
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_hash(node, middle, end))
            end = middle
        else:
            proof.append(_range_hash(node, start, middle))
            start = middle
    return proof[::-1]


def consistency_from(node: NodeReader, old_size: int, size: int) -> list[bytes]:
    """Make the proof that the tree of `size` begins with the tree of `old_size` (RFC 6962 section 2.1.2)."""
    if old_size in (0, size):
        return []
    proof: list[bytes] = []
    start, end, whole = 0, size, True
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            proof.append(_range_hash(node, middle, end))
            end = middle
        else:
            proof.append(_range_hash(node, start, middle))
            start, whole = middle, False
    if not whole:
        proof.append(_range_hash(node, start, end))
    return proof[::-1]


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Make an inclusion proof from all leaf hashes."""
    return inclusion_from(Tree(hashes).node, index, len(hashes))


def consistency_proof(hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Make a consistency proof from all leaf hashes."""
    return consistency_from(Tree(hashes).node, old_size, len(hashes))


def verify_inclusion(
    hash_of_leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes
) -> None:
    """Check an inclusion proof (RFC 9162 section 2.1.3.2); raises Unverified PROOF_INVALID."""
    if not 0 <= index < size:
        raise Unverified(REASON_PROOF_INVALID, f"Leaf {index} is not in a tree of {size}.")
    node, last, result, used = index, size - 1, hash_of_leaf, 0
    for sibling in proof:
        if last == 0:
            break
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last, used = node >> 1, last >> 1, used + 1
    if last or used != len(proof) or result != expected:
        raise Unverified(
            REASON_PROOF_INVALID, f"The proof does not join leaf {index} to the root at size {size}."
        )


def verify_consistency(
    old_size: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check a consistency proof (RFC 9162 section 2.1.4.2); raises Unverified HISTORY_INCONSISTENT."""
    if not _is_consistent(old_size, old_root, size, new_root, list(proof)):
        raise Unverified(
            REASON_HISTORY_INCONSISTENT,
            f"The tree of {size} does not continue the tree of {old_size}: two histories, or a false proof.",
        )


def _is_consistent(old_size: int, old_root: bytes, size: int, new_root: bytes, proof: list[bytes]) -> bool:
    if not 0 <= old_size <= size or old_size in (0, size):
        trivial = old_root == (EMPTY_ROOT if old_size == 0 else new_root)
        return old_size <= size and not proof and trivial and (size > 0 or new_root == EMPTY_ROOT)
    if old_size & (old_size - 1) == 0:
        proof = [old_root, *proof]
    if not proof:
        return False
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old, new = proof[0], proof[0]
    for sibling in proof[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and (old, new) == (old_root, new_root)


def _complete_root(hashes: list[bytes]) -> bytes:
    """Hash a power of two of neighbouring hashes into one."""
    sha256 = hashlib.sha256
    while len(hashes) > 1:
        pairs = iter(hashes)
        hashes = [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return hashes[0]


def _split(count: int) -> int:
    """Give the largest power of two below the count."""
    return 1 << (count - 1).bit_length() - 1


def _range_hash(node: NodeReader, start: int, end: int) -> bytes:
    """Hash leaves start..end, where start is a multiple of the largest power of two in the range."""
    if start == end:
        return EMPTY_ROOT
    parts: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append(node(level, start >> level))
        start += 1 << level
    result = parts.pop()
    while parts:
        result = node_hash(parts.pop(), result)
    return result
