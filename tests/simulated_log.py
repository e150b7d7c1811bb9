"""A C2SP log in memory: the same LogReader as a folder or a hub, plus what a dishonest one may do."""

from __future__ import annotations

from pathlib import Path

from privacy import checkpoint, merkle, tiles
from privacy.checkpoint import Checkpoint, Vkey
from privacy.keys import SigningKey
from privacy.tiles import TILE_WIDTH, Tile
from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_PEER_UNREACHABLE
from runtime.log_reader import body_path


def tile_bytes(tree: merkle.Tree, tile: Tile) -> bytes:
    """Give a tile's hashes, end to end."""
    return tree.nodes(tiles.TILE_HEIGHT * (tile.level or 0), tile.index * TILE_WIDTH, tile.width)


class SimulatedLog:
    """Entries and bodies that a test may append to or tamper with; signed over whatever they are."""

    def __init__(self, origin: str, key: SigningKey) -> None:
        self.origin = origin
        self.key = key
        self.list: list[bytes] = []
        self.bodies_by_index: dict[int, list[bytes]] = {}
        self.reads: list[str] = []
        # So many readings of bodies find nobody at the other end.
        self.losing = 0

    @property
    def vkey(self) -> Vkey:
        """Give the log's verifier key."""
        return checkpoint.log_vkey(self.origin, self.key.verify_key)

    def append(self, *entries: bytes) -> None:
        """Add entries."""
        self.list.extend(entries)

    @property
    def tree(self) -> merkle.Tree:
        """Give the tree over the entries."""
        return merkle.Tree(map(merkle.leaf_hash, self.list))

    def checkpoint(self) -> bytes:
        """Sign the present entries."""
        head = Checkpoint(self.origin, len(self.list), self.tree.root())
        return checkpoint.sign_checkpoint(head, self.key)

    def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """Read a tile of hashes."""
        self.reads.append(tiles.tile_path(level, index, width))
        return tile_bytes(self.tree, Tile(level, index, width))

    def entries(self, index: int, width: int = TILE_WIDTH) -> bytes:
        """Read an entry bundle."""
        self.reads.append(tiles.entries_path(index, width))
        found = self.list[index * TILE_WIDTH : index * TILE_WIDTH + width]
        if len(found) != width:
            raise Unavailable(REASON_NOT_FOUND, "The log has no such resource.")
        return tiles.encode_bundle(found)

    def body(self, index: int, position: int) -> bytes | None:
        """Read one body."""
        bodies = self.bodies_by_index.get(index, [])
        return bodies[position] if position < len(bodies) else None

    def bodies(self, index: int) -> list[bytes] | None:
        """Read all bodies."""
        if self.losing:
            self.losing -= 1
            raise Unavailable(REASON_PEER_UNREACHABLE, "The hub is down.")
        return self.bodies_by_index.get(index, [])

    def write(self, folder: Path) -> None:
        """Write the log as a bundle."""
        files = {"checkpoint": self.checkpoint(), "log.vkey": f"{self.vkey}\n".encode()}
        size = len(self.list)
        files |= {
            tile.path: self.tile(tile.level or 0, tile.index, tile.width) for tile in tiles.tiles_of(size)
        }
        files |= {name.path: self.entries(name.index, name.width) for name in tiles.bundles_of(size)}
        for index, bodies in self.bodies_by_index.items():
            files |= {body_path(index, position): body for position, body in enumerate(bodies)}
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
