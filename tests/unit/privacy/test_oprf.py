"""RFC 9497: every ristretto255 vector of modes 0 and 1, bounds, threads."""

from __future__ import annotations

import os

import pytest

from privacy import dleq, oprf, ristretto
from privacy.ciphersuite import Mode, context
from protos.problems import Malformed
from tests.unit.privacy.rfc9497 import Vector, vectors

VECTORS = vectors()
by_name = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


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
