"""Tiles of a transparency log: paths, hash tiles and entry bundles of C2SP tlog-tiles (c2sp.org/tlog-tiles).

A tile of level L holds up to 256 roots of complete subtrees of 256^L leaves; partial ones never go up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from privacy import merkle
from privacy.merkle import HASH_BYTES
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_MALFORMED_MESSAGE, REASON_MESSAGE_TOO_LARGE

TILE_WIDTH = 256
ENTRY_BYTES_MAX = 65_535
BUNDLE_BYTES_MAX = TILE_WIDTH * (ENTRY_BYTES_MAX + 2)
# 256^8 leaves exceed any size an int64 counts.
LEVEL_MAX = 7


@dataclass(frozen=True, slots=True, order=True)
class TileName:
    """Where a tile lies: level (None for entry bundles), index, and width (256 when full)."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Give the path under the log's prefix, as tile/0/x001/234.p/17."""
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_grouped(self.index)}{partial}"


def _grouped(index: int) -> str:
    """Write an index in groups of three digits, all but the last behind an x."""
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return text


def names_of(size: int) -> Iterator[TileName]:
    """Name every tile a log of `size` entries must serve: hash tiles by level, then entry bundles."""
    count, level = size, 0
    while count:
        yield from _names(level, count)
        count //= TILE_WIDTH
        level += 1
    yield from _names(None, size)


def _names(level: int | None, hashes: int) -> Iterator[TileName]:
    full, rest = divmod(hashes, TILE_WIDTH)
    for index in range(full):
        yield TileName(level, index)
    if rest:
        yield TileName(level, full, rest)


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Write an entry bundle: each entry behind its big-endian uint16 length."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_BYTES_MAX:
            raise Malformed(
                REASON_MESSAGE_TOO_LARGE,
                f"A log entry has at most {ENTRY_BYTES_MAX} bytes; this one has {len(entry)}.",
            )
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Read a bundle of exactly `width` entries; raises Malformed on left-over or missing bytes."""
    if len(data) > BUNDLE_BYTES_MAX:
        raise Malformed(REASON_MESSAGE_TOO_LARGE, f"An entry bundle has at most {BUNDLE_BYTES_MAX} bytes.")
    entries: list[bytes] = []
    position = 0
    for _ in range(width):
        start = position + 2
        end = start + int.from_bytes(data[position:start], "big")
        if end > len(data) or start > len(data):
            raise Malformed(REASON_MALFORMED_MESSAGE, f"The entry bundle ends before its {width} entries.")
        entries.append(data[start:end])
        position = end
    if position != len(data):
        raise Malformed(REASON_MALFORMED_MESSAGE, f"The entry bundle has bytes after its {width} entries.")
    return entries


def parse_tile(data: bytes, width: int) -> list[bytes]:
    """Read a tile of exactly `width` hashes; raises Malformed."""
    if len(data) != width * HASH_BYTES:
        raise Malformed(
            REASON_MALFORMED_MESSAGE,
            f"A tile of width {width} has {width * HASH_BYTES} bytes, not {len(data)}.",
        )
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


class TileTree:
    """The tiles of a growing log: gives full tiles as they fill, partial ones and the root when asked.

    Its memory is one tile a level.
    """

    __slots__ = ("_levels", "_size")

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]
        self._size = 0

    @classmethod
    def resume(cls, size: int, edges: Sequence[Sequence[bytes]]) -> TileTree:
        """Go on from a log of `size`, given the hashes of each level's partial tile (level 0 first)."""
        tree = cls()
        tree._levels = [list(edge) for edge in edges] or [[]]
        tree._size = size
        for level, edge in enumerate(tree._levels):
            if len(edge) != size // TILE_WIDTH**level % TILE_WIDTH:
                raise AssertionError("an edge holds exactly what its level's full tiles leave over")
        return tree

    @property
    def size(self) -> int:
        """Count the leaves."""
        return self._size

    def append(self, leaf: bytes) -> list[tuple[TileName, bytes]]:
        """Add a leaf hash; give the tiles this filled."""
        filled: list[tuple[TileName, bytes]] = []
        carried, level = leaf, 0
        self._size += 1
        while True:
            edge = self._levels[level]
            edge.append(carried)
            if len(edge) < TILE_WIDTH:
                return filled
            index = self._size // TILE_WIDTH ** (level + 1) - 1
            filled.append((TileName(level, index), b"".join(edge)))
            carried = merkle.root(edge)
            edge.clear()
            level += 1
            if level == len(self._levels):
                self._levels.append([])

    def partial_tiles(self) -> list[tuple[TileName, bytes]]:
        """Give the partial tiles of the present size."""
        tiles: list[tuple[TileName, bytes]] = []
        for level, edge in enumerate(self._levels):
            if edge:
                index = self._size // TILE_WIDTH ** (level + 1)
                tiles.append((TileName(level, index, len(edge)), b"".join(edge)))
        return tiles

    def root(self) -> bytes:
        """Give the root over all leaves: each edge is followed by the root of what lies below it."""
        joined: bytes | None = None
        for edge in self._levels:
            hashes = edge if joined is None else [*edge, joined]
            if hashes:
                joined = merkle.root(hashes)
        return merkle.EMPTY_ROOT if joined is None else joined
