"""Shares of one secret scalar: Shamir's polynomial over the scalar field, Feldman's commitments to it.

A share is the polynomial at its index (1 to n); any `threshold` of them carry the secret, fewer nothing.
Shares are joined only in the exponent: nobody puts the secret together again. A ceremony, with a dealer or
without one, ends in commitments and shares; everything after it reads only those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from privacy import ristretto
from privacy.ristretto import ONE, Random
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_PROOF_INVALID, REASON_UNKNOWN_FIELD_VALUE, REASON_WRONG_SHAPE

CUSTODIANS_MAX = 255

_KEY_ID_TAG = b"cgsp-pseudonym-key-v1\x00"


@dataclass(frozen=True, slots=True)
class Share:
    """One custodian's point on the polynomial."""

    index: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_index(self.index)
        if not ristretto.is_scalar(self.secret):
            raise Malformed(REASON_WRONG_SHAPE, "A share's secret is not a canonical scalar other than zero.")


@dataclass(frozen=True, slots=True)
class Dealing:
    """What a ceremony makes: commitments for everybody, one share for each custodian alone."""

    key_id: bytes
    threshold: int
    commitments: tuple[bytes, ...]
    shares: tuple[Share, ...]


def deal(*, threshold: int, count: int, random: Random, secret: bytes | None = None) -> Dealing:
    """Split a secret (drawn if none is given) so that `threshold` of `count` custodians carry it.

    Raises Malformed UNKNOWN_FIELD_VALUE, Malformed WRONG_SHAPE.
    """
    if not 1 <= threshold <= count <= CUSTODIANS_MAX:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE,
            f"A threshold of {threshold} for {count} custodians is not 1 to {CUSTODIANS_MAX} in order.",
        )
    if secret is not None and not ristretto.is_scalar(secret):
        raise Malformed(REASON_WRONG_SHAPE, "The secret is not a canonical scalar other than zero.")
    drawn = [ristretto.scalar_random(random) for _ in range(threshold)]
    coefficients = drawn if secret is None else [secret, *drawn[1:]]
    commitments = tuple(ristretto.base_mult(coefficient) for coefficient in coefficients)
    shares = tuple(Share(index, polynomial_at(coefficients, index)) for index in range(1, count + 1))
    return Dealing(key_id(commitments[0]), threshold, commitments, shares)


def key_id(public: bytes) -> bytes:
    """Name a key by its public element, 32 bytes; refreshing the shares leaves the name as it is."""
    return hashlib.sha256(_KEY_ID_TAG + public).digest()


def commitments_hash(commitments: Sequence[bytes]) -> bytes:
    """Name the shares of a key, 32 bytes; refreshing them gives another name."""
    return hashlib.sha256(b"".join(commitments)).digest()


def check_commitments(commitments: Sequence[bytes]) -> None:
    """Refuse commitments that are not canonical elements, Malformed."""
    if not 1 <= len(commitments) <= CUSTODIANS_MAX or not all(map(ristretto.is_element, commitments)):
        raise Malformed(REASON_WRONG_SHAPE, "A key's commitments are not 1 to 255 ristretto255 elements.")


def share_commitment(commitments: Sequence[bytes], index: int) -> bytes:
    """Compute a share's public element from the commitments (Horner's rule in the exponent)."""
    _check_index(index)
    at = ristretto.scalar(index)
    value = commitments[-1]
    for commitment in reversed(commitments[:-1]):
        value = ristretto.add(ristretto.mult(at, value), commitment)
    return value


def verify_share(share: Share, commitments: Sequence[bytes]) -> None:
    """Refuse a share that is not on the committed polynomial, Unverified."""
    if ristretto.base_mult(share.secret) != share_commitment(commitments, share.index):
        raise Unverified(
            REASON_PROOF_INVALID,
            f"The share with index {share.index} does not match the key's commitments.",
            remedy="Ask whoever held the ceremony for the share again, and compare the key's id.",
        )


def check_quorum(quorum: Sequence[int], threshold: int) -> None:
    """Refuse a quorum that is not exactly `threshold` ascending indices, Malformed."""
    for index in quorum:
        _check_index(index)
    if len(quorum) != threshold or list(quorum) != sorted(set(quorum)):
        raise Malformed(
            REASON_WRONG_SHAPE,
            f"A quorum names {threshold} custodians in ascending order, not {list(quorum)[:8]}.",
            remedy="Name as many custodians as the key's threshold says, each once.",
        )


def lagrange_weight(index: int, quorum: Sequence[int]) -> bytes:
    """Give the weight of a member's share in this quorum: the product of j / (j - index) over the others.

    Raises Malformed WRONG_SHAPE.
    """
    if index not in quorum or len(set(quorum)) != len(quorum):
        raise Malformed(REASON_WRONG_SHAPE, f"The quorum does not name custodian {index} once.")
    above, below = ONE, ONE
    for other in quorum:
        if other != index:
            above = ristretto.scalar_mul(above, ristretto.scalar(other))
            below = ristretto.scalar_mul(below, ristretto.scalar(other - index))
    return ristretto.scalar_mul(above, ristretto.scalar_invert(below))


def weighted_commitment(commitments: Sequence[bytes], index: int, quorum: Sequence[int]) -> bytes:
    """Compute the public element a member of this quorum proves against: its weight times its commitment."""
    return ristretto.mult(lagrange_weight(index, quorum), share_commitment(commitments, index))


def polynomial_at(coefficients: Sequence[bytes], index: int) -> bytes:
    """Evaluate a polynomial, constant term first, at an index (Horner's rule)."""
    at, value = ristretto.scalar(index), coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = ristretto.scalar_add(ristretto.scalar_mul(value, at), coefficient)
    return value


def _check_index(index: int) -> None:
    if not 1 <= index <= CUSTODIANS_MAX:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"Custodian index {index} is not 1 to {CUSTODIANS_MAX}.")
