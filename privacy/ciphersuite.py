"""The ciphersuite ristretto255-SHA512 of RFC 9497 section 4.1: its modes, contexts and two hashes."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING

from privacy import ristretto

if TYPE_CHECKING:
    from hashlib import _Hash

IDENTIFIER = b"ristretto255-SHA512"

_SHA512_BLOCK_BYTES = 128
_OUTPUT_BYTES = 64


class Mode(IntEnum):
    """The protocol's variants in use (RFC 9497 section 3.1)."""

    OPRF = 0x00
    VOPRF = 0x01


@cache
def context(mode: Mode) -> bytes:
    """Give the context string that keeps the modes apart."""
    return b"OPRFV1-" + bytes([mode]) + b"-" + IDENTIFIER


def hash_to_group(message: bytes, mode: Mode) -> bytes:
    """Map a message to an element."""
    return ristretto.from_uniform(_expand(message, b"HashToGroup-" + context(mode)))


def hash_to_scalar(message: bytes, mode: Mode, tag: bytes = b"HashToScalar-") -> bytes:
    """Map a message to a scalar."""
    return ristretto.scalar_reduce(_expand(message, tag + context(mode)))


def prefixed(part: bytes) -> bytes:
    """Put a two-byte length before the part, as transcripts do."""
    return len(part).to_bytes(2, "big") + part


@cache
def _padding() -> _Hash:
    return hashlib.sha512(bytes(_SHA512_BLOCK_BYTES))


def _expand(message: bytes, tag: bytes) -> bytes:
    """Expand to 64 bytes, one block of expand_message_xmd with SHA-512 (RFC 9380 section 5.3.1)."""
    tag_prime = tag + bytes([len(tag)])
    first = _padding().copy()
    first.update(message + _OUTPUT_BYTES.to_bytes(2, "big") + b"\x00" + tag_prime)
    return hashlib.sha512(first.digest() + b"\x01" + tag_prime).digest()
