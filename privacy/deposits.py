"""Deposits: a witness's signed, dated word that it saw an envelope's hash, before the hub would take it.

Request: two lines, the log's origin and the SHA-256 in base64. A message that misses its deadline at the hub
although its hash was deposited in time shows that the hub did not take it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

from privacy import codec, envelope
from privacy.checkpoint import COSIGNATURE_V1, Vkey
from privacy.envelope import HASH_BYTES, Kind
from privacy.keys import SigningKey, VerifyKey
from protos.problems import Malformed
from protos.v1 import evidence_pb2
from protos.v1.problem_pb2 import REASON_MALFORMED_MESSAGE

REQUEST_BYTES_MAX = 512
DEPOSIT_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True)
class Deposit:
    """Which envelope of which log a witness saw, by its hash, and when (seconds since 1970)."""

    origin: str
    envelope_hash: bytes
    deposited_at: int
    witness: str


def format_request(origin: str, envelope_hash: bytes) -> bytes:
    """Write a request to deposit a hash."""
    return f"{origin}\n{base64.b64encode(envelope_hash).decode()}\n".encode()


def parse_request(body: bytes) -> tuple[str, bytes]:
    """Read a request, canonical form only; raises Malformed."""
    try:
        origin, text, rest = body.decode().split("\n")
        found = base64.b64decode(text, validate=True)
        if len(body) > REQUEST_BYTES_MAX or rest or format_request(origin, found) != body:
            raise ValueError
    except (ValueError, binascii.Error):
        raise _malformed() from None
    if len(found) != HASH_BYTES or not origin:
        raise _malformed()
    return origin, found


def sign_deposit(deposit: Deposit, key: SigningKey) -> bytes:
    """Sign the statement as the witness; gives the envelope."""
    message = evidence_pb2.HashDeposit(
        origin=deposit.origin,
        envelope_hash=deposit.envelope_hash,
        deposited_at=deposit.deposited_at,
        witness=deposit.witness,
    )
    return envelope.sign(codec.encode(message), Kind.DEPOSIT, [key])


def read_deposit(data: bytes, witnesses: Iterable[Vkey], *, origin: str) -> Deposit:
    """Verify a statement that one of the witnesses signed; raises Unverified, Refused or Malformed."""
    opened = envelope.open_kind(data, Kind.DEPOSIT, DEPOSIT_BYTES_MAX)
    keys = {vkey.name: VerifyKey(vkey.public) for vkey in witnesses if vkey.algorithm == COSIGNATURE_V1}
    message = opened.parse(evidence_pb2.HashDeposit)
    envelope.verify(opened, [key for name, key in keys.items() if name == message.witness])
    envelope.check_origin(message.origin, origin)
    return Deposit(message.origin, message.envelope_hash, message.deposited_at, message.witness)


def _malformed() -> Malformed:
    return Malformed(
        REASON_MALFORMED_MESSAGE, "A deposit is two lines: the log's origin and a SHA-256 in base64."
    )
