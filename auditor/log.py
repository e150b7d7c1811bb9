"""The log itself: the tree recomputed from entries alone, and every tile served held against it.

An entry or tile that does not fit is named; which of the two is wrong follows from the signed root.
"""

from __future__ import annotations

from dataclasses import dataclass

from auditor.findings import Check, Result, Results
from privacy import checkpoint, merkle, tiles
from privacy.checkpoint import Checkpoint, Vkey
from privacy.merkle import HASH_BYTES
from privacy.tiles import TILE_WIDTH, Tile
from privacy.trust import TrustRoot
from protos.problems import Problem
from runtime.log_reader import FolderLog, LogReader

CHECKPOINT_PLACE = "checkpoint"
VKEY_PLACE = "log.vkey"


@dataclass(frozen=True, slots=True)
class LogCopy:
    """The log as read: the checkpoint, its note, and its entries (an envelope's bytes each) in order."""

    checkpoint: Checkpoint
    note: bytes
    entries: tuple[bytes, ...]
    exported: bool

    def root_at(self, size: int) -> bytes:
        """Recompute the root over the first entries."""
        tree = merkle.CompactTree()
        tree.extend(map(merkle.leaf_hash, self.entries[:size]))
        return tree.root()


def read_log(reader: LogReader, vkey: Vkey, results: Results) -> LogCopy | None:
    """Read and check a whole log; None if there is nothing sound enough to go on with."""
    result = results[Check.CHECKPOINT]
    result.examined += 1
    _compare_vkey(reader, vkey, results)
    try:
        note = reader.checkpoint()
        head = checkpoint.open_checkpoint(note, vkey)
    except Problem as problem:
        result.find_problem(CHECKPOINT_PLACE, problem)
        return None
    entries = _read_entries(reader, head.size, results)
    if entries is None:
        return None
    _compare_tree(reader, head, entries, results)
    return LogCopy(head, note, tuple(entries), isinstance(reader, FolderLog))


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


def check_witnesses(copy: LogCopy, root: TrustRoot, results: Results) -> frozenset[str]:
    """Name the witnesses that cosigned the checkpoint; fewer than the quorum is a finding.

    So is a checkpoint without the log's own ML-DSA-44 line, where the trust root names a key for it.
    """
    result = results[Check.CHECKPOINT]
    note = copy.note
    _check_lines(note, root, result, exported=copy.exported)
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


def _read_entries(reader: LogReader, size: int, results: Results) -> list[bytes] | None:
    entries: list[bytes] = []
    result = results[Check.TREE]
    for name in tiles.bundles_of(size):
        try:
            entries += tiles.parse_bundle(reader.entries(name.index, name.width), name.width)
        except Problem as problem:
            result.find_problem(name.path, problem)
            return None
    result.examined += len(entries)
    return entries


def _compare_tree(reader: LogReader, head: Checkpoint, entries: list[bytes], results: Results) -> None:
    tree = merkle.Tree(map(merkle.leaf_hash, entries))
    entries_hold = tree.root() == head.root
    if not entries_hold:
        results[Check.TREE].find(
            CHECKPOINT_PLACE, f"The {head.size} entries served do not give the root the log signed."
        )
    for tile in tiles.tiles_of(head.size):
        _compare_tile(reader, tile, tiles.tile_bytes(tree, tile), results, entries_hold=entries_hold)


def _compare_tile(
    reader: LogReader, tile: Tile, recomputed: bytes, results: Results, *, entries_hold: bool
) -> None:
    result = results[Check.TREE]
    result.examined += 1
    try:
        served = reader.tile(tile.level or 0, tile.index, tile.width)
    except Problem as problem:
        result.find_problem(tile.path, problem)
        return
    if len(served) != len(recomputed):
        result.find(tile.path, f"It has {len(served)} bytes where {len(recomputed)} belong.")
        return
    for position in range(tile.width):
        span = slice(position * HASH_BYTES, (position + 1) * HASH_BYTES)
        if served[span] == recomputed[span]:
            continue
        if entries_hold or tile.level:
            result.find(tile.path, f"Hash {position} is not that of the entries below it.")
        else:
            number = tile.index * TILE_WIDTH + position
            bundle = Tile(None, tile.index, tile.width).path
            result.find(f"entry {number}", f"Its bytes in {bundle} do not have the hash in {tile.path}.")
