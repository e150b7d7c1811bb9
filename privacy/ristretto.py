"""The group ristretto255 (RFC 9496) as libsodium computes it: elements and scalars are 32 bytes each.

libsodium does all arithmetic, on elements and on scalars, in constant time; nothing here computes on a curve.
Every element from outside passes through a libsodium call that refuses encodings which are not canonical, and
the identity is refused wherever the protocol expects an element. Functions in `_each` work on packed columns.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TypeAlias

from privacy.sodium import library
from protos.problems import InvariantBroken, Malformed
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN, REASON_MALFORMED_MESSAGE, REASON_WRONG_SHAPE

# Gives that many unpredictable bytes: os.urandom, or a fixed stream in tests.
Random: TypeAlias = Callable[[int], bytes]

ELEMENT_BYTES = 32
SCALAR_BYTES = 32
UNIFORM_BYTES = 64
ORDER = 2**252 + 27742317777372353535851937790883648493
IDENTITY = bytes(ELEMENT_BYTES)
ZERO = bytes(SCALAR_BYTES)
ONE = b"\x01" + bytes(SCALAR_BYTES - 1)


def _refused_element() -> Malformed:
    return Malformed(
        REASON_MALFORMED_MESSAGE,
        "An element is the identity or not a canonical ristretto255 encoding.",
        remedy="Send elements as RFC 9496 encodes them; the identity is never one of them.",
    )


def count_elements(elements: bytes) -> int:
    """Count packed elements; raises Malformed unless they are whole."""
    if len(elements) % ELEMENT_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"{len(elements)} bytes are not whole elements of 32 bytes.")
    return len(elements) // ELEMENT_BYTES


def is_element(data: bytes) -> bool:
    """Say whether the bytes are the canonical encoding of an element other than the identity."""
    if len(data) != ELEMENT_BYTES or data == IDENTITY:
        return False
    return bool(library().crypto_core_ristretto255_is_valid_point(data))


def is_scalar(data: bytes) -> bool:
    """Say whether the bytes are the canonical encoding of a scalar other than zero."""
    return len(data) == SCALAR_BYTES and 0 < int.from_bytes(data, "little") < ORDER


def scalar(value: int) -> bytes:
    """Encode a public number as a scalar."""
    return (value % ORDER).to_bytes(SCALAR_BYTES, "little")


def scalar_reduce(uniform: bytes) -> bytes:
    """Reduce 64 uniform bytes, little-endian, to a scalar."""
    if len(uniform) != UNIFORM_BYTES:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "A scalar is reduced from 64 bytes.")
    out = ctypes.create_string_buffer(SCALAR_BYTES)
    library().crypto_core_ristretto255_scalar_reduce(out, uniform)
    return out.raw


def scalar_random(random: Random) -> bytes:
    """Draw a uniform scalar other than zero."""
    while (drawn := scalar_reduce(random(UNIFORM_BYTES))) == ZERO:
        pass
    return drawn


def scalar_add(left: bytes, right: bytes) -> bytes:
    """Add modulo the group's order."""
    out = ctypes.create_string_buffer(SCALAR_BYTES)
    library().crypto_core_ristretto255_scalar_add(out, left, right)
    return out.raw


def scalar_sub(left: bytes, right: bytes) -> bytes:
    """Subtract modulo the group's order."""
    out = ctypes.create_string_buffer(SCALAR_BYTES)
    library().crypto_core_ristretto255_scalar_sub(out, left, right)
    return out.raw


def scalar_mul(left: bytes, right: bytes) -> bytes:
    """Multiply modulo the group's order."""
    out = ctypes.create_string_buffer(SCALAR_BYTES)
    library().crypto_core_ristretto255_scalar_mul(out, left, right)
    return out.raw


def scalar_invert(value: bytes) -> bytes:
    """Invert modulo the group's order; zero has no inverse."""
    out = ctypes.create_string_buffer(SCALAR_BYTES)
    if library().crypto_core_ristretto255_scalar_invert(out, value) != 0:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "Zero was to be inverted.")
    return out.raw


