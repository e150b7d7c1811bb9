"""Receipts: the hub's signed promise to merge an entry within the maximum merge delay."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from privacy import codec, envelope, merkle
from privacy.envelope import Kind
from privacy.keys import SigningKey, VerifyKey
from protos.problems import Unverified
from protos.v1 import envelope_pb2
from protos.v1.problem_pb2 import REASON_SIGNATURE_INVALID

RECEIPT_BYTES_MAX = 1024
MERGE_DELAY_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Receipt:
    """Which entry stands (or will stand) at which index; times in seconds since 1970."""

    origin: str
    index: int
    leaf_hash: bytes
    received_at: int
    merge_delay_seconds: int = MERGE_DELAY_SECONDS_MAX

    @property
    def due_at(self) -> int:
        """Give the time after which a checkpoint without the entry is a finding."""
        return self.received_at + self.merge_delay_seconds


def sign_receipt(receipt: Receipt, key: SigningKey) -> bytes:
    """Sign a receipt as the hub; gives the envelope."""
    message = envelope_pb2.Receipt(
        origin=receipt.origin,
        index=receipt.index,
        leaf_hash=receipt.leaf_hash,
        received_at=receipt.received_at,
        maximum_merge_delay_seconds=receipt.merge_delay_seconds,
    )
    return envelope.sign(codec.encode(message), Kind.RECEIPT, [key])


def open_receipt(data: bytes, hub_key: VerifyKey, *, origin: str | Collection[str], entry: bytes) -> Receipt:
    """Verify a receipt for the entry that was submitted; raises Unverified, Refused or Malformed."""
    receipt = read_receipt(data, [hub_key], origin=origin)
    if receipt.leaf_hash != merkle.leaf_hash(entry):
        raise Unverified(
            REASON_SIGNATURE_INVALID,
            "The receipt is for another entry than the one submitted.",
            remedy="Keep both as evidence and ask the hub's operator.",
        )
    return receipt


def read_receipt(data: bytes, hub_keys: Sequence[VerifyKey], *, origin: str | Collection[str]) -> Receipt:
    """Verify a receipt that one of the hub's keys signed; raises Unverified, Refused or Malformed.

    `origin` is the log's, or all it has had, the newest last.
    """
    opened = envelope.open_kind(data, Kind.RECEIPT, RECEIPT_BYTES_MAX)
    envelope.verify(opened, hub_keys)
    message = opened.parse(envelope_pb2.Receipt)
    origins = [origin] if isinstance(origin, str) else list(origin)
    if message.origin not in origins:
        envelope.check_origin(message.origin, origins[-1])
    return Receipt(
        origin=message.origin,
        index=message.index,
        leaf_hash=message.leaf_hash,
        received_at=message.received_at,
        merge_delay_seconds=message.maximum_merge_delay_seconds,
    )
