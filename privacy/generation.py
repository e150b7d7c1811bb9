"""A shared key without a dealer, and fresh shares of one that exists: every custodian deals at once.

The shape is that of C2SP cocktail-dkg: each custodian deals a polynomial of its own (Feldman) and proves that
it knows its first coefficient; a share is the sum of what all dealt to one index; all certify one transcript.
A refresh is the same with constant terms of zero: the key stays, old and new shares do not fit together.
Rounds are values in, values out; carrying, sealing and signing them is the caller's. Who cheats is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from privacy import ristretto, shares
from privacy.ciphersuite import prefixed
from privacy.ristretto import SCALAR_BYTES, ZERO, Random
from privacy.shares import Share
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_PROOF_INVALID, REASON_UNKNOWN_FIELD_VALUE, REASON_WRONG_SHAPE

CONTEXT_BYTES = 32

_POSSESSION_TAG = b"cgsp-possession-v1\x00"
_TRANSCRIPT_TAG = b"cgsp-generation-v1\x00"


@dataclass(frozen=True, slots=True)
class Session:
    """What all agree on before: who takes part at which index, how many shares carry the key, for which key.

    `context` is 32 bytes that no other session has; `refreshed` are the commitments whose shares are renewed,
    empty when a new key is drawn.
    """

    context: bytes
    threshold: int
    participants: Mapping[int, str]
    refreshed: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if len(self.context) != CONTEXT_BYTES:
            raise Malformed(REASON_WRONG_SHAPE, f"A session's context is {CONTEXT_BYTES} bytes.")
        count = len(self.participants)
        if not 1 <= self.threshold <= count or not all(
            1 <= index <= shares.CUSTODIANS_MAX for index in self.participants
        ):
            raise Malformed(
                REASON_UNKNOWN_FIELD_VALUE,
                f"A threshold of {self.threshold} for {count} custodians with indices 1 to "
                f"{shares.CUSTODIANS_MAX} is not possible.",
            )
        if self.is_refresh:
            self._check_refresh()

    def _check_refresh(self) -> None:
        shares.check_commitments(self.refreshed)
        if len(self.refreshed) != self.threshold or self.threshold < 2:
            raise Malformed(
                REASON_UNKNOWN_FIELD_VALUE,
                f"Shares of threshold {len(self.refreshed)} cannot be refreshed to {self.threshold}.",
                remedy="A refresh keeps the threshold, from 2 on; another threshold needs another key.",
            )

    @property
    def is_refresh(self) -> bool:
        """Say whether shares of an existing key are renewed."""
        return bool(self.refreshed)

    @property
    def dealt(self) -> int:
        """Count the coefficients each custodian commits to: all, or all but the constant zero."""
        return self.threshold - 1 if self.is_refresh else self.threshold

    def encode(self) -> bytes:
        """Give the bytes that proofs and transcript are bound to."""
        parts = [self.context, bytes([self.threshold, len(self.refreshed)]), *self.refreshed]
        parts += [bytes([index]) + name.encode() for index, name in sorted(self.participants.items())]
        return b"".join(map(prefixed, parts))

    def name_of(self, index: int) -> str:
        """Name a participant; raises Malformed if nobody takes part at that index."""
        if index not in self.participants:
            raise Malformed(REASON_WRONG_SHAPE, f"Nobody takes part with index {index}.")
        return self.participants[index]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one custodian shows to all: commitments to its polynomial, and proof that it knows the first."""

    commitments: tuple[bytes, ...]
    proof: bytes

    def encode(self) -> bytes:
        """Give the bytes that the transcript holds."""
        return b"".join(map(prefixed, (*self.commitments, self.proof)))


