"""Shamir and Feldman: any quorum carries the secret, fewer do not, a wrong share is noticed."""

from __future__ import annotations

import os
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import ristretto, shares
from privacy.shares import Share
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_PROOF_INVALID

SECRET = ristretto.scalar(2**200 + 12345)
sizes = st.integers(1, 6).flatmap(lambda count: st.tuples(st.integers(1, count), st.just(count)))


def recovered(dealing: shares.Dealing, quorum: tuple[int, ...]) -> bytes:
    value = ristretto.ZERO
    for index in quorum:
        weight = shares.lagrange_weight(index, quorum)
        value = ristretto.scalar_add(value, ristretto.scalar_mul(weight, dealing.shares[index - 1].secret))
    return value


@settings(max_examples=30, deadline=None)
@given(size=sizes)
def test_every_quorum_carries_the_secret_and_every_share_verifies(size: tuple[int, int]) -> None:
    threshold, count = size
    dealing = shares.deal(threshold=threshold, count=count, random=os.urandom, secret=SECRET)
    for quorum in combinations(range(1, count + 1), threshold):
        assert recovered(dealing, quorum) == SECRET
    for share in dealing.shares:
        shares.verify_share(share, dealing.commitments)
    assert dealing.commitments[0] == ristretto.base_mult(SECRET)
    assert dealing.key_id == shares.key_id(dealing.commitments[0])


def test_fewer_than_the_threshold_do_not_carry_the_secret() -> None:
    dealing = shares.deal(threshold=3, count=5, random=os.urandom, secret=SECRET)
    for quorum in combinations(range(1, 6), 2):
        assert recovered(dealing, quorum) != SECRET


@settings(max_examples=10, deadline=None)
@given(size=sizes)
def test_weighted_commitments_add_up_to_the_public_key(size: tuple[int, int]) -> None:
    threshold, count = size
    dealing = shares.deal(threshold=threshold, count=count, random=os.urandom)
    for quorum in combinations(range(1, count + 1), threshold):
        parts = (shares.weighted_commitment(dealing.commitments, index, quorum) for index in quorum)
        assert ristretto.total(b"".join(parts)) == dealing.commitments[0]


def test_each_dealing_draws_a_new_key() -> None:
    first, second = (shares.deal(threshold=2, count=3, random=os.urandom) for _ in range(2))
    assert first.key_id != second.key_id
    assert len(first.key_id) == 32


def test_wrong_share_is_refused_and_named() -> None:
    dealing = shares.deal(threshold=2, count=3, random=os.urandom)
    wrong = [
        Share(2, ristretto.scalar_add(dealing.shares[1].secret, ristretto.ONE)),
        Share(2, dealing.shares[2].secret),
    ]
    for share in wrong:
        with pytest.raises(Unverified) as caught:
            shares.verify_share(share, dealing.commitments)
        assert caught.value.reason == REASON_PROOF_INVALID
        assert "index 2" in caught.value.message


@pytest.mark.parametrize(("threshold", "count"), [(0, 3), (4, 3), (2, 256), (-1, 2)])
def test_impossible_sizes_are_refused(threshold: int, count: int) -> None:
    with pytest.raises(Malformed):
        shares.deal(threshold=threshold, count=count, random=os.urandom)


@pytest.mark.parametrize("quorum", [[1], [1, 2, 3], [2, 1], [2, 2], [0, 1], [1, 256], []])
def test_wrong_quorums_are_refused(quorum: list[int]) -> None:
    with pytest.raises(Malformed):
        shares.check_quorum(quorum, 2)


def test_outsider_has_no_weight() -> None:
    with pytest.raises(Malformed):
        shares.lagrange_weight(3, [1, 2])
    with pytest.raises(Malformed):
        shares.lagrange_weight(1, [1, 1])


@pytest.mark.parametrize("secret", [bytes(32), bytes(31), b"\xff" * 32])
def test_share_without_a_proper_scalar_is_refused(secret: bytes) -> None:
    with pytest.raises(Malformed):
        Share(1, secret)
    with pytest.raises(Malformed):
        shares.deal(threshold=1, count=1, random=os.urandom, secret=secret)


def test_commitments_are_elements() -> None:
    good = ristretto.base_mult(SECRET)
    shares.check_commitments([good, good])
    for bad in ([], [good, ristretto.IDENTITY], [good, b"\x01" + bytes(31)]):
        with pytest.raises(Malformed):
            shares.check_commitments(bad)


def test_secret_of_a_share_is_not_shown() -> None:
    assert repr(Share(1, SECRET)) == "Share(index=1)"
