"""One proof that many elements were multiplied by the key behind a public one, RFC 9497 section 2.2.

A proof is c || s, 64 bytes, and covers at most 65,535 elements: the transcript numbers them with two bytes.
"""

from __future__ import annotations

import hashlib

from privacy import ristretto
from privacy.ciphersuite import Mode, context, hash_to_scalar, prefixed
from privacy.ristretto import ELEMENT_BYTES, SCALAR_BYTES
from privacy.threads import spread
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_WRONG_SHAPE

ELEMENTS_MAX = 65_535


def prove(
    key: bytes, public: bytes, inputs: bytes, outputs: bytes, nonce: bytes, mode: Mode, *, workers: int = 1
) -> bytes:
    """Prove that outputs = key * inputs and public = key * G; the nonce is a fresh random scalar."""
    weights = _composite_weights(public, inputs, outputs, mode, workers)
    combined_input = _weighted_total(weights, inputs, workers)
    combined_output = ristretto.mult(key, combined_input)
    base_commitment = ristretto.base_mult(nonce)
    input_commitment = ristretto.mult(nonce, combined_input)
    challenge = _challenge(public, combined_input, combined_output, base_commitment, input_commitment, mode)
    return challenge + ristretto.scalar_sub(nonce, ristretto.scalar_mul(challenge, key))


def holds(
    public: bytes, inputs: bytes, outputs: bytes, proof: bytes, mode: Mode, *, workers: int = 1
) -> bool:
    """Say whether the proof holds for these elements; whatever is malformed does not."""
    challenge, response = proof[:SCALAR_BYTES], proof[SCALAR_BYTES:]
    if not (ristretto.is_scalar(challenge) and ristretto.is_scalar(response)):
        return False
    try:
        weights = _composite_weights(public, inputs, outputs, mode, workers)
        combined_input = _weighted_total(weights, inputs, workers)
        combined_output = _weighted_total(weights, outputs, workers)
        base_commitment = ristretto.add(ristretto.base_mult(response), ristretto.mult(challenge, public))
        input_commitment = ristretto.add(
            ristretto.mult(response, combined_input), ristretto.mult(challenge, combined_output)
        )
    except Malformed:
        return False
    return challenge == _challenge(
        public, combined_input, combined_output, base_commitment, input_commitment, mode
    )


def _composite_weights(public: bytes, inputs: bytes, outputs: bytes, mode: Mode, workers: int) -> bytes:
    """Derive one scalar per pair of elements (the d_i of ComputeComposites)."""
    count = ristretto.count_elements(inputs)
    if len(outputs) != len(inputs) or not 1 <= count <= ELEMENTS_MAX:
        raise Malformed(
            REASON_WRONG_SHAPE,
            f"A proof covers 1 to {ELEMENTS_MAX} pairs; {len(inputs)} and {len(outputs)} bytes came.",
        )
    seed = prefixed(hashlib.sha512(prefixed(public) + prefixed(b"Seed-" + context(mode))).digest())

    def weigh(places: range) -> bytes:
        return b"".join(
            hash_to_scalar(
                seed
                + place.to_bytes(2, "big")
                + prefixed(inputs[place * ELEMENT_BYTES : (place + 1) * ELEMENT_BYTES])
                + prefixed(outputs[place * ELEMENT_BYTES : (place + 1) * ELEMENT_BYTES])
                + b"Composite",
                mode,
            )
            for place in places
        )

    return b"".join(spread(weigh, count, workers))


def _weighted_total(weights: bytes, elements: bytes, workers: int) -> bytes:
    """Sum weight times element over the columns."""

    def add_up(places: range) -> bytes:
        part = slice(places.start * ELEMENT_BYTES, places.stop * ELEMENT_BYTES)
        return ristretto.total(ristretto.mult_pairs(weights[part], elements[part]))

    count = ristretto.count_elements(elements)
    return ristretto.total(b"".join(spread(add_up, count, workers)))


def _challenge(
    public: bytes,
    combined_input: bytes,
    combined_output: bytes,
    base_commitment: bytes,
    input_commitment: bytes,
    mode: Mode,
) -> bytes:
    """Hash the transcript to the challenge scalar."""
    parts = (public, combined_input, combined_output, base_commitment, input_commitment)
    return hash_to_scalar(b"".join(map(prefixed, parts)) + b"Challenge", mode)
