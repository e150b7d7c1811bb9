"""Orders: who asks is in the trust root, signed by its own key, and means exactly this batch and this quorum.

An order does not expire: whoever replays one, over a connection of the same enterprise, gets the same
evaluation again, which costs and reveals nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

from custodian.share import KeyShare, obstacle
from privacy import envelope, pseudonyms, shares
from privacy.envelope import Kind
from privacy.trust import Enterprise, TrustRoot
from protos.problems import Malformed, Problem, Refused, Unavailable, Unverified
from protos.v1.custodian_pb2 import EvaluationOrder
from protos.v1.problem_pb2 import (
    REASON_BODY_MISMATCH,
    REASON_KEY_UNKNOWN,
    REASON_QUORUM_UNAVAILABLE,
    REASON_ROLE_NOT_ALLOWED,
    REASON_SUSPENDED,
    REASON_WRONG_SHAPE,
)

ORDER_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Order:
    """An order whose every statement has been checked."""

    enterprise_id: str
    key_id: bytes
    quorum: tuple[int, ...]
    elements: int
    batch_hash: bytes


def check_order(data: bytes, blinded: bytes, *, caller: str, root: TrustRoot, share: KeyShare) -> Order:
    """Check an order for a batch; the enterprise that calls over TLS must be the one that signed."""
    pseudonyms.check_batch(blinded)
    enterprise = root.enterprise(caller)
    message = _verified(data, enterprise)
    if enterprise.suspended:
        raise Refused(REASON_SUSPENDED, f"{enterprise.id} is suspended in the trust root.")
    _check_addressee(message, enterprise, root, share)
    _check_batch(message, blinded)
    return Order(
        enterprise_id=enterprise.id,
        key_id=message.key_id,
        quorum=tuple(message.quorum),
        elements=message.elements,
        batch_hash=message.batch_hash,
    )


class Meant(NamedTuple):
    """The log and the commitments an order seems to be for, before anything of it is verified."""

    origin: str = ""
    commitments_hash: bytes = b""

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Read an order; one that cannot be read is for nothing."""
        try:
            message = envelope.read_unsigned(data).parse(EvaluationOrder)
        except Problem:
            return cls()
        return cls(message.origin, message.commitments_hash)


def _verified(data: bytes, enterprise: Enterprise) -> EvaluationOrder:
    opened = envelope.open_kind(data, Kind.EVALUATION_ORDER, ORDER_BYTES_MAX)
    envelope.verify(opened, [enterprise.key])
    return opened.parse(EvaluationOrder)


def _check_addressee(
    message: EvaluationOrder, enterprise: Enterprise, root: TrustRoot, share: KeyShare
) -> None:
    if message.origin != root.origin:
        raise Unavailable(
            REASON_QUORUM_UNAVAILABLE,
            f"The order is for log '{message.origin}'; known here is '{root.origin}'.",
            remedy="Follow the log and order again; its key may have been replaced.",
        )
    if message.enterprise_id != enterprise.id or message.custodian_id != share.custodian_id:
        raise Refused(
            REASON_ROLE_NOT_ALLOWED,
            f"The order is {message.enterprise_id}'s to {message.custodian_id}; "
            f"{enterprise.id} sent it to {share.custodian_id}.",
            remedy="Sign one order for each custodian of the quorum.",
        )
    if message.key_id != share.key.key_id:
        raise Unverified(
            REASON_KEY_UNKNOWN,
            "The order names another pseudonym key than the one this custodian holds a share of.",
            remedy="Follow the trust root's latest version.",
        )
    if (problem := obstacle(share, root)) is not None:
        raise Unavailable(
            REASON_QUORUM_UNAVAILABLE, problem.message, remedy="Ask another quorum; this one follows the log."
        )
    if message.commitments_hash != shares.commitments_hash(share.key.commitments):
        raise Unavailable(
            REASON_QUORUM_UNAVAILABLE,
            f"The order is for other shares of the key than those of trust root {root.version}, known here.",
            remedy="Follow the log and order again; shares have been refreshed.",
        )
    shares.check_quorum(message.quorum, share.key.threshold)
    registered = {custodian.index for custodian in root.custodians}
    if share.share.index not in message.quorum or not registered.issuperset(message.quorum):
        raise Malformed(
            REASON_WRONG_SHAPE,
            "The quorum leaves this custodian out, or names an index that the trust root does not.",
        )


def _check_batch(message: EvaluationOrder, blinded: bytes) -> None:
    if message.elements * 32 != len(blinded) or message.batch_hash != pseudonyms.batch_hash(blinded):
        raise Malformed(
            REASON_BODY_MISMATCH,
            f"The order is for {message.elements} elements; other ones came ({len(blinded)} bytes).",
            remedy="Send exactly the elements whose hash the order names.",
        )
