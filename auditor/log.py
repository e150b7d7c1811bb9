"""The log itself, streamed: the tree grown from entries alone, and every tile served held against it.

Memory holds one bundle of entries at a time. An entry or tile that does not fit is named; which of the two is
wrong follows from the signed root, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from auditor.findings import Check, Result, Results
from auditor.log_tree import LogTree
from privacy import checkpoint, merkle, tiles
from privacy.checkpoint import Checkpoint, Vkey
from privacy.merkle import HASH_BYTES
from privacy.tiles import TILE_WIDTH, Tile
from privacy.trust import TrustRoot
from protos.problems import Problem
from runtime.log_follower import Entry
from runtime.log_reader import FolderLog, LogReader
from runtime.successors import find_successor

CHECKPOINT_PLACE = "checkpoint"
VKEY_PLACE = "log.vkey"
# Hashes of one audit that are named one by one.
MISMATCHES_MAX = 10_000

# Leaf hashes that differ from the tile served: bundle and position, and that tile.
Mismatches: TypeAlias = dict[tuple[int, int], Tile]


@dataclass(frozen=True, slots=True)
class Head:
    """The signed head under audit and its note."""

    checkpoint: Checkpoint
    note: bytes
    exported: bool

    @property
    def size(self) -> int:
        """Count the entries it covers."""
        return self.checkpoint.size


def read_head(reader: LogReader, root: TrustRoot, results: Results) -> Head | None:
    """Read and check the checkpoint; None if there is nothing sound enough to go on with.

    Where the log's key was replaced, the trust roots on the way say by which.
    """
    result = results[Check.CHECKPOINT]
    result.examined += 1
    vkey = root.log_vkey
    try:
        note = reader.checkpoint()
        vkey = (find_successor(reader, root) or root).log_vkey
        head = checkpoint.open_checkpoint(note, vkey)
    except Problem as problem:
        result.find_problem(CHECKPOINT_PLACE, problem)
        return None
    finally:
        _compare_vkey(reader, vkey, results)
    return Head(head, note, isinstance(reader, FolderLog))


class EntryStream:
    """Gives the entries a tree does not hold yet, growing it; `finish` then compares root and tiles."""

    def __init__(
        self,
        reader: LogReader,
        head: Head,
        tree: LogTree,
        results: Results,
        mismatches: Mismatches | None = None,
    ) -> None:
        self._reader = reader
        self._head = head
        self._tree = tree
        self._result = results[Check.TREE]
        self._mismatches: Mismatches = {} if mismatches is None else mismatches
        self.is_broken = False

    @property
    def head(self) -> Head:
        """Give the head the entries lead to."""
        return self._head

    @property
    def tree(self) -> LogTree:
        """Give the tree over the entries given so far."""
        return self._tree

    def entries(self) -> Iterator[Entry]:
        """Give the entries in order; an unreadable bundle ends them."""
        while self._tree.size < self._head.size:
            bundle = self._tree.size // TILE_WIDTH
            start = bundle * TILE_WIDTH
            width = min(self._head.size - start, TILE_WIDTH)
            name = Tile(None, bundle, width)
            try:
                listed = tiles.parse_bundle(self._reader.entries(bundle, width), width)
            except Problem as problem:
                self._result.find_problem(name.path, problem)
                self.is_broken = True
                return
            yield from self._take(bundle, listed)

    def _take(self, bundle: int, listed: list[bytes]) -> Iterator[Entry]:
        """Grow the tree by a bundle, of which it may hold the beginning."""
        leaves = [merkle.leaf_hash(data) for data in listed]
        known = list(self._tree.edge)
        self._compare_leaves(Tile(0, bundle, len(leaves)), known + leaves[len(known) :])
        for position in range(len(known), len(leaves)):
            self._tree.append(leaves[position])
            self._result.examined += 1
            yield Entry(bundle * TILE_WIDTH + position, listed[position])

    def finish(self) -> None:
        """Read what is left, then compare the root with the signed one and the tiles with the tree."""
        for _ in self.entries():
            pass
        if self.is_broken:
            return
        entries_hold = self._tree.root() == self._head.checkpoint.root
        if not entries_hold:
            self._result.find(
                CHECKPOINT_PLACE,
                f"The {self._head.size} entries served do not give the root the log signed.",
            )
        for (_, position), tile in self._mismatches.items():
            self._name(tile, position, entries_hold=entries_hold)
        self._mismatches.clear()
        for tile in tiles.tiles_of(self._head.size):
            if tile.level:
                self._compare_upper(tile)

    def _compare_leaves(self, tile: Tile, leaves: list[bytes]) -> None:
        for position in self._differing(tile, b"".join(leaves)):
            if len(self._mismatches) < MISMATCHES_MAX:
                self._mismatches[tile.index, position] = tile

    def _compare_upper(self, tile: Tile) -> None:
        for position in self._differing(tile, self._tree.upper_tile(tile)):
            self._result.find(tile.path, f"Hash {position} is not that of the entries below it.")

    def _differing(self, tile: Tile, recomputed: bytes) -> Iterator[int]:
        """Give the places where a served tile differs; one that is not there or too short is a finding."""
        self._result.examined += 1
        try:
            served = self._reader.tile(tile.level or 0, tile.index, tile.width)
        except Problem as problem:
            self._result.find_problem(tile.path, problem)
            return
        if len(served) != len(recomputed):
            self._result.find(tile.path, f"It has {len(served)} bytes where {len(recomputed)} belong.")
        elif served != recomputed:
            for position in range(tile.width):
                span = slice(position * HASH_BYTES, (position + 1) * HASH_BYTES)
                if served[span] != recomputed[span]:
                    yield position

    def _name(self, tile: Tile, position: int, *, entries_hold: bool) -> None:
        if entries_hold:
            self._result.find(tile.path, f"Hash {position} is not that of the entries below it.")
            return
        number = tile.index * TILE_WIDTH + position
        bundle = Tile(None, tile.index, tile.width).path
        self._result.find(f"entry {number}", f"Its bytes in {bundle} do not have the hash in {tile.path}.")


def walk_log(
    reader: LogReader, root: TrustRoot, results: Results, take: Callable[[Entry], None]
) -> Head | None:
    """Check a whole log, handing on its entries; None if it could not be read to its end."""
    head = read_head(reader, root, results)
    if head is None:
        return None
    stream = EntryStream(reader, head, LogTree(), results)
    for entry in stream.entries():
        take(entry)
    stream.finish()
    return None if stream.is_broken else head


def _compare_vkey(reader: LogReader, vkey: Vkey, results: Results) -> None:
    """Hold the verifier key that lies beside an exported log against the trust root's."""
    if not isinstance(reader, FolderLog):
        return
    try:
        beside = reader.vkey()
    except Problem as problem:
        results[Check.CHECKPOINT].find_problem(VKEY_PLACE, problem)
        return
    if beside != str(vkey):
        results[Check.CHECKPOINT].find(VKEY_PLACE, "It is not the log key that the trust root names.")


