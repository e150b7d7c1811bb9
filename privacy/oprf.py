"""The oblivious pseudorandom function of RFC 9497 over ristretto255-SHA512, modes 0x00 and 0x01.

Columns are packed: n elements or n scalars of 32 bytes. Evaluation with a proof is `ristretto.mult_each` and
`dleq.prove`; a shared key's evaluation is in `privacy.pseudonyms`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from privacy import ristretto
from privacy.ciphersuite import Mode, hash_to_group, hash_to_scalar, prefixed
from privacy.ristretto import ELEMENT_BYTES, SCALAR_BYTES
from privacy.threads import spread
from protos.problems import InvariantBroken, Malformed
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN, REASON_MESSAGE_TOO_LARGE, REASON_WRONG_SHAPE

SEED_BYTES = 32
INPUT_BYTES_MAX = 65_535
_TRIES_MAX = 256


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A secret scalar and its public element."""

    secret: bytes = field(repr=False)
    public: bytes


def derive_key_pair(seed: bytes, info: bytes, mode: Mode) -> KeyPair:
    """Derive a key pair from a 32-byte seed (section 3.2.1); raises Malformed WRONG_SHAPE."""
    if len(seed) != SEED_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"A seed is {SEED_BYTES} bytes, not {len(seed)}.")
    _checked_input(info)
    for counter in range(_TRIES_MAX):
        secret = hash_to_scalar(seed + prefixed(info) + bytes([counter]), mode, b"DeriveKeyPair")
        if secret != ristretto.ZERO:
            return KeyPair(secret=secret, public=ristretto.base_mult(secret))
    raise InvariantBroken(REASON_INVARIANT_BROKEN, "256 derived keys in a row were zero.")


def blind_each(inputs: Sequence[bytes], blinds: bytes, mode: Mode, *, workers: int = 1) -> bytes:
    """Blind every input with the scalar in its place (section 3.3.1)."""
    for message in inputs:
        _checked_input(message)

    def blind(places: range) -> bytes:
        hashed = b"".join(hash_to_group(inputs[place], mode) for place in places)
        return ristretto.mult_pairs(blinds[_packed(places)], hashed)

    return b"".join(spread(blind, len(inputs), workers))


def evaluate_each(secret: bytes, blinded: bytes, *, workers: int = 1) -> bytes:
    """Multiply every blinded element by the key (section 3.3.1); raises Malformed if any element is bad."""

    def evaluate(places: range) -> bytes:
        return ristretto.mult_each(secret, blinded[_packed(places)])

    return b"".join(spread(evaluate, ristretto.count_elements(blinded), workers))


def finalize_each(
    inputs: Sequence[bytes], blinds: bytes, evaluated: bytes, *, workers: int = 1
) -> list[bytes]:
    """Unblind every evaluation and hash it with its input to 64 bytes (section 3.3.1).

    Raises Malformed WRONG_SHAPE.
    """
    if len(blinds) != len(evaluated) or len(inputs) * SCALAR_BYTES != len(blinds):
        raise Malformed(REASON_WRONG_SHAPE, "Inputs, blinds and evaluations are not equally many.")

    def finalize(places: range) -> list[bytes]:
        inverses = ristretto.scalar_invert_each(blinds[_packed(places)])
        unblinded = ristretto.mult_pairs(inverses, evaluated[_packed(places)])
        return [
            output(inputs[place], unblinded[at : at + ELEMENT_BYTES])
            for place, at in zip(places, range(0, len(unblinded), ELEMENT_BYTES), strict=True)
        ]

    return [out for part in spread(finalize, len(inputs), workers) for out in part]


def output(message: bytes, unblinded: bytes) -> bytes:
    """Hash the input and its unblinded evaluation to the function's 64-byte value."""
    return hashlib.sha512(prefixed(message) + prefixed(unblinded) + b"Finalize").digest()


def _packed(places: range) -> slice:
    return slice(places.start * ELEMENT_BYTES, places.stop * ELEMENT_BYTES)


def _checked_input(message: bytes) -> None:
    if len(message) > INPUT_BYTES_MAX:
        raise Malformed(REASON_MESSAGE_TOO_LARGE, f"An input is at most {INPUT_BYTES_MAX} bytes.")
