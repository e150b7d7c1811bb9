"""Pseudonyms from identifiers that nobody else sees: RFC 9497 VOPRF with a key shared by custodians.

The node blinds a batch; each custodian of the named quorum multiplies it by its Lagrange-weighted share and
proves so against the published commitments; the node checks every proof, adds the answers and unblinds. A
pseudonym is the first 16 bytes of the function's value: one identifier gives the same at every enterprise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

from privacy import dleq, oprf, ristretto, shares
from privacy.ciphersuite import Mode
from privacy.ristretto import Random
from privacy.shares import Share
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_PROOF_INVALID, REASON_WRONG_SHAPE

PSEUDONYM_BYTES = 16
BATCH_ELEMENTS_MAX = dleq.ELEMENTS_MAX


@dataclass(frozen=True, slots=True)
class PseudonymKeyView:
    """What everybody knows of the shared key; checked when made."""

    threshold: int
    commitments: tuple[bytes, ...]

    def __post_init__(self) -> None:
        shares.check_commitments(self.commitments)
        if self.threshold != len(self.commitments):
            raise Malformed(
                REASON_WRONG_SHAPE,
                f"A key of threshold {self.threshold} has {len(self.commitments)} commitments.",
            )

    @property
    def key_id(self) -> bytes:
        """Name the key."""
        return shares.key_id(self.commitments[0])


@dataclass(frozen=True, slots=True)
class BlindedBatch:
    """Blinded identifiers and what the node keeps to itself to unblind them."""

    blinded: bytes
    identifiers: tuple[bytes, ...] = field(repr=False)
    blinds: bytes = field(repr=False)

    @property
    def batch_hash(self) -> bytes:
        """Name the batch as orders and counts do."""
        return batch_hash(self.blinded)


@dataclass(frozen=True, slots=True)
class CustodianAnswer:
    """One custodian's weighted evaluations and the proof of them."""

    index: int
    evaluated: bytes
    proof: bytes


def batch_hash(blinded: bytes) -> bytes:
    """Hash a batch of blinded elements, 32 bytes."""
    return hashlib.sha256(blinded).digest()


def check_batch(blinded: bytes) -> int:
    """Count a batch's elements; raises Malformed unless there are 1 to 65,535 whole ones."""
    count = ristretto.count_elements(blinded)
    if not 1 <= count <= BATCH_ELEMENTS_MAX:
        raise Malformed(
            REASON_WRONG_SHAPE,
            f"A batch has {count} elements; 1 to {BATCH_ELEMENTS_MAX} are allowed.",
            remedy="Split it into several batches.",
        )
    return count


def blind_batch(identifiers: Sequence[bytes], random: Random, *, workers: int = 1) -> BlindedBatch:
    """Blind canonical identifiers, each with a fresh scalar; raises Malformed WRONG_SHAPE."""
    if not 1 <= len(identifiers) <= BATCH_ELEMENTS_MAX:
        raise Malformed(
            REASON_WRONG_SHAPE,
            f"A batch holds 1 to {BATCH_ELEMENTS_MAX} identifiers, not {len(identifiers)}.",
        )
    blinds = b"".join(ristretto.scalar_random(random) for _ in identifiers)
    blinded = oprf.blind_each(identifiers, blinds, Mode.VOPRF, workers=workers)
    return BlindedBatch(blinded, tuple(identifiers), blinds)


def evaluate_batch(
    share: Share, quorum: Sequence[int], blinded: bytes, random: Random, *, workers: int = 1
) -> CustodianAnswer:
    """Evaluate a batch with this custodian's share, weighted for the quorum, and prove it."""
    check_batch(blinded)
    key = ristretto.scalar_mul(shares.lagrange_weight(share.index, quorum), share.secret)
    evaluated = oprf.evaluate_each(key, blinded, workers=workers)
    proof = dleq.prove(
        key,
        ristretto.base_mult(key),
        blinded,
        evaluated,
        ristretto.scalar_random(random),
        Mode.VOPRF,
        workers=workers,
    )
    return CustodianAnswer(share.index, evaluated, proof)


def verify_answer(
    answer: CustodianAnswer,
    blinded: bytes,
    key: PseudonymKeyView,
    quorum: Sequence[int],
    *,
    workers: int = 1,
) -> None:
    """Refuse an answer whose proof does not hold, Unverified, naming the custodian by its index."""
    public = shares.weighted_commitment(key.commitments, answer.index, quorum)
    if len(answer.evaluated) != len(blinded) or not dleq.holds(
        public, blinded, answer.evaluated, answer.proof, Mode.VOPRF, workers=workers
    ):
        raise Unverified(
            REASON_PROOF_INVALID,
            f"The proof of custodian {answer.index} does not hold for its answer to this batch.",
            remedy="Ask another quorum, and report the custodian: a proof fails only if its answer is wrong.",
        )


def combine_batch(
    batch: BlindedBatch,
    answers: Sequence[CustodianAnswer],
    key: PseudonymKeyView,
    quorum: Sequence[int],
    *,
    workers: int = 1,
) -> list[bytes]:
    """Verify the quorum's answers, add them, unblind: a 16-byte pseudonym for each identifier, in order.

    Raises Malformed WRONG_SHAPE.
    """
    shares.check_quorum(quorum, key.threshold)
    if sorted(answer.index for answer in answers) != list(quorum):
        raise Malformed(REASON_WRONG_SHAPE, "The answers are not one of each custodian in the quorum.")
    for answer in answers:
        verify_answer(answer, batch.blinded, key, quorum, workers=workers)
    evaluated = reduce(ristretto.add_each, (answer.evaluated for answer in answers))
    values = oprf.finalize_each(batch.identifiers, batch.blinds, evaluated, workers=workers)
    return [value[:PSEUDONYM_BYTES] for value in values]
