"""Randomness nobody chooses: the custodians' second shared key, VOPRF of RFC 9497, over a checkpoint.

The value is unique: whichever custodians answer, it is the same, and fewer than the threshold know nothing of
it. Each part is proven against its share's own commitment, so that anybody combines and verifies them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from privacy import dleq, oprf, ristretto, shares
from privacy.ciphersuite import Mode, hash_to_group, prefixed
from privacy.ristretto import Random
from privacy.shares import Share
from privacy.trust import BeaconKey
from protos.epochs import Epoch
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_BEACON_INVALID, REASON_WRONG_SHAPE

_INPUT_TAG = b"cgsp-beacon-v1\x00"
_KEY_ID_TAG = b"cgsp-beacon-key-v1\x00"


@dataclass(frozen=True, slots=True)
class Part:
    """One custodian's evaluation with its share, and the proof of it."""

    index: int
    evaluated: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class Drawn:
    """A beacon in the log: its entry, the size of the checkpoint it is over, its value."""

    index: int
    covered: int
    value: bytes


def key_id(public: bytes) -> bytes:
    """Name a beacon key by its public element, 32 bytes; the same element would be another pseudonym key."""
    return hashlib.sha256(_KEY_ID_TAG + public).digest()


def beacon_input(origin: str, epoch: Epoch, checkpoint_text: bytes) -> bytes:
    """Give what is evaluated: log, epoch and checkpoint; who cosigned it changes nothing."""
    digest = hashlib.sha256(checkpoint_text).digest()
    return _INPUT_TAG + prefixed(origin.encode()) + epoch.to_bytes(4, "big") + digest


def evaluate(share: Share, message: bytes, random: Random) -> Part:
    """Evaluate with this custodian's share and prove it against the share's commitment."""
    element = hash_to_group(message, Mode.VOPRF)
    evaluated = ristretto.mult(share.secret, element)
    public, nonce = ristretto.base_mult(share.secret), ristretto.scalar_random(random)
    return Part(
        share.index, evaluated, dleq.prove(share.secret, public, element, evaluated, nonce, Mode.VOPRF)
    )


def verify_part(part: Part, message: bytes, key: BeaconKey) -> None:
    """Refuse a part whose proof does not hold, Unverified, naming the custodian by its index."""
    element = hash_to_group(message, Mode.VOPRF)
    public = shares.share_commitment(key.commitments, part.index)
    if len(part.evaluated) != ristretto.ELEMENT_BYTES or not dleq.holds(
        public, element, part.evaluated, part.proof, Mode.VOPRF
    ):
        raise Unverified(
            REASON_BEACON_INVALID,
            f"The proof of custodian {part.index} does not hold for its part of the beacon.",
            remedy="Ask another custodian, and report this one: a proof fails only if its answer is wrong.",
        )


def combine(parts: Sequence[Part], message: bytes, key: BeaconKey) -> bytes:
    """Verify exactly threshold parts, ascending by index, and give the value, 64 bytes.

    Raises Malformed WRONG_SHAPE.
    """
    quorum = [part.index for part in parts]
    shares.check_commitments(key.commitments)
    if len(quorum) != key.threshold or quorum != sorted(set(quorum)):
        raise Malformed(
            REASON_WRONG_SHAPE, f"A beacon has the parts of {key.threshold} custodians, ascending, each once."
        )
    for part in parts:
        verify_part(part, message, key)
    weighted = [ristretto.mult(shares.lagrange_weight(part.index, quorum), part.evaluated) for part in parts]
    return oprf.output(message, ristretto.total(b"".join(weighted)))
