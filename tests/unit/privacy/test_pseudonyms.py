"""Pseudonyms: every quorum gives the RFC's evaluation, everybody one name, a forger is caught by index."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import pseudonyms, ristretto, shares
from privacy.ciphersuite import Mode
from privacy.pseudonyms import BlindedBatch, CustodianAnswer, PseudonymKeyView
from privacy.shares import Dealing
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_PROOF_INVALID, REASON_WRONG_SHAPE
from tests.unit.privacy.rfc9497 import vectors

VOPRF = [vector for vector in vectors() if vector.mode is Mode.VOPRF]
DEALING = shares.deal(threshold=2, count=3, random=os.urandom)
KEY = PseudonymKeyView(2, DEALING.commitments)
QUORUM = (1, 3)


def answers(dealing: Dealing, quorum: tuple[int, ...], blinded: bytes) -> list[CustodianAnswer]:
    return [
        pseudonyms.evaluate_batch(dealing.shares[index - 1], quorum, blinded, os.urandom) for index in quorum
    ]


@pytest.mark.parametrize(("threshold", "count"), [(2, 3), (3, 5)])
@pytest.mark.parametrize("vector", VOPRF, ids=lambda vector: vector.name)
def test_every_quorum_combines_to_the_rfcs_evaluation(vector, threshold, count) -> None:  # type: ignore[no-untyped-def]
    dealing = shares.deal(threshold=threshold, count=count, random=os.urandom, secret=vector.secret)
    key = PseudonymKeyView(threshold, dealing.commitments)
    assert key.commitments[0] == vector.public
    batch = BlindedBatch(vector.blinded, vector.inputs, vector.blinds)
    for quorum in combinations(range(1, count + 1), threshold):
        given_answers = answers(dealing, quorum, vector.blinded)
        combined = given_answers[0].evaluated
        for answer in given_answers[1:]:
            combined = ristretto.add_each(combined, answer.evaluated)
        assert combined == vector.evaluated
        names = pseudonyms.combine_batch(batch, given_answers, key, quorum)
        assert names == [value[:16] for value in vector.outputs]


@settings(max_examples=15, deadline=None)
@given(identifiers=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6))
def test_one_identifier_has_one_pseudonym_whoever_asks_whatever_quorum(identifiers: list[bytes]) -> None:
    first = pseudonyms.blind_batch(identifiers, os.urandom)
    again = pseudonyms.blind_batch(identifiers, os.urandom)
    assert first.blinded != again.blinded
    names = pseudonyms.combine_batch(first, answers(DEALING, (1, 2), first.blinded), KEY, (1, 2))
    others = pseudonyms.combine_batch(again, answers(DEALING, (2, 3), again.blinded), KEY, (2, 3))
    assert names == others
    assert all(len(name) == 16 for name in names)
    assert len(set(names)) == len(set(identifiers))


@pytest.fixture
def batch() -> BlindedBatch:
    return pseudonyms.blind_batch([b"a", b"b", b"c"], os.urandom)


def refused(batch: BlindedBatch, given_answers: list[CustodianAnswer], index: int) -> None:
    with pytest.raises(Unverified) as caught:
        pseudonyms.combine_batch(batch, given_answers, KEY, QUORUM)
    assert caught.value.reason == REASON_PROOF_INVALID
    assert f"custodian {index}" in caught.value.message


def test_forged_element_is_refused_and_its_custodian_named(batch: BlindedBatch) -> None:
    one, three = answers(DEALING, QUORUM, batch.blinded)
    other = ristretto.base_mult(ristretto.scalar(5))
    for place in range(3):
        forged = three.evaluated[: place * 32] + other + three.evaluated[place * 32 + 32 :]
        refused(batch, [one, replace(three, evaluated=forged)], 3)


def test_every_flipped_byte_of_a_proof_is_refused_and_named(batch: BlindedBatch) -> None:
    one, three = answers(DEALING, QUORUM, batch.blinded)
    for place in range(64):
        forged = bytearray(one.proof)
        forged[place] ^= 0x10
        refused(batch, [replace(one, proof=bytes(forged)), three], 1)


@pytest.mark.parametrize("bad", [ristretto.IDENTITY, b"\x01" + bytes(31), b"\xff" * 32])
def test_identity_and_noncanonical_answers_are_refused_and_named(batch: BlindedBatch, bad: bytes) -> None:
    one, three = answers(DEALING, QUORUM, batch.blinded)
    refused(batch, [one, replace(three, evaluated=three.evaluated[:-32] + bad)], 3)


def test_short_answer_and_answer_for_another_quorum_are_refused(batch: BlindedBatch) -> None:
    one, three = answers(DEALING, QUORUM, batch.blinded)
    refused(batch, [replace(one, evaluated=one.evaluated[:-32]), three], 1)
    refused(batch, [replace(one, evaluated=one.evaluated[:-1]), three], 1)
    elsewhere = pseudonyms.evaluate_batch(DEALING.shares[0], (1, 2), batch.blinded, os.urandom)
    refused(batch, [elsewhere, three], 1)


def test_answers_must_be_the_quorums(batch: BlindedBatch) -> None:
    one, three = answers(DEALING, QUORUM, batch.blinded)
    for given_answers in ([one], [one, one], [one, three, three], []):
        with pytest.raises(Malformed):
            pseudonyms.combine_batch(batch, given_answers, KEY, QUORUM)
    with pytest.raises(Malformed):
        pseudonyms.combine_batch(batch, [one, three], KEY, (1, 2, 3))


def test_answers_may_come_in_any_order(batch: BlindedBatch) -> None:
    one, three = answers(DEALING, QUORUM, batch.blinded)
    names = pseudonyms.combine_batch(batch, [one, three], KEY, QUORUM)
    assert pseudonyms.combine_batch(batch, [three, one], KEY, QUORUM) == names


@pytest.mark.parametrize("bad", [ristretto.IDENTITY, b"\x01" + bytes(31)])
def test_custodian_refuses_identity_and_noncanonical_elements(batch: BlindedBatch, bad: bytes) -> None:
    with pytest.raises(Malformed):
        pseudonyms.evaluate_batch(DEALING.shares[0], QUORUM, batch.blinded + bad, os.urandom)


def test_batch_sizes_are_bounded() -> None:
    element = ristretto.base_mult(ristretto.ONE)
    assert pseudonyms.check_batch(element * 65_535) == 65_535
    for blinded in (b"", element * 65_536, element[:-1]):
        with pytest.raises(Malformed) as caught:
            pseudonyms.check_batch(blinded)
        assert caught.value.reason == REASON_WRONG_SHAPE
    with pytest.raises(Malformed):
        pseudonyms.blind_batch([], os.urandom)


def test_key_view_is_checked() -> None:
    with pytest.raises(Malformed):
        PseudonymKeyView(3, DEALING.commitments)
    with pytest.raises(Malformed):
        PseudonymKeyView(2, (DEALING.commitments[0], ristretto.IDENTITY))
    assert KEY.key_id == DEALING.key_id


def test_batch_shows_neither_identifiers_nor_blinds(batch: BlindedBatch) -> None:
    assert "identifiers" not in repr(batch)
    assert "blinds" not in repr(batch)
