"""A whole log read as a stranger reads it: the entries are the signed root's, the tiles theirs."""

from __future__ import annotations

from privacy import merkle, tiles
from privacy.checkpoint import Vkey
from runtime.log_follower import Entry, read_head
from runtime.log_reader import LogReader
from tests.simulated_log import tile_bytes


def read_entries(reader: LogReader, vkey: Vkey | str) -> list[Entry]:
    """Read the entries up to the signed checkpoint, and hold every tile of hashes against them."""
    head = read_head(reader, vkey)
    entries: list[bytes] = []
    for bundle in tiles.bundles_of(head.size):
        entries += tiles.parse_bundle(reader.entries(bundle.index, bundle.width), bundle.width)
    tree = merkle.Tree(map(merkle.leaf_hash, entries))
    assert tree.root() == head.root
    for tile in tiles.tiles_of(head.size):
        assert reader.tile(tile.level or 0, tile.index, tile.width) == tile_bytes(tree, tile)
    return [Entry(index, data) for index, data in enumerate(entries)]
