"""ML-DSA-44 (FIPS 204) for checkpoints: a second key that outlives Ed25519, drawn from the same secret seed.

The seed of a `SigningKey` is hashed with a label of its own. Who breaks Ed25519 learns a scalar that is a
hash of the seed, never the seed, so one key file to keep is enough for both.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from privacy.keys import SigningKey

PUBLIC_BYTES = 1312
SIGNATURE_BYTES = 2420

_LABEL = b"cgsp-ml-dsa-44\0"


def public_key(key: SigningKey) -> bytes:
    """Give the ML-DSA-44 public key that goes with a signing key."""
    return _private(key).public_key().public_bytes_raw()


def sign(key: SigningKey, message: bytes) -> bytes:
    """Sign with the ML-DSA-44 half of a signing key; the signature differs each time."""
    return _private(key).sign(message)


def is_signature(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether a signature holds."""
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(key: SigningKey) -> MLDSA44PrivateKey:
    return MLDSA44PrivateKey.from_seed_bytes(hashlib.sha256(_LABEL + key.seed).digest())
