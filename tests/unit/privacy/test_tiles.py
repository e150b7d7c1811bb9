"""Tiles at the sizes where their edges matter; bundles in one form only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import merkle, tiles
from privacy.tiles import TileName, TileTree
from protos.problems import Malformed

EDGE_SIZES = [0, 1, 255, 256, 257, 65_536, 70_000]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(0, 0), "tile/0/000"),
        (TileName(0, 1_234_067, 8), "tile/0/x001/x234/067.p/8"),
        (TileName(2, 999), "tile/2/999"),
        (TileName(1, 1000), "tile/1/x001/000"),
        (TileName(None, 5, 255), "tile/entries/005.p/255"),
    ],
)
def test_paths(name: TileName, path: str) -> None:
    assert name.path == path


@pytest.mark.parametrize("size", EDGE_SIZES)
def test_a_log_of_any_size_has_the_tiles_its_root_needs(size: int) -> None:
    tree, compact = TileTree(), merkle.CompactTree()
    served: dict[TileName, bytes] = {}
    for index in range(size):
        leaf = merkle.leaf_hash(index.to_bytes(4, "big"))
        served.update(tree.append(leaf))
        compact.append(leaf)
    served.update(tree.partial_tiles())
    assert tree.root() == compact.root()
    assert set(served) == {name for name in tiles.names_of(size) if name.level is not None}
    for name, data in served.items():
        assert len(tiles.parse_tile(data, name.width)) == name.width
        above = TileName((name.level or 0) + 1, name.index // 256)
        if name.width == 256 and above in served:
            start = name.index % 256 * 32
            assert served[above][start : start + 32] == merkle.root(tiles.parse_tile(data, 256))


@pytest.mark.parametrize("size", [0, 255, 256, 257, 66_000])
def test_a_tree_goes_on_from_its_edges(size: int) -> None:
    leaves = [merkle.leaf_hash(index.to_bytes(4, "big")) for index in range(size + 300)]
    tree = TileTree()
    for leaf in leaves[:size]:
        tree.append(leaf)
    edges: list[list[bytes]] = [[] for _ in range(3)]
    for name, data in tree.partial_tiles():
        edges[name.level or 0] = tiles.parse_tile(data, name.width)
    resumed = TileTree.resume(size, edges)
    for leaf in leaves[size:]:
        assert resumed.append(leaf) == tree.append(leaf)
    assert resumed.root() == tree.root()


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
        tiles.parse_tile(bytes(64), 3)
