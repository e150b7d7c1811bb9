"""A log whose key was replaced goes on under another origin; whoever follows it learns of that from the log.

The entries that lead there are read before anything vouches for them; what counts among them are trust roots
signed by enough keys of the one known, and the last must name the key that signed the checkpoint served. The
growth to that checkpoint is then proven like any other.
"""

from __future__ import annotations

from collections.abc import Iterator

from privacy import checkpoint, tiles, trust
from privacy.envelope import envelope_hash
from privacy.tiles import TILE_WIDTH
from privacy.trust import TrustRoot
from protos.problems import Unverified
from protos.v1.problem_pb2 import REASON_CHECKPOINT_INVALID
from runtime.log_follower import NO_WITNESSES, Witnesses, is_trust_root
from runtime.log_mirror import LogMirror
from runtime.log_reader import LogReader


def grow(mirror: LogMirror, reader: LogReader, root: TrustRoot | None) -> int:
    """Let a copy grow, also over a replaced log key; gives the size before."""
    try:
        return mirror.grow(reader, NO_WITNESSES if root is None else Witnesses.of(root))
    except Unverified as problem:
        if root is None or problem.reason != REASON_CHECKPOINT_INVALID:
            raise
        successor = find_successor(reader, root, mirror.size)
        if successor is None:
            raise
    before = mirror.size
    mirror.succeed(successor.log_vkey)
    mirror.grow(reader, Witnesses.of(successor))
    return before


def find_successor(reader: LogReader, root: TrustRoot, start: int = 0) -> TrustRoot | None:
    """Give the trust root whose log key signed the checkpoint served; None where none leads there.

    `start` is how many entries are known. Raises Unverified where a trust root on the way does not hold.
    """
    note = reader.checkpoint()
    head = checkpoint.parse_checkpoint(checkpoint.parse_note(note).text)
    if head.origin == root.origin:
        return None
    for data in _entries(reader, start, head.size):
        if is_trust_root(data) and envelope_hash(data) != root.envelope_hash:
            root = trust.verify_update(root, data)
    if root.origin != head.origin:
        return None
    checkpoint.open_checkpoint(note, root.log_vkey)
    return root


def _entries(reader: LogReader, start: int, size: int) -> Iterator[bytes]:
    for bundle in range(start // TILE_WIDTH, -(-size // TILE_WIDTH)):
        width = min(size - bundle * TILE_WIDTH, TILE_WIDTH)
        listed = tiles.parse_bundle(reader.entries(bundle, width), width)
        yield from listed[max(start - bundle * TILE_WIDTH, 0) :]