def check_witnesses(head: Head, root: TrustRoot, results: Results) -> frozenset[str]:
    """Name the witnesses that cosigned the checkpoint; fewer than the quorum is a finding.

    So is a checkpoint without the log's own ML-DSA-44 line, where the trust root names a key for it.
    """
    result = results[Check.CHECKPOINT]
    note = head.note
    _check_log_key(head, root, result)
    _check_lines(note, root, result, exported=head.exported)
    cosigned = checkpoint.cosigners(note, root.witness_vkeys)
    if len(cosigned) < root.witness_quorum:
        result.find(
            CHECKPOINT_PLACE,
            f"{len(cosigned)} witnesses cosigned; the trust root asks for {root.witness_quorum}.",
        )
    if root.log_subtree_vkey is not None:
        try:
            checkpoint.verify_cosignature(note, root.log_subtree_vkey)
        except Problem as problem:
            result.find_problem(CHECKPOINT_PLACE, problem)
    return cosigned


def _check_log_key(head: Head, root: TrustRoot, result: Result) -> None:
    """Find a checkpoint by a key that the log's own last trust root has replaced."""
    if head.checkpoint.origin != root.origin:
        result.find(
            CHECKPOINT_PLACE,
            f"It is signed for {head.checkpoint.origin}; the log it covers goes on under {root.origin}.",
        )


def _check_lines(note: bytes, root: TrustRoot, result: Result, *, exported: bool) -> None:
    """Find each false line, even where the quorum is met without it; in an export also each by a stranger.

    A served checkpoint may carry lines of witnesses this trust root does not know (C2SP signed-note).
    """
    known = {(vkey.name, vkey.key_id): vkey for vkey in (root.log_vkey, *root.witness_vkeys)}
    if root.log_subtree_vkey is not None:
        known[root.log_subtree_vkey.name, root.log_subtree_vkey.key_id] = root.log_subtree_vkey
    lines = checkpoint.parse_note(note).signatures
    for number, line in enumerate(lines, start=1):
        vkey = known.get((line.name, line.key_id))
        if vkey is None:
            if not exported:
                continue
            result.find(
                CHECKPOINT_PLACE, f"Signature line {number} is by a key that the trust root does not name."
            )
        elif vkey in root.witness_vkeys:
            try:
                checkpoint.verify_cosignature(note, vkey)
            except Problem as problem:
                result.find_problem(CHECKPOINT_PLACE, problem)
    if len(set(lines)) < len(lines):
        result.find(CHECKPOINT_PLACE, "A signature line stands in it twice.")
