"""Proofs: the RFC's bytes, and every change to proof, elements or key refused."""

from __future__ import annotations

import pytest

from privacy import dleq, ristretto
from privacy.ciphersuite import Mode
from protos.problems import Malformed
from tests.unit.privacy.rfc9497 import Vector, vectors

PROVEN = [vector for vector in vectors() if vector.mode is Mode.VOPRF]
proven_by_name = pytest.mark.parametrize("vector", PROVEN, ids=lambda vector: vector.name)


@proven_by_name
def test_proof_bytes_are_the_rfcs_and_hold(vector: Vector) -> None:
    made = dleq.prove(
        vector.secret, vector.public, vector.blinded, vector.evaluated, vector.nonce, vector.mode
    )
    assert made == vector.proof
    assert dleq.holds(vector.public, vector.blinded, vector.evaluated, vector.proof, vector.mode)


@proven_by_name
def test_every_changed_byte_of_a_proof_is_refused(vector: Vector) -> None:
    for place in range(len(vector.proof)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(vector.proof)
            changed[place] ^= flip
            assert not dleq.holds(
                vector.public, vector.blinded, vector.evaluated, bytes(changed), vector.mode
            )


@proven_by_name
def test_every_changed_byte_of_elements_and_key_is_refused(vector: Vector) -> None:
    for place in range(len(vector.blinded)):
        assert not dleq.holds(
            vector.public, _changed(vector.blinded, place), vector.evaluated, vector.proof, vector.mode
        )
        assert not dleq.holds(
            vector.public, vector.blinded, _changed(vector.evaluated, place), vector.proof, vector.mode
        )
    for place in range(len(vector.public)):
        assert not dleq.holds(
            _changed(vector.public, place), vector.blinded, vector.evaluated, vector.proof, vector.mode
        )


def test_proof_of_one_mode_does_not_hold_in_the_other() -> None:
    vector = PROVEN[0]
    assert not dleq.holds(vector.public, vector.blinded, vector.evaluated, vector.proof, Mode.OPRF)


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 128])
def test_proof_of_another_length_is_refused(length: int) -> None:
    vector = PROVEN[0]
    assert not dleq.holds(
        vector.public, vector.blinded, vector.evaluated, (vector.proof * 2)[:length], vector.mode
    )


def test_response_beyond_the_groups_order_is_refused() -> None:
    vector = PROVEN[0]
    beyond = int.from_bytes(vector.proof[32:], "little") + ristretto.ORDER
    proof = vector.proof[:32] + beyond.to_bytes(32, "little")
    assert not dleq.holds(vector.public, vector.blinded, vector.evaluated, proof, vector.mode)


def test_elements_in_another_order_are_refused() -> None:
    vector = PROVEN[2]
    swapped_in = vector.blinded[32:] + vector.blinded[:32]
    swapped_out = vector.evaluated[32:] + vector.evaluated[:32]
    assert not dleq.holds(vector.public, swapped_in, swapped_out, vector.proof, vector.mode)
    assert not dleq.holds(vector.public, vector.blinded, swapped_out, vector.proof, vector.mode)


def test_nothing_and_too_much_are_not_proven() -> None:
    element = ristretto.base_mult(ristretto.ONE)
    for elements in (b"", element * (dleq.ELEMENTS_MAX + 1)):
        with pytest.raises(Malformed):
            dleq.prove(ristretto.ONE, element, elements, elements, ristretto.ONE, Mode.VOPRF)
        assert not dleq.holds(element, elements, elements, ristretto.ONE * 2, Mode.VOPRF)


def _changed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x04]) + data[place + 1 :]
