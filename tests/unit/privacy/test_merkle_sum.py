"""A leaf opens to its slot's sums and the root along its own path; any byte or amount changed does not."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import merkle, merkle_sum
from privacy.merkle_sum import EMPTY, SUM_END, Leaf, Path, SumHash, climb, node, open_leaf, place
from privacy.sum_tree import Leaves, SumTree
from protos.problems import Malformed, Problem, Unverified

EVIDENCE = hashlib.sha256(b"evidence").digest()
AMOUNTS = st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
# For each slot and measure the amounts of its days.
FORESTS = st.integers(1, 3).flatmap(
    lambda measures: st.tuples(
        st.just(measures),
        st.lists(
            st.lists(st.lists(AMOUNTS, max_size=6), min_size=measures, max_size=measures),
            min_size=1,
            max_size=7,
        ),
    )
)


def tree_of(measures: int, slots: list[list[list[tuple[int, int]]]]) -> tuple[SumTree, list[Leaf]]:
    leaves = [
        Leaf(
            10 + 3 * row,
            100 + day,
            measure,
            *amounts,
            hashlib.sha256(b"%d %d %d" % (row, measure, day)).digest(),
        )
        for row, one in enumerate(slots)
        for measure, days in enumerate(one)
        for day, amounts in enumerate(days)
    ]
    columns = Leaves(
        place=np.array([(one.slot - 10) // 3 * measures + one.measure for one in leaves], dtype=np.int64),
        day=np.array([one.day for one in leaves], dtype=np.int64),
        plus=np.array([one.plus for one in leaves], dtype=np.int64),
        minus=np.array([one.minus for one in leaves], dtype=np.int64),
        evidence=np.frombuffer(b"".join(one.evidence for one in leaves), dtype=np.uint8).reshape(-1, 32),
    )
    numbers = np.array([10 + 3 * row for row in range(len(slots))], dtype=np.int64)
    return SumTree(numbers, measures, columns), leaves


def joined(nodes: list[SumHash]) -> SumHash:
    """Join as RFC 6962 does: the left child has the largest power of two below the count."""
    if len(nodes) == 1:
        return nodes[0]
    split = 1 << (len(nodes) - 1).bit_length() - 1
    return node(joined(nodes[:split]), joined(nodes[split:]))


@given(FORESTS)
def test_built_tree_is_the_recursive_one(forest: tuple[int, list[list[list[tuple[int, int]]]]]) -> None:
    measures, slots = forest
    tree, leaves = tree_of(measures, slots)
    places = []
    for row, one in enumerate(slots):
        for measure, days in enumerate(one):
            mine = [
                leaf.sum_hash() for leaf in leaves if (leaf.slot, leaf.measure) == (10 + 3 * row, measure)
            ]
            places.append(place(10 + 3 * row, measure, len(days), joined(mine) if mine else EMPTY))
    assert tree.root == joined(places)


@given(FORESTS)
def test_every_leaf_opens_to_root_slot_sum_and_its_own_stretch(
    forest: tuple[int, list[list[list[tuple[int, int]]]]],
) -> None:
    measures, slots = forest
    tree, leaves = tree_of(measures, slots)
    before = 0
    for number, leaf in enumerate(leaves):
        assert tree.leaf(number) == leaf
        opened = open_leaf(leaf, *tree.paths(number), measures=measures)
        days = slots[(leaf.slot - 10) // 3][leaf.measure]
        assert opened.root == tree.root
        assert opened.before == before
        assert opened.slot_sums.net == sum(plus - minus for plus, minus in days)
        assert tree.net(leaf.measure)[(leaf.slot - 10) // 3] == opened.slot_sums.net
        amount = leaf.plus + leaf.minus
        if amount:
            assert tree.leaf_at(before) == number == tree.leaf_at(before + amount - 1)
        before += amount
    assert tree.root.amount == before


def sample_tree() -> tuple[SumTree, list[Leaf]]:
    slots = [[[(5, 0), (7, 2)], []], [[(1, 1), (0, 9), (3, 0)], [(4, 4)]], [[], [(8, 0), (2, 1)]]]
    return tree_of(2, slots)


def changed_bytes(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def changed_sums(sums: SumHash) -> Iterator[SumHash]:
    fields = struct.pack(">QQ32s", sums.plus, sums.minus, sums.hash)
    for data in changed_bytes(fields):
        try:
            yield SumHash(*struct.unpack(">QQ32s", data))
        except Malformed:
            continue


def changed_leaves(leaf: Leaf) -> Iterator[Leaf]:
    for data in changed_bytes(merkle_sum._LEAF.pack(0, *dataclasses.astuple(leaf))):
        tag, *fields = merkle_sum._LEAF.unpack(data)
        if tag == 0:
            yield Leaf(*fields)


def changed_paths(path: Path) -> Iterator[Path]:
    for at, sibling in enumerate(path.siblings):
        for sums in changed_sums(sibling):
            yield dataclasses.replace(path, siblings=(*path.siblings[:at], sums, *path.siblings[at + 1 :]))
    yield dataclasses.replace(path, siblings=(*path.siblings, EMPTY))
    yield dataclasses.replace(path, siblings=path.siblings[:-1], size=path.size + 1)
    for index in range(-1, path.size + 1):
        if index != path.index:
            yield dataclasses.replace(path, index=index)


def opens_the_same(leaf: Leaf, in_slot: Path, in_tree: Path, logged: bytes, salt: bytes) -> bool:
    try:
        opened = open_leaf(leaf, in_slot, in_tree, measures=2)
        merkle_sum.check_commitment(logged, salt, opened.root)
    except Problem:
        return False
    return True


def test_any_byte_of_leaf_or_path_changed_does_not_open() -> None:
    tree, leaves = sample_tree()
    salt = bytes(range(32))
    logged = merkle_sum.commitment(salt, tree.root)
    for number, leaf in enumerate(leaves):
        in_slot, in_tree = tree.paths(number)
        assert opens_the_same(leaf, in_slot, in_tree, logged, salt)
        for other in changed_leaves(leaf):
            assert not opens_the_same(other, in_slot, in_tree, logged, salt)
        for path in changed_paths(in_slot):
            assert not opens_the_same(leaf, path, in_tree, logged, salt)
        for path in changed_paths(in_tree):
            assert not opens_the_same(leaf, in_slot, path, logged, salt)


def test_any_byte_of_salt_root_or_total_changed_is_another_commitment() -> None:
    root, salt = sample_tree()[0].root, bytes(range(32))
    logged = merkle_sum.commitment(salt, root)
    merkle_sum.check_commitment(logged, salt, root)
    for other in changed_bytes(salt):
        with pytest.raises(Unverified):
            merkle_sum.check_commitment(logged, other, root)
    for sums in changed_sums(root):
        with pytest.raises(Unverified):
            merkle_sum.check_commitment(logged, salt, sums)


def test_both_child_sums_are_hashed() -> None:
    """The first sum trees hashed the added sum alone, so that a child could show less than it held."""
    left, right = SumHash(5, 0, EVIDENCE), SumHash(7, 0, EVIDENCE)
    shifted = SumHash(6, 0, EVIDENCE), SumHash(6, 0, EVIDENCE)
    assert node(left, right).hash != node(*shifted).hash


def test_evidence_binds_salt_records_and_packs() -> None:
    hashes = {
        merkle_sum.evidence_hash(salt, root, packs)
        for salt in (bytes(16), bytes([1] * 16))
        for root in (bytes(32), bytes([1] * 32))
        for packs in (("a@1",), ("a@2",), ("a@1", "b@1"))
    }
    assert len(hashes) == 12


@pytest.mark.parametrize("amounts", [(-1, 0), (0, -1), (SUM_END, 0), (SUM_END - 1, 1)])
def test_sums_out_of_range_are_refused(amounts: tuple[int, int]) -> None:
    with pytest.raises(Malformed):
        SumHash(*amounts, EVIDENCE)
    with pytest.raises(Malformed):
        Leaf(0, 0, 0, *amounts, EVIDENCE).sum_hash()


def test_sums_that_overflow_together_are_refused() -> None:
    half = SumHash(SUM_END // 2, 0, EVIDENCE)
    with pytest.raises(Malformed):
        node(half, half)
    with pytest.raises(Malformed):
        tree_of(1, [[[(SUM_END - 1, 0)]], [[(1, 0)]]])


@pytest.mark.parametrize(
    "place_day",
    [([1, 0], [1, 1]), ([0, 0], [2, 1]), ([0, 0], [1, 1]), ([0, 2], [1, 1]), ([-1, 0], [1, 1])],
)
def test_leaves_out_of_order_are_refused(place_day: tuple[list[int], list[int]]) -> None:
    places, days = (np.array(one, dtype=np.int64) for one in place_day)
    ones, evidence = np.ones(2, dtype=np.int64), np.zeros((2, 32), dtype=np.uint8)
    with pytest.raises(Malformed):
        SumTree(np.arange(2, dtype=np.int64), 1, Leaves(places, days, ones, ones, evidence))


def test_tree_without_slots_is_empty() -> None:
    none = np.zeros(0, dtype=np.int64)
    tree = SumTree(none, 2, Leaves(none, none, none, none, np.zeros((0, 32), dtype=np.uint8)))
    assert tree.root == EMPTY
    assert EMPTY.hash == merkle.EMPTY_ROOT


def test_path_of_a_tree_of_one_is_the_node_itself() -> None:
    assert climb(EMPTY, Path(0, 1, ())) == (EMPTY, 0)
