"""Secrets at rest and on their way: XChaCha20-Poly1305 under a key, sealed boxes to an X25519 key, argon2id.

Sealed bytes are nonce || ciphertext; the associated data must be given again to open them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import nacl.bindings
import nacl.exceptions
import nacl.public
import nacl.pwhash.argon2id

from privacy.ristretto import Random
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_SIGNATURE_INVALID, REASON_WRONG_SHAPE

KEY_BYTES = 32
SALT_BYTES = nacl.pwhash.argon2id.SALTBYTES
NONCE_BYTES = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
TAG_BYTES = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_ABYTES


@dataclass(frozen=True, slots=True)
class SealingKey:
    """An X25519 private key that opens what was sealed to its public half."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_key(self.secret)

    @property
    def public(self) -> bytes:
        """Give the 32 bytes others seal to."""
        return bytes(nacl.public.PrivateKey(self.secret).public_key)


def seal(plaintext: bytes, *, key: bytes, associated: bytes, random: Random) -> bytes:
    """Seal under a 32-byte key; the associated data is bound, not hidden."""
    _check_key(key)
    nonce = random(NONCE_BYTES)
    return nonce + nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, associated, nonce, key)


def open_sealed(sealed: bytes, *, key: bytes, associated: bytes) -> bytes:
    """Open what `seal` made; raises Unverified if a bit, the key or the associated data differs."""
    _check_key(key)
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise _does_not_open()
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, associated, nonce, key)
    except nacl.exceptions.CryptoError:
        raise _does_not_open() from None


def seal_to(plaintext: bytes, public: bytes) -> bytes:
    """Seal to an X25519 public key; libsodium draws the ephemeral key from the operating system.

    Raises Malformed WRONG_SHAPE.
    """
    _check_key(public)
    try:
        return nacl.public.SealedBox(nacl.public.PublicKey(public)).encrypt(plaintext)
    except nacl.exceptions.CryptoError:
        raise Malformed(REASON_WRONG_SHAPE, "The recipient's sealing key is a weak point.") from None


def open_box(sealed: bytes, key: SealingKey) -> bytes:
    """Open what was sealed to this key; raises Unverified if it was not, or a bit differs."""
    try:
        return nacl.public.SealedBox(nacl.public.PrivateKey(key.secret)).decrypt(sealed)
    except (nacl.exceptions.CryptoError, nacl.exceptions.ValueError, nacl.exceptions.TypeError):
        raise _does_not_open() from None


def key_from_passphrase(passphrase: bytes, salt: bytes) -> bytes:
    """Stretch a passphrase with argon2id (3 passes over 256 MiB) to a 32-byte key.

    Raises Malformed WRONG_SHAPE.
    """
    if len(salt) != SALT_BYTES or not passphrase:
        raise Malformed(REASON_WRONG_SHAPE, f"A passphrase is not empty and its salt is {SALT_BYTES} bytes.")
    return nacl.pwhash.argon2id.kdf(
        KEY_BYTES,
        passphrase,
        salt,
        opslimit=nacl.pwhash.argon2id.OPSLIMIT_MODERATE,
        memlimit=nacl.pwhash.argon2id.MEMLIMIT_MODERATE,
    )


def subkey(key: bytes, purpose: str) -> bytes:
    """Derive a key for one purpose from a master key (keyed BLAKE2b)."""
    _check_key(key)
    return hashlib.blake2b(purpose.encode("utf-8"), key=key, digest_size=KEY_BYTES).digest()


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"A sealing key is {KEY_BYTES} bytes, not {len(key)}.")


def _does_not_open() -> Unverified:
    return Unverified(
        REASON_SIGNATURE_INVALID,
        "Sealed bytes do not open: the key, their place or a bit of them has changed.",
        remedy="Use the key they were sealed with, or restore them from a backup.",
    )
