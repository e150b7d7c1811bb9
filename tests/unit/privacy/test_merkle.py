"""Trees against RFC 6962's known roots, and proofs that hold for what is true and for nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import merkle
from protos.problems import Unverified

# Leaves and roots of the tree that Certificate Transparency implementations test each other with.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def leaves_of(size: int) -> list[bytes]:
    return [merkle.leaf_hash(index.to_bytes(4, "big")) for index in range(size)]


@pytest.mark.parametrize("size", CT_ROOTS)
def test_known_roots(size: int) -> None:
    assert merkle.root(CT_LEAVES[:size]).hex() == CT_ROOTS[size]


def test_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.integers(1, 80), st.data())
def test_inclusion_holds_for_its_leaf_alone(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(leaves, index)
    root = merkle.root_of_hashes(leaves)
    assert is_included(leaves[index], index, size, proof, root)
    for other in range(size):
        if other != index:
            assert not is_included(leaves[other], index, size, proof, root)
            assert not is_included(leaves[index], other, size, proof, root)
    assert not is_included(leaves[index], index, size, [*proof, root], root)
    assert not is_included(leaves[index], index, size, [proof[0][:31], *proof[1:]] if proof else [b""], root)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_any_byte_changed_in_an_inclusion_proof_fails(size: int) -> None:
    leaves = leaves_of(size)
    root = merkle.root_of_hashes(leaves)
    for index in range(size):
        proof = merkle.inclusion_proof(leaves, index)
        for step, position in ((s, p) for s in range(len(proof)) for p in range(32)):
            forged = list(proof)
            forged[step] = flip(forged[step], position)
            assert not is_included(leaves[index], index, size, forged, root)


@given(st.integers(0, 60), st.integers(0, 60))
def test_consistency_holds_for_a_grown_tree(first: int, second: int) -> None:
    old, new = sorted((first, second))
    leaves = leaves_of(new)
    old_root, new_root = merkle.root_of_hashes(leaves[:old]), merkle.root_of_hashes(leaves)
    proof = merkle.consistency_proof(leaves, old)
    assert is_consistent(old, old_root, new, new_root, proof)
    if old:
        assert not is_consistent(old, flip(old_root, 0), new, new_root, proof)
        assert not is_consistent(old, old_root, new, flip(new_root, 31), proof)
    assert not is_consistent(old, old_root, new, new_root, [*proof, new_root])


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 9), (6, 8), (7, 13)])
def test_any_byte_changed_in_a_consistency_proof_fails(old: int, new: int) -> None:
    leaves = leaves_of(new)
    old_root, new_root = merkle.root_of_hashes(leaves[:old]), merkle.root_of_hashes(leaves)
    proof = merkle.consistency_proof(leaves, old)
    for step in range(len(proof)):
        for position in range(32):
            forged = list(proof)
            forged[step] = flip(forged[step], position)
            assert not is_consistent(old, old_root, new, new_root, forged)


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_copied_tree_grows_apart(before: int, after: int) -> None:
    leaves = leaves_of(before + after)
    tree = merkle.CompactTree()
    tree.extend(leaves[:before])
    other = tree.copy()
    other.extend(leaves[before:])
    assert other.root() == merkle.root_of_hashes(leaves)
    assert tree.root() == merkle.root_of_hashes(leaves[:before])


@given(st.integers(0, 300), st.data())
def test_a_kept_tree_gives_any_earlier_root(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    tree = merkle.Tree(leaves)
    earlier = data.draw(st.integers(0, size))
    assert tree.root(earlier) == merkle.root_of_hashes(leaves[:earlier])
    assert merkle.consistency_from(tree.node, earlier, size) == merkle.consistency_proof(leaves, earlier)


@given(st.binary(max_size=320))
def test_rows_lying_end_to_end_are_leaves(rows: bytes) -> None:
    rows = rows[: len(rows) // 8 * 8]
    tree = merkle.CompactTree()
    tree.extend_rows(rows, 8)
    assert tree.root() == merkle.root([rows[start : start + 8] for start in range(0, len(rows), 8)])


def is_included(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    return holds(lambda: merkle.verify_inclusion(leaf, index, size, proof, root))


def is_consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    return holds(lambda: merkle.verify_consistency(old, old_root, new, new_root, proof))


def holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except Unverified:
        return False
    return True


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@given(st.lists(st.integers(0, 700), max_size=4))
def test_rows_added_in_blocks_are_the_same_leaves(counts: list[int]) -> None:
    blocks, single, number = merkle.CompactTree(), merkle.CompactTree(), 0
    for count in counts:
        rows = [(number + row).to_bytes(5, "big") for row in range(count)]
        number += count
        blocks.extend_rows(b"".join(rows), 5)
        single.extend(map(merkle.leaf_hash, rows))
        assert (blocks.size, blocks.root()) == (single.size, single.root())
        assert blocks.root() == blocks.copy().root()
