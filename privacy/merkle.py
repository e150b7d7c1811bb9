"""Merkle trees of RFC 6962 section 2.1: roots, inclusion and consistency proofs as RFC 9162 verifies them.

Leaves come as their 32-byte leaf hashes unless said otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

# A tree of 2^62 leaves has no longer proof: a bound on what is hashed for a stranger.
PROOF_HASHES_MAX = 63


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf's data: SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into one: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Give the root over leaf hashes; SHA-256("") over none."""
    tree = CompactTree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def root_of_data(items: Iterable[bytes]) -> bytes:
    """Give the root over leaves' data."""
    tree = CompactTree()
    for item in items:
        tree.append(leaf_hash(item))
    return tree.root()


class CompactTree:
    """A growing tree that remembers only the roots of its complete subtrees, the widest first."""

    __slots__ = ("_peaks", "_size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if size < 0 or len(peaks) != size.bit_count() or any(len(peak) != HASH_BYTES for peak in peaks):
            raise AssertionError("a compact tree has one 32-byte peak for each bit set in its size")
        self._size = size
        self._peaks = list(peaks)

    @property
    def size(self) -> int:
        """Count the leaves."""
        return self._size

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """Give the complete subtrees' roots, enough to go on later."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash on the right."""
        carried = leaf
        size = self._size
        while size & 1:
            carried = node_hash(self._peaks.pop(), carried)
            size >>= 1
        self._peaks.append(carried)
        self._size += 1

    def root(self) -> bytes:
        """Give the root over all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        joined = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            joined = node_hash(peak, joined)
        return joined

    def copy(self) -> CompactTree:
        """Give a tree that grows apart from this one."""
        return CompactTree(self._size, self._peaks)


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Prove that the leaf at `index` is under the root over `leaves`, nearest hash first."""
    if not 0 <= index < len(leaves):
        raise AssertionError("the leaf to prove is in the tree")
    proof: list[bytes] = []
    first, end = 0, len(leaves)
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            proof.append(root(leaves[middle:end]))
            end = middle
        else:
            proof.append(root(leaves[first:middle]))
            first = middle
    return proof[::-1]


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], tree_root: bytes) -> bool:
    """Say whether the proof leads from the leaf hash at `index` to the root (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size or not _is_proof(proof):
        return False
    first, last, joined = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            joined = node_hash(step, joined)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            joined = node_hash(joined, step)
        first, last = first >> 1, last >> 1
    return last == 0 and joined == tree_root


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Prove that the tree over the first `old_size` leaves is the beginning of the one over all."""
    if not 0 <= old_size <= len(leaves):
        raise AssertionError("the older tree is not larger than the newer")
    if old_size in {0, len(leaves)}:
        return []
    return _subproof(old_size, leaves, True)


def is_consistent(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Say whether the newer tree begins with the older (RFC 9162, section 2.1.4.2)."""
    if not 0 <= old_size <= new_size or not _is_proof(proof):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    return _joins_both(old_size, old_root, new_size, new_root, list(proof))


def _joins_both(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: list[bytes]) -> bool:
    if old_size & (old_size - 1) == 0:
        proof.insert(0, old_root)
    if not proof:
        return False
    first, last = old_size - 1, new_size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    old_joined = new_joined = proof[0]
    for step in proof[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            old_joined, new_joined = node_hash(step, old_joined), node_hash(step, new_joined)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            new_joined = node_hash(new_joined, step)
        first, last = first >> 1, last >> 1
    return last == 0 and old_joined == old_root and new_joined == new_root


def _subproof(old_size: int, leaves: Sequence[bytes], is_whole: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if is_whole else [root(leaves)]
    middle = _split(len(leaves))
    if old_size <= middle:
        return [*_subproof(old_size, leaves[:middle], is_whole), root(leaves[middle:])]
    return [*_subproof(old_size - middle, leaves[middle:], False), root(leaves[:middle])]


def _split(size: int) -> int:
    """Give the largest power of two below `size` (size above 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _is_proof(proof: Sequence[bytes]) -> bool:
    return len(proof) <= PROOF_HASHES_MAX and all(len(step) == HASH_BYTES for step in proof)