def scalar_invert_each(scalars: bytes) -> bytes:
    """Invert packed scalars with one inversion and three multiplications each (Montgomery's trick)."""
    values = [scalars[at : at + SCALAR_BYTES] for at in range(0, len(scalars), SCALAR_BYTES)]
    products = [ONE]
    for value in values:
        products.append(scalar_mul(products[-1], value))
    rest = scalar_invert(products.pop())
    inverses = []
    for value, before in zip(reversed(values), reversed(products), strict=True):
        inverses.append(scalar_mul(rest, before))
        rest = scalar_mul(rest, value)
    return b"".join(reversed(inverses))


def from_uniform(uniform: bytes) -> bytes:
    """Map 64 uniform bytes to an element (RFC 9496 section 4.3.4)."""
    if len(uniform) != UNIFORM_BYTES:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "An element is derived from 64 bytes.")
    out = ctypes.create_string_buffer(ELEMENT_BYTES)
    library().crypto_core_ristretto255_from_hash(out, uniform)
    return out.raw


def base_mult(value: bytes) -> bytes:
    """Multiply the group's generator by a scalar other than zero."""
    out = ctypes.create_string_buffer(ELEMENT_BYTES)
    if library().crypto_scalarmult_ristretto255_base(out, value) != 0:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "The generator was to be multiplied by zero.")
    return out.raw


def mult(value: bytes, element: bytes) -> bytes:
    """Multiply an element by a scalar; raises Malformed on a bad element or if the identity comes out."""
    if len(element) != ELEMENT_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"An element is 32 bytes, not {len(element)}.")
    return mult_each(value, element)


def add(left: bytes, right: bytes) -> bytes:
    """Add two elements, of which either may be the identity; raises Malformed on bad encodings."""
    if len(left) != ELEMENT_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"An element is 32 bytes, not {len(left)}.")
    return add_each(left, right)


def mult_each(value: bytes, elements: bytes) -> bytes:
    """Multiply packed elements by one scalar; raises Malformed if any element is bad."""
    if len(value) != SCALAR_BYTES:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "A scalar is 32 bytes.")
    count = count_elements(elements)
    out = ctypes.create_string_buffer(count * ELEMENT_BYTES)
    multiply, start = library().crypto_scalarmult_ristretto255, ctypes.addressof(out)
    for at in range(0, count * ELEMENT_BYTES, ELEMENT_BYTES):
        if multiply(start + at, value, elements[at : at + ELEMENT_BYTES]) != 0:
            raise _refused_element()
    return out.raw


def mult_pairs(scalars: bytes, elements: bytes) -> bytes:
    """Multiply each packed element by the scalar in its place; raises Malformed if any element is bad."""
    count = _same_count(scalars, elements)
    out = ctypes.create_string_buffer(count * ELEMENT_BYTES)
    multiply, start = library().crypto_scalarmult_ristretto255, ctypes.addressof(out)
    for at in range(0, count * ELEMENT_BYTES, ELEMENT_BYTES):
        end = at + ELEMENT_BYTES
        if multiply(start + at, scalars[at:end], elements[at:end]) != 0:
            raise _refused_element()
    return out.raw


def add_each(left: bytes, right: bytes) -> bytes:
    """Add two columns of elements place by place; raises Malformed on bad encodings."""
    count = _same_count(left, right)
    out = ctypes.create_string_buffer(count * ELEMENT_BYTES)
    plus, start = library().crypto_core_ristretto255_add, ctypes.addressof(out)
    for at in range(0, count * ELEMENT_BYTES, ELEMENT_BYTES):
        end = at + ELEMENT_BYTES
        if plus(start + at, left[at:end], right[at:end]) != 0:
            raise _refused_element()
    return out.raw


def total(elements: bytes) -> bytes:
    """Add packed elements up; the identity if there are none; raises Malformed on bad encodings."""
    out = ctypes.create_string_buffer(IDENTITY, ELEMENT_BYTES)
    plus = library().crypto_core_ristretto255_add
    for at in range(0, count_elements(elements) * ELEMENT_BYTES, ELEMENT_BYTES):
        if plus(out, out.raw, elements[at : at + ELEMENT_BYTES]) != 0:
            raise _refused_element()
    return out.raw


def _same_count(left: bytes, right: bytes) -> int:
    if len(left) != len(right):
        raise Malformed(
            REASON_WRONG_SHAPE, f"Two columns of {len(left)} and {len(right)} bytes do not pair up."
        )
    return count_elements(left)
