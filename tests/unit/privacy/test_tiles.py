"""Tiles at the sizes where their edges matter; bundles in one form only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import merkle, tiles
from privacy.tiles import Tile
from protos.problems import Malformed, Unverified
from tests.simulated_log import tile_bytes

EDGE_SIZES = [0, 1, 255, 256, 257, 65_536, 70_000]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1_234_067, 8), "tile/0/x001/x234/067.p/8"),
        (Tile(2, 999), "tile/2/999"),
        (Tile(1, 1000), "tile/1/x001/000"),
        (Tile(None, 5, 255), "tile/entries/005.p/255"),
    ],
)
def test_paths(name: Tile, path: str) -> None:
    assert name.path == path


@pytest.mark.parametrize("size", EDGE_SIZES)
def test_a_log_of_any_size_has_the_tiles_its_root_needs(size: int) -> None:
    tree = tree_of(size)
    served = {tile: tile_bytes(tree, tile) for tile in tiles.tiles_of(size)}
    for tile, data in served.items():
        assert len(data) == 32 * tile.width
        above = Tile((tile.level or 0) + 1, tile.index // 256, tile.width)
        above = next(
            (other for other in served if (other.level, other.index) == (above.level, above.index)), above
        )
        if tile.width == 256:
            start = tile.index % 256 * 32
            hashes = [data[at : at + 32] for at in range(0, len(data), 32)]
            assert served[above][start : start + 32] == merkle.root_of_hashes(hashes)
    reader = tiles.HashReader(served.__getitem__, size)
    assert reader.root() == merkle.root(index.to_bytes(4, "big") for index in range(size))


@pytest.mark.parametrize("size", [1, 257, 700])
def test_any_byte_changed_in_any_tile_is_noticed(size: int) -> None:
    tree = tree_of(size)
    root = tree.root()
    for changed in tiles.tiles_of(size):
        for position in range(0, 32 * changed.width, 97):

            def read(tile: Tile, changed: Tile = changed, position: int = position) -> bytes:
                data = bytearray(tile_bytes(tree, tile))
                if tile == changed:
                    data[position] ^= 1
                return bytes(data)

            # The root is read from the highest tiles; full ones below are for an auditor to compare.
            if changed.level == 0 and changed.width == 256:
                continue
            with pytest.raises(Unverified):
                tiles.HashReader(read, size).check_root(root)


@pytest.mark.parametrize("size", [2, 255, 257, 65_537])
def test_proofs_made_from_tiles_hold(size: int) -> None:
    tree = tree_of(size)
    reader = tiles.HashReader(lambda tile: tile_bytes(tree, tile), size)
    for index in {0, size // 2, size - 1}:
        leaf = merkle.leaf_hash(index.to_bytes(4, "big"))
        merkle.verify_inclusion(leaf, index, size, reader.inclusion_proof(index), tree.root())
    for old in {1, size // 2, size - 1}:
        merkle.verify_consistency(old, tree.root(old), size, tree.root(), reader.consistency_proof(old))


def tree_of(size: int) -> merkle.Tree:
    return merkle.Tree(merkle.leaf_hash(index.to_bytes(4, "big")) for index in range(size))


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles_come_back(entries: list[bytes]) -> None:
    assert tiles.parse_bundle(tiles.encode_bundle(entries), len(entries)) == entries


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.integers(1, 30))
def test_a_bundle_cut_or_continued_is_refused(entries: list[bytes], count: int) -> None:
    data = tiles.encode_bundle(entries)
    with pytest.raises(Malformed):
        tiles.parse_bundle(data[: max(0, len(data) - count)], len(entries))
    with pytest.raises(Malformed):
        tiles.parse_bundle(data + bytes(count), len(entries))


def test_an_entry_too_long_for_its_length_is_refused() -> None:
    with pytest.raises(Malformed):
        tiles.encode_bundle([bytes(65_536)])
    assert tiles.parse_bundle(tiles.encode_bundle([bytes(65_535)]), 1) == [bytes(65_535)]


def test_a_tile_of_another_width_is_refused() -> None:
    with pytest.raises(Malformed):
        tiles.HashReader(lambda tile: bytes(64), 3).root()
