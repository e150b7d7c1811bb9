"""Golden logs at the sizes where tiles begin, fill and spill over: the same bytes in every version.

An entry of index i is the text "entry <i>". What is pinned is the root and a SHA-256 over all tiles and
bundles, each behind its path and length, in the order in which `tiles_of` and `bundles_of` name them.
"""

from __future__ import annotations

import hashlib

import pytest

from privacy import merkle, tiles
from privacy.merkle import leaf_hash
from privacy.tiles import TILE_WIDTH, HashReader, Tile, TileTree
from protos.problems import Unverified

GOLDEN = {
    0: (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    1: (
        "773885a613489e24ce2cf76199d6a423f042e4bbf12d7eecee912ef276c65701",
        "2a7119b7147ff215467d45bebc2447bd1ecbe89b3b5a0854d41a4d6ac591bf95",
    ),
    255: (
        "cf66793e6329dff242eb3cee0a6f36ad3e3a196dcc573a1ec775e102be863f1c",
        "3188fc5a48ba5b7208a7a2a4921ff99b26d2b0088273037d44749a09b5d44685",
    ),
    256: (
        "da6596d95369f5fef322ab8e4e0da3b0b50236aa9c8a3b1d246f7411c9e2e32e",
        "c41426e5219887c260d35cf4f020aa3e321047ccf8a78ea6a8dd8b32cc85dcd0",
    ),
    257: (
        "5c1fdfe835358022f2392de478dbe053fc130cfe1d3a082879a90cf6bf14bf7e",
        "c9bbf03e33e75661a4f2d2bbc90f16a729604c9c6de0851d42c12316a73ad480",
    ),
    65_537: (
        "b99c570aaf13b96e026383e8e252e69c7142b3ad7e6e0264f3dc10dfd884d8c5",
        "b7a3402d0418c40da912745413ff064768127d0d88dd3e63469ccda8e4090ee6",
    ),
}
LARGEST = 65_537
LEAVES = [leaf_hash(b"entry %d" % number) for number in range(LARGEST)]
WHOLE = merkle.Tree(LEAVES)


def resources(size: int) -> dict[str, bytes]:
    """Give what a static folder of this log holds, without the checkpoint."""
    writer, found = TileTree(), {}
    for leaf in LEAVES[:size]:
        found.update({tile.path: data for tile, data in writer.append(leaf)})
    found.update({tile.path: data for tile, data in writer.partial_tiles()})
    for tile in tiles.bundles_of(size):
        first = tile.index * TILE_WIDTH
        entries = [b"entry %d" % number for number in range(first, first + tile.width)]
        found[tile.path] = tiles.encode_bundle(entries)
    return found


def digest(size: int, found: dict[str, bytes]) -> str:
    whole = hashlib.sha256()
    for tile in (*tiles.tiles_of(size), *tiles.bundles_of(size)):
        data = found[tile.path]
        whole.update(b"%s %d\n" % (tile.path.encode(), len(data)) + data)
    return whole.hexdigest()


@pytest.mark.parametrize("size", list(GOLDEN))
def test_golden(size: int) -> None:
    found = resources(size)
    assert (WHOLE.root(size).hex(), digest(size, found)) == GOLDEN[size]
    assert set(found) == {tile.path for tile in (*tiles.tiles_of(size), *tiles.bundles_of(size))}


@pytest.mark.parametrize("size", [size for size in GOLDEN if size])
def test_the_folder_leads_back_to_the_root_and_proves_its_entries(size: int) -> None:
    found = resources(size)
    reader = HashReader(lambda tile: found[tile.path], size)
    reader.check_root(WHOLE.root(size))
    for index in {0, size // 2, size - 1}:
        proof = reader.inclusion_proof(index)
        merkle.verify_inclusion(LEAVES[index], index, size, proof, WHOLE.root(size))
    for old in {1, size // 2, size - 1} - {0}:
        proof = reader.consistency_proof(old)
        merkle.verify_consistency(old, WHOLE.root(old), size, WHOLE.root(size), proof)


@pytest.mark.parametrize(
    ("index", "size"), [(0, 255), (255, 256), (256, 257), (65_536, 65_537), (777, 65_537)]
)
def test_any_byte_changed_in_an_inclusion_proof_fails(index: int, size: int) -> None:
    proof, root = merkle.inclusion_from(WHOLE.node, index, size), WHOLE.root(size)
    merkle.verify_inclusion(LEAVES[index], index, size, proof, root)
    for changed in changes(proof):
        with pytest.raises(Unverified):
            merkle.verify_inclusion(LEAVES[index], index, size, changed, root)


@pytest.mark.parametrize(("old", "size"), [(1, 255), (255, 256), (256, 257), (257, 65_537), (65_536, 65_537)])
def test_any_byte_changed_in_a_consistency_proof_fails(old: int, size: int) -> None:
    proof = merkle.consistency_from(WHOLE.node, old, size)
    roots = WHOLE.root(old), WHOLE.root(size)
    merkle.verify_consistency(old, roots[0], size, roots[1], proof)
    for changed in changes(proof):
        with pytest.raises(Unverified):
            merkle.verify_consistency(old, roots[0], size, roots[1], changed)


def changes(proof: list[bytes]) -> list[list[bytes]]:
    """Give every proof that differs in one byte, lacks an end, or has a hash too many."""
    found = [proof[:-1], proof[1:], [*proof, bytes(32)]]
    for number, item in enumerate(proof):
        for position in range(len(item)):
            byte = bytes([item[position] ^ 1 << position % 8])
            changed = item[:position] + byte + item[position + 1 :]
            found.append([*proof[:number], changed, *proof[number + 1 :]])
    return found


def test_partial_tiles_are_named_by_their_width() -> None:
    assert [tile.path for tile in tiles.tiles_of(257)] == ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]
    assert Tile(0, 1_234_067).path == "tile/0/x001/x234/067"
