"""RFC 9497: every ristretto255 vector of modes 0 and 1, and what a proof refuses."""

from __future__ import annotations

import os

import pytest

from privacy import dleq, oprf, ristretto
from privacy.ciphersuite import Mode, context
from protos.problems import Malformed
from tests.unit.privacy.rfc9497 import Vector, vectors

VECTORS = vectors()
PROVEN = [vector for vector in VECTORS if vector.mode is Mode.VOPRF]
by_name = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
proven_by_name = pytest.mark.parametrize("vector", PROVEN, ids=lambda vector: vector.name)


def test_all_vectors_of_both_modes_are_here() -> None:
    assert [(vector.mode, len(vector.inputs)) for vector in VECTORS] == [
        (Mode.OPRF, 1),
        (Mode.OPRF, 1),
        (Mode.VOPRF, 1),
        (Mode.VOPRF, 1),
        (Mode.VOPRF, 2),
    ]


def test_context_string_is_the_rfcs() -> None:
    assert context(Mode.VOPRF) == b"OPRFV1-\x01-ristretto255-SHA512"


@by_name
def test_key_is_derived(vector: Vector) -> None:
    pair = oprf.derive_key_pair(vector.seed, vector.key_info, vector.mode)
    assert pair.secret == vector.secret
    assert pair.public == (vector.public or ristretto.base_mult(vector.secret))


@by_name
def test_inputs_are_blinded(vector: Vector) -> None:
    assert oprf.blind_each(vector.inputs, vector.blinds, vector.mode) == vector.blinded


@by_name
def test_blinded_elements_are_evaluated(vector: Vector) -> None:
    assert oprf.evaluate_each(vector.secret, vector.blinded) == vector.evaluated


@by_name
def test_evaluations_are_finalized(vector: Vector) -> None:
    assert tuple(oprf.finalize_each(vector.inputs, vector.blinds, vector.evaluated)) == vector.outputs


@proven_by_name
def test_proof_bytes_are_the_rfcs_and_hold(vector: Vector) -> None:
    made = dleq.prove(
        vector.secret, vector.public, vector.blinded, vector.evaluated, vector.nonce, vector.mode
    )
    assert made == vector.proof
    assert dleq.holds(vector.public, vector.blinded, vector.evaluated, vector.proof, vector.mode)


@proven_by_name
def test_every_changed_byte_of_a_proof_is_refused(vector: Vector) -> None:
    for place in range(dleq.PROOF_BYTES):
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


def test_threads_change_no_byte() -> None:
    inputs = [bytes([place % 256, place // 256]) for place in range(700)]
    blinds = b"".join(ristretto.scalar_random(os.urandom) for _ in inputs)
    pair = oprf.derive_key_pair(bytes(32), b"threads", Mode.VOPRF)
    nonce = ristretto.scalar_random(os.urandom)
    made = []
    for workers in (1, 2, 3):
        blinded = oprf.blind_each(inputs, blinds, Mode.VOPRF, workers=workers)
        evaluated = oprf.evaluate_each(pair.secret, blinded, workers=workers)
        proof = dleq.prove(pair.secret, pair.public, blinded, evaluated, nonce, Mode.VOPRF, workers=workers)
        assert dleq.holds(pair.public, blinded, evaluated, proof, Mode.VOPRF, workers=workers)
        made.append(
            (blinded, evaluated, proof, oprf.finalize_each(inputs, blinds, evaluated, workers=workers))
        )
    assert made[0] == made[1] == made[2]


def test_wrong_seed_and_long_inputs_are_refused() -> None:
    with pytest.raises(Malformed):
        oprf.derive_key_pair(bytes(31), b"", Mode.OPRF)
    with pytest.raises(Malformed):
        oprf.blind_each([bytes(65_536)], ristretto.ONE, Mode.OPRF)


def test_secret_is_not_shown() -> None:
    pair = oprf.derive_key_pair(bytes(32), b"", Mode.OPRF)
    assert "secret" not in repr(pair)


def _changed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x04]) + data[place + 1 :]
