"""Signing keys: Ed25519 (RFC 8032) through libsodium; the registered key says the suite."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from nacl import bindings
from nacl.exceptions import BadSignatureError, CryptoError

from protos.problems import Malformed, Unverified
from protos.v1 import trust_pb2
from protos.v1.problem_pb2 import (
    REASON_CONFIGURATION_INVALID,
    REASON_SIGNATURE_INVALID,
    REASON_UNKNOWN_FIELD_VALUE,
    REASON_WRONG_SHAPE,
)
from protos.v1.trust_pb2 import SUITE_CGSP_INTL_1, Suite

PUBLIC_BYTES = 32
SEED_BYTES = 32
SIGNATURE_BYTES = 64
KEYIDS_KEPT_MAX = 4_096

_PRIVATE_HEAD = "cgsp-private-key-1"
_PUBLIC_HEAD = "cgsp-public-key-1"
_SUITE_NAMES = {SUITE_CGSP_INTL_1: "CGSP-INTL-1"}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_KEY_FILE_BYTES_MAX = 1024


@lru_cache(KEYIDS_KEPT_MAX)
def keyid(suite: Suite.ValueType, public: bytes) -> str:
    """Name a key by hex SHA-256 of suite id and public key; a hint for look-up, never a reason to trust."""
    return hashlib.sha256(_suite_name(suite).encode() + b"\0" + public).hexdigest()


def checked_id(value: str, what: str) -> str:
    """Take a party's or thing's id; raises Malformed unless it is [a-z0-9][a-z0-9-]{1,62}."""
    if not _NAME.fullmatch(value):
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE,
            f"{what} must be 2 to 63 of a-z, 0-9 and '-', starting with a letter or digit.",
        )
    return value


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key with its suite; the name is for people and takes no part in equality."""

    public: bytes
    suite: Suite.ValueType = SUITE_CGSP_INTL_1
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        _suite_name(self.suite)
        if len(self.public) != PUBLIC_BYTES:
            raise Malformed(
                REASON_WRONG_SHAPE, f"A public key has {PUBLIC_BYTES} bytes, not {len(self.public)}."
            )

    @property
    def keyid(self) -> str:
        """Hex SHA-256 of suite and key."""
        return keyid(self.suite, self.public)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a detached signature; raises Unverified."""
        if not self.is_signature(message, signature):
            raise Unverified(REASON_SIGNATURE_INVALID, f"A signature by key {self.keyid[:16]} does not hold.")

    def is_signature(self, message: bytes, signature: bytes) -> bool:
        """Say whether a detached signature holds."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            bindings.crypto_sign_open(signature + message, self.public)
        except (BadSignatureError, CryptoError):
            return False
        return True

    def to_wire(self) -> trust_pb2.Key:
        """Give the key as it stands in a trust root."""
        return trust_pb2.Key(name=self.name, suite=self.suite, public_key=self.public)

    @classmethod
    def from_wire(cls, key: trust_pb2.Key) -> VerifyKey:
        """Take a key from a trust root; raises Malformed on an unknown suite or wrong length."""
        return cls(public=key.public_key, suite=key.suite, name=key.name)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private Ed25519 key, by its 32-byte seed."""

    seed: bytes = field(repr=False)
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise Malformed(REASON_WRONG_SHAPE, f"A signing key's seed has {SEED_BYTES} bytes.")

    @property
    def verify_key(self) -> VerifyKey:
        """The public half."""
        public, _ = bindings.crypto_sign_seed_keypair(self.seed)
        return VerifyKey(public=public, name=self.name)

    @property
    def keyid(self) -> str:
        """The public half's keyid."""
        return self.verify_key.keyid

    def sign(self, message: bytes) -> bytes:
        """Give the 64-byte detached signature."""
        _, secret = bindings.crypto_sign_seed_keypair(self.seed)
        return bindings.crypto_sign(message, secret)[:SIGNATURE_BYTES]


def generate(random: Callable[[int], bytes], name: str = "") -> SigningKey:
    """Make a key from the caller's randomness (`secrets.token_bytes` outside tests)."""
    return SigningKey(seed=random(SEED_BYTES), name=name)


def encode_private(key: SigningKey) -> bytes:
    """Write a private key file: one line of head, name, suite and base64 seed."""
    return _encode(_PRIVATE_HEAD, key.name, SUITE_CGSP_INTL_1, key.seed)


def decode_private(data: bytes) -> SigningKey:
    """Read a private key file; raises Malformed, never showing its content."""
    name, _, seed = _decode(_PRIVATE_HEAD, data)
    return SigningKey(seed=seed, name=name)


def encode_public(key: VerifyKey) -> bytes:
    """Write a public key file: one line of head, name, suite and base64 key."""
    return _encode(_PUBLIC_HEAD, key.name, key.suite, key.public)


def decode_public(data: bytes) -> VerifyKey:
    """Read a public key file; raises Malformed."""
    name, suite, public = _decode(_PUBLIC_HEAD, data)
    return VerifyKey(public=public, suite=suite, name=name)


def _suite_name(suite: Suite.ValueType) -> str:
    if suite not in _SUITE_NAMES:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, f"Suite {suite} is not known; {SUITE_CGSP_INTL_1} is CGSP-INTL-1."
        )
    return _SUITE_NAMES[suite]


def _encode(head: str, name: str, suite: Suite.ValueType, secret_or_public: bytes) -> bytes:
    body = base64.b64encode(secret_or_public).decode()
    return f"{head} {name or 'unnamed'} {_suite_name(suite)} {body}\n".encode()


def _decode(head: str, data: bytes) -> tuple[str, Suite.ValueType, bytes]:
    suites = {name: suite for suite, name in _SUITE_NAMES.items()}
    try:
        if len(data) > _KEY_FILE_BYTES_MAX:
            raise ValueError
        found, name, suite, body = data.decode("ascii").split()
        content = base64.b64decode(body, validate=True)
        if found != head or _encode(head, name, suites[suite], content) != data:
            raise ValueError
    except (ValueError, KeyError, binascii.Error):
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"This is not a key file: one line '{head} NAME SUITE BASE64' was expected.",
        ) from None
    return name, suites[suite], content
