"""The tree over a log's entries as an audit grows it; kept are the hashes of full bundles, 32 bytes each.

What lies below a full bundle is read again from the log's tiles if somebody asks, and held against its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from privacy import merkle
from privacy.merkle import HASH_BYTES, CompactTree
from privacy.tiles import TILE_WIDTH, HashReader, Tile
from protos.problems import InvariantBroken, Unverified
from protos.v1.problem_pb2 import REASON_HISTORY_INCONSISTENT, REASON_INVARIANT_BROKEN

# Gives a served tile's bytes.
Fetch = Callable[[Tile], bytes]


class LogTree:
    """Takes leaf hashes in order; plain values inside, so that a saved audit can go on with it."""

    __slots__ = ("_compact", "_edge", "_rows")

    def __init__(self) -> None:
        self._compact = CompactTree()
        # Leaf hashes of the last bundle while it is not full; above it, hashes by tile level from 1.
        self._edge: list[bytes] = []
        self._rows: list[bytearray] = []

    @property
    def size(self) -> int:
        """Count the leaves."""
        return self._compact.size

    @property
    def edge(self) -> Sequence[bytes]:
        """Give the leaf hashes of the bundle that is not full yet."""
        return tuple(self._edge)

    def root(self) -> bytes:
        """Give the root over all leaves so far."""
        return self._compact.root()

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash, and the hashes of the tiles it fills."""
        self._compact.append(leaf)
        self._edge.append(leaf)
        if len(self._edge) < TILE_WIDTH:
            return
        carried, level = merkle.root_of_hashes(self._edge), 0
        self._edge = []
        while True:
            if level == len(self._rows):
                self._rows.append(bytearray())
            row = self._rows[level]
            row += carried
            if len(row) % (TILE_WIDTH * HASH_BYTES):
                return
            carried, level = merkle.root_of_hashes(_cut(row[-TILE_WIDTH * HASH_BYTES :])), level + 1

    def upper_tile(self, tile: Tile) -> bytes:
        """Give the bytes a tile of level 1 or above must have."""
        level = tile.level or 0
        row = self._rows[level - 1] if 0 < level <= len(self._rows) else bytearray()
        start = tile.index * TILE_WIDTH * HASH_BYTES
        found = bytes(row[start : start + tile.width * HASH_BYTES])
        if len(found) != tile.width * HASH_BYTES:
            raise InvariantBroken(REASON_INVARIANT_BROKEN, f"{tile.path} lies beyond the tree.")
        return found

    def leaf(self, index: int, fetch: Fetch) -> bytes:
        """Give an earlier leaf hash; raises Unverified where the tile served does not hold it."""
        return self._reader(fetch).node(0, index)

    def root_at(self, size: int, fetch: Fetch) -> bytes:
        """Give the root over the first leaves; raises Unverified where a tile served does not fit."""
        return merkle.root_from(self._reader(fetch).node, size)

    def _reader(self, fetch: Fetch) -> HashReader:
        return HashReader(lambda tile: self._checked(tile, fetch), self.size)

    def _checked(self, tile: Tile, fetch: Fetch) -> bytes:
        if tile.level:
            return self.upper_tile(tile)
        if tile.width < TILE_WIDTH:
            return b"".join(self._edge)
        data = fetch(tile)
        above = self.upper_tile(Tile(1, tile.index // TILE_WIDTH, tile.index % TILE_WIDTH + 1))
        if len(data) != TILE_WIDTH * HASH_BYTES or merkle.root_of_hashes(_cut(data)) != above[-HASH_BYTES:]:
            raise Unverified(REASON_HISTORY_INCONSISTENT, f"{tile.path} is not of the tree its entries give.")
        return data


def _cut(hashes: bytes | bytearray) -> list[bytes]:
    return [bytes(hashes[at : at + HASH_BYTES]) for at in range(0, len(hashes), HASH_BYTES)]
