"""A simulated log as it is served."""

from __future__ import annotations

from pathlib import Path

from privacy import merkle, tiles
from tests.simulated_log import tile_bytes
from tests.simulator.writing import Writer


class Bundles(Writer):
    """Writes the log out."""

    def write_bundle(self, folder: Path, *, with_bodies: bool = True) -> Path:
        """Write what `cgsp-hub export` writes; give the file of the first trust root."""
        folder.mkdir(parents=True, exist_ok=True)
        tree = merkle.Tree(merkle.leaf_hash(entry.data) for entry in self.entries)
        files = {tile.path: tile_bytes(tree, tile) for tile in tiles.tiles_of(tree.size)}
        for tile in tiles.bundles_of(tree.size):
            first = tile.index * tiles.TILE_WIDTH
            mine = [entry.data for entry in self.entries[first : first + tile.width]]
            files[tile.path] = tiles.encode_bundle(mine)
        files["checkpoint"] = self.checkpoint()
        files["log.vkey"] = f"{self.log_vkey}\n".encode()
        for index, entry in enumerate(self.entries if with_bodies else []):
            for position, body in enumerate(entry.bodies):
                files[f"bodies/{index // 1000}/{index}-{position}"] = body
        files["../trust-root"] = self.entries[0].data
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder / "../trust-root"