@dataclass(frozen=True, slots=True)
class Contributed:
    """Round one's outcome: the contribution, and for each index the scalar meant for it alone."""

    contribution: Contribution
    secrets: Mapping[int, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Received:
    """What one custodian holds of another's: its contribution and the scalar dealt to the holder."""

    contribution: Contribution
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Generated:
    """Round two's outcome at one custodian: the key's commitments, and its own share."""

    commitments: tuple[bytes, ...]
    share: Share


def contribute(session: Session, index: int, random: Random) -> Contributed:
    """Deal a polynomial of one's own (round one)."""
    session.name_of(index)
    drawn = [ristretto.scalar_random(random) for _ in range(session.dealt)]
    polynomial = [ZERO, *drawn] if session.is_refresh else drawn
    commitments = tuple(map(ristretto.base_mult, drawn))
    proof = _prove(session, index, drawn[0], commitments, ristretto.scalar_random(random))
    dealt = {recipient: shares.polynomial_at(polynomial, recipient) for recipient in session.participants}
    return Contributed(Contribution(commitments, proof), dealt)


def check_contribution(session: Session, dealer: int, contribution: Contribution) -> None:
    """Refuse a contribution whose dealer does not know what it commits to, Unverified, naming it."""
    name, commitments = session.name_of(dealer), contribution.commitments
    if len(commitments) != session.dealt or not all(map(ristretto.is_element, commitments)):
        raise _cheated(name, f"It does not commit to {session.dealt} coefficients.")
    if not _is_possessed(session, dealer, contribution):
        raise _cheated(name, "It does not prove that it knows the coefficient it commits to.")


def check_secret(session: Session, dealer: int, recipient: int, received: Received) -> None:
    """Refuse a scalar off the dealer's committed polynomial, Unverified, naming the dealer."""
    try:
        expected = _committed_at(session, received.contribution.commitments, recipient)
    except Malformed:
        expected = ristretto.IDENTITY
    if not ristretto.is_scalar(received.secret) or ristretto.base_mult(received.secret) != expected:
        to = session.name_of(recipient)
        raise _cheated(
            session.name_of(dealer), f"What it dealt to {to} is not on the polynomial it commits to."
        )


def join(
    session: Session, index: int, received: Mapping[int, Received], *, held: Share | None = None
) -> Generated:
    """Check what everybody dealt to `index` and add it up (round two); `held` is the share to be renewed.

    Raises Unverified PROOF_INVALID naming a custodian that cheated.
    """
    session.name_of(index)
    if received.keys() != session.participants.keys():
        missing = ", ".join(name for at, name in session.participants.items() if at not in received)
        raise Malformed(
            REASON_WRONG_SHAPE, f"Not everybody's contribution is there: {missing or 'too many'}."
        )
    for dealer, one in sorted(received.items()):
        check_contribution(session, dealer, one.contribution)
        check_secret(session, dealer, index, one)
    commitments = _added_commitments(session, [one.contribution for one in received.values()])
    start = _held_secret(session, index, held)
    secret = reduce(ristretto.scalar_add, (one.secret for one in received.values()), start)
    share = Share(index, secret)
    shares.verify_share(share, commitments)
    return Generated(commitments, share)


def transcript(session: Session, contributions: Mapping[int, Contribution]) -> bytes:
    """Hash what everybody saw, 32 bytes, for all to certify (round three)."""
    parts = [session.encode()]
    parts += [bytes([index]) + one.encode() for index, one in sorted(contributions.items())]
    return hashlib.sha256(_TRANSCRIPT_TAG + b"".join(map(prefixed, parts))).digest()


def _added_commitments(session: Session, contributions: Sequence[Contribution]) -> tuple[bytes, ...]:
    """Add the commitments up by coefficient; a refresh adds to those there are and keeps the public key."""
    columns = [b"".join(column) for column in zip(*(one.commitments for one in contributions), strict=True)]
    if session.is_refresh:
        columns = [held + column for held, column in zip(session.refreshed[1:], columns, strict=True)]
    added = tuple(map(ristretto.total, columns))
    commitments = (session.refreshed[0], *added) if session.is_refresh else added
    shares.check_commitments(commitments)
    return commitments


def _held_secret(session: Session, index: int, held: Share | None) -> bytes:
    if (held is not None) != session.is_refresh or (held is not None and held.index != index):
        raise Malformed(REASON_WRONG_SHAPE, "A refresh, and nothing else, begins from the share held so far.")
    if held is None:
        return ZERO
    shares.verify_share(held, session.refreshed)
    return held.secret


def _committed_at(session: Session, commitments: Sequence[bytes], index: int) -> bytes:
    """Compute a polynomial's public element at an index; raises Malformed if it vanishes on the way."""
    value = shares.share_commitment(commitments, index)
    return ristretto.mult(ristretto.scalar(index), value) if session.is_refresh else value


def _prove(session: Session, index: int, secret: bytes, commitments: Sequence[bytes], nonce: bytes) -> bytes:
    """Prove possession of the first coefficient (Schnorr): challenge || response."""
    challenge = _challenge(session, index, commitments, ristretto.base_mult(nonce))
    return challenge + ristretto.scalar_sub(nonce, ristretto.scalar_mul(challenge, secret))


def _is_possessed(session: Session, index: int, contribution: Contribution) -> bool:
    challenge, response = contribution.proof[:SCALAR_BYTES], contribution.proof[SCALAR_BYTES:]
    if not (ristretto.is_scalar(challenge) and ristretto.is_scalar(response)):
        return False
    first = ristretto.mult(challenge, contribution.commitments[0])
    commitment = ristretto.add(ristretto.base_mult(response), first)
    return challenge == _challenge(session, index, contribution.commitments, commitment)


def _challenge(session: Session, index: int, commitments: Sequence[bytes], nonce_commitment: bytes) -> bytes:
    parts = (session.encode(), bytes([index]), *commitments, nonce_commitment)
    digest = hashlib.sha512(_POSSESSION_TAG + b"".join(map(prefixed, parts))).digest()
    return ristretto.scalar_reduce(digest)


def _cheated(name: str, what: str) -> Unverified:
    return Unverified(
        REASON_PROOF_INVALID,
        f"The contribution of custodian {name} does not hold. {what}",
        remedy=f"Stop here, ask {name} for an explanation, and begin a new ceremony.",
    )
