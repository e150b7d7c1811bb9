"""Tiles and entry bundles: C2SP tlog-tiles (c2sp.org/tlog-tiles).

A tile is 256 hashes wide and eight levels high; a partial one is never hashed upward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from privacy import merkle
from privacy.envelope import ENTRY_BYTES_MAX
from privacy.merkle import HASH_BYTES
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import (
    REASON_HISTORY_INCONSISTENT,
    REASON_MALFORMED_MESSAGE,
    REASON_MESSAGE_TOO_LARGE,
)

TILE_WIDTH = 256
TILE_HEIGHT = 8
# Computed hashes a reader keeps: some 20 MB.
BETWEEN_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile's place: level (None for entry bundles), index in its level, and width 1 to 256."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path below the log's prefix, as "tile/0/x001/067.p/5"."""
        return (
            entries_path(self.index, self.width)
            if self.level is None
            else tile_path(self.level, self.index, self.width)
        )


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Give the path of a tile of hashes."""
    return f"tile/{level}/{_number(index)}{_partial(width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Give the path of an entry bundle."""
    return f"tile/entries/{_number(index)}{_partial(width)}"


def tiles_of(size: int) -> Iterator[Tile]:
    """List the tiles of hashes of a tree, level by level, the partial ones last in their level."""
    level = 0
    while size:
        yield from _row(level, size)
        level, size = level + 1, size >> TILE_HEIGHT


def bundles_of(size: int) -> Iterator[Tile]:
    """List the entry bundles of a tree."""
    yield from _row(None, size)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Write entries one after the other, each behind its big-endian uint16 length.

    Raises Malformed MESSAGE_TOO_LARGE.
    """
    if any(len(entry) > ENTRY_BYTES_MAX for entry in entries):
        raise Malformed(REASON_MESSAGE_TOO_LARGE, f"A log entry has at most {ENTRY_BYTES_MAX} bytes.")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Read exactly `width` entries; raises Malformed on anything short or left over."""
    entries: list[bytes] = []
    position = 0
    while position < len(data) and len(entries) < width:
        start = position + 2
        position = start + int.from_bytes(data[position:start], "big")
        entries.append(data[start:position])
    if position != len(data) or len(entries) != width:
        raise Malformed(REASON_MALFORMED_MESSAGE, f"An entry bundle does not hold exactly {width} entries.")
    return entries


class HashReader:
    """Reads a tree's hashes from tiles; what it hands out is checked against the root when it is made.

    `read` gives the bytes of a tile. The hashes between tile rows are recomputed, never read.
    """

    def __init__(self, read: Callable[[Tile], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._rows: dict[Tile, bytes] = {}
        # Hashes between tile rows, once computed: neighbouring proofs share most of them.
        self._between: dict[tuple[int, int], bytes] = {}

    @property
    def size(self) -> int:
        """Count the leaves."""
        return self._size

    def node(self, level: int, index: int) -> bytes:
        """Give a complete subtree's hash (a `merkle.NodeReader`)."""
        if level % TILE_HEIGHT == 0:
            return self._stored(level // TILE_HEIGHT, index)
        place = (level, index)
        if place not in self._between:
            if len(self._between) >= BETWEEN_MAX:
                self._between.clear()
            left, right = self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1)
            self._between[place] = merkle.node_hash(left, right)
        return self._between[place]

    def root(self) -> bytes:
        """Recompute the root."""
        return merkle.root_from(self.node, self._size)

    def check_root(self, expected: bytes) -> None:
        """Compare the recomputed root with a checkpoint's; raises Unverified HISTORY_INCONSISTENT."""
        if self.root() != expected:
            raise Unverified(
                REASON_HISTORY_INCONSISTENT,
                f"The tiles do not hash to the checkpoint's root at {self._size}.",
            )

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Make the proof for one leaf."""
        return merkle.inclusion_from(self.node, index, self._size)

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """Make the proof that this tree continues an older one."""
        return merkle.consistency_from(self.node, old_size, self._size)

    def _stored(self, level: int, index: int) -> bytes:
        start = index % TILE_WIDTH * HASH_BYTES
        found = self._tile(level, index // TILE_WIDTH)[start : start + HASH_BYTES]
        if len(found) != HASH_BYTES:
            raise Malformed(REASON_MALFORMED_MESSAGE, "A tile is shorter than its width.")
        return found

    def _tile(self, level: int, index: int) -> bytes:
        width = min((self._size >> TILE_HEIGHT * level) - index * TILE_WIDTH, TILE_WIDTH)
        tile = Tile(level, index, width)
        if tile not in self._rows:
            data = self._read(tile)
            if len(data) != width * HASH_BYTES:
                raise Malformed(REASON_MALFORMED_MESSAGE, f"{tile.path} has not {width * HASH_BYTES} bytes.")
            self._rows[tile] = data
        return self._rows[tile]


def _row(level: int | None, size: int) -> Iterator[Tile]:
    full, rest = divmod(size, TILE_WIDTH)
    for index in range(full):
        yield Tile(level, index)
    if rest:
        yield Tile(level, full, rest)


def _number(index: int) -> str:
    last = f"{index % 1000:03d}"
    while index := index // 1000:
        last = f"x{index % 1000:03d}/{last}"
    return last


def _partial(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"


class TileTree:
    """A writer's tree, one tile a level: gives tiles as they fill, partial ones and the root when asked."""

    __slots__ = ("_levels", "_size")

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]
        self._size = 0

    @property
    def size(self) -> int:
        """Count the leaves."""
        return self._size

    def append(self, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Add a leaf hash; give the tiles this filled."""
        filled: list[tuple[Tile, bytes]] = []
        carried, level = leaf, 0
        self._size += 1
        while True:
            edge = self._levels[level]
            edge.append(carried)
            if len(edge) < TILE_WIDTH:
                return filled
            filled.append((Tile(level, (self._size >> TILE_HEIGHT * (level + 1)) - 1), b"".join(edge)))
            carried = merkle.root_of_hashes(edge)
            edge.clear()
            level += 1
            if level == len(self._levels):
                self._levels.append([])

    def partial_tiles(self) -> list[tuple[Tile, bytes]]:
        """Give the partial tiles of the present size."""
        return [
            (Tile(level, self._size >> TILE_HEIGHT * (level + 1), len(edge)), b"".join(edge))
            for level, edge in enumerate(self._levels)
            if edge
        ]

    def root(self) -> bytes:
        """Give the root over all leaves: each edge is followed by the root of what lies below it."""
        joined: bytes | None = None
        for edge in self._levels:
            hashes = edge if joined is None else [*edge, joined]
            if hashes:
                joined = merkle.root_of_hashes(hashes)
        return merkle.EMPTY_ROOT if joined is None else joined
