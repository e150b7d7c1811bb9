"""Signed envelopes: DSSE v1.0.2 (secure-systems-lab/dsse protocol.md) over protobuf payloads.

The law: bound the size, take only the canonical form, verify the received bytes, then parse those same bytes.
A keyid is a hint; thresholds count distinct keys, not signatures.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from privacy import codec
from privacy.codec import MessageT
from privacy.keys import SIGNATURE_BYTES, SigningKey, VerifyKey
from protos.problems import Malformed, Refused, Unverified
from protos.v1 import envelope_pb2
from protos.v1.problem_pb2 import (
    REASON_KEY_UNKNOWN,
    REASON_SIGNATURE_INVALID,
    REASON_WRONG_ORIGIN,
    REASON_WRONG_SHAPE,
    REASON_WRONG_TYPE,
)

# A log entry is an envelope behind a uint16 length (C2SP tlog-tiles).
ENTRY_BYTES_MAX = 65_535
# Enough for any t of n here; a bound on the work before a signature is checked.
SIGNATURES_MAX = 16
HASH_BYTES = 32
NO_PREVIOUS = bytes(HASH_BYTES)


class Kind(enum.Enum):
    """What a payload is; one payload type per kind and version."""

    TRUST_ROOT = "trust-root"
    POLICY = "policy"
    PACK = "pack"
    ROSTER_BATCH = "roster-batch"
    RESERVATION = "reservation"
    RELEASE = "release"
    NOTHING_TO_REPORT = "nothing-to-report"
    COUNT_REPORT = "count-report"
    LINK_BATCH = "link-batch"
    EPOCH_CLOSE = "epoch-close"
    PROGRAMME = "programme"
    CHOICE_BATCH = "choice-batch"
    SELECTION = "selection"
    ACCOUNT_CHANGE = "account-change"
    JOURNAL_SEGMENT = "journal-segment"
    ISSUANCE = "issuance"
    LINK_TICKET = "link-ticket"
    MISSING = "missing"
    ERASURE_ORDER = "erasure-order"
    HUB_ERASURE_ORDER = "hub-erasure-order"
    COMMITMENT = "commitment"
    BEACON = "beacon"
    RECEIPT = "receipt"
    ATTESTATION = "attestation"
    SETTLEMENT = "settlement"
    DEPOSIT = "deposit"
    EVALUATION_ORDER = "evaluation-order"

    @property
    def payload_type(self) -> str:
        """The DSSE payload type."""
        return f"application/vnd.cgsp.{self.value}.v1+protobuf"


_KIND_BY_TYPE = {kind.payload_type: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature and the keyid that hints at its key."""

    sig: bytes
    keyid: str


@dataclass(frozen=True, slots=True)
class Opened:
    """An envelope taken apart, nothing verified yet; `envelope_hash` is SHA-256 of the received bytes."""

    payload: bytes
    kind: Kind
    signatures: tuple[Signature, ...]
    envelope_hash: bytes

    @property
    def signed_bytes(self) -> bytes:
        """What the signatures are over."""
        return pae(self.kind.payload_type, self.payload)

    def parse(self, message: type[MessageT], *, maximum_bytes: int = ENTRY_BYTES_MAX) -> MessageT:
        """Parse the payload, canonical form only; call it after `verify`."""
        return codec.parse(message, self.payload, maximum_bytes=maximum_bytes)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Give DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def envelope_hash(data: bytes) -> bytes:
    """Give the SHA-256 by which other messages name this envelope."""
    return hashlib.sha256(data).digest()


def sign(payload: bytes, kind: Kind, keys: Sequence[SigningKey]) -> bytes:
    """Sign a payload with every key given and encode the envelope."""
    envelope = envelope_pb2.Envelope(payload=payload, payload_type=kind.payload_type)
    signed = pae(kind.payload_type, payload)
    for key in keys:
        envelope.signatures.add(sig=key.sign(signed), keyid=key.keyid)
    return codec.encode(envelope)


def add_signature(data: bytes, key: SigningKey, *, maximum_bytes: int = ENTRY_BYTES_MAX) -> bytes:
    """Sign an envelope once more; a second signature of the same key changes nothing."""
    opened = _taken_apart(data, maximum_bytes)
    if any(signature.keyid == key.keyid for signature in opened.signatures):
        return data
    envelope = envelope_pb2.Envelope.FromString(data)
    envelope.signatures.add(sig=key.sign(opened.signed_bytes), keyid=key.keyid)
    return codec.encode(envelope)


def unsigned(payload: bytes, kind: Kind) -> bytes:
    """Encode an envelope that still waits for its signatures."""
    return sign(payload, kind, ())


def open_envelope(data: bytes, maximum_bytes: int = ENTRY_BYTES_MAX) -> Opened:
    """Take an envelope apart; raises Malformed on size, form or type. Nothing is verified yet."""
    opened = _taken_apart(data, maximum_bytes)
    if not opened.signatures:
        raise Unverified(REASON_SIGNATURE_INVALID, "The envelope carries no signature.")
    return opened


def open_kind(data: bytes, kind: Kind, maximum_bytes: int = ENTRY_BYTES_MAX) -> Opened:
    """Take apart an envelope that must be of one kind; raises Malformed too where it is of another."""
    opened = open_envelope(data, maximum_bytes)
    if opened.kind is not kind:
        raise Malformed(
            REASON_WRONG_TYPE, f"A message of kind {kind.value} was expected, a {opened.kind.value} came."
        )
    return opened


def read_unsigned(data: bytes, maximum_bytes: int = ENTRY_BYTES_MAX) -> Opened:
    """Take apart an envelope that may still wait for signatures (a proposal on its way round)."""
    return _taken_apart(data, maximum_bytes)


def verify(opened: Opened, keys: Iterable[VerifyKey], threshold: int = 1) -> tuple[VerifyKey, ...]:
    """Check that `threshold` distinct keys signed, and give those; raises Unverified.

    A false signature by a given key is an error; one by another key counts for nothing.
    """
    by_keyid = {key.keyid: key for key in keys}
    signed = opened.signed_bytes
    held: dict[str, VerifyKey] = {}
    for signature in opened.signatures:
        key = by_keyid.get(signature.keyid)
        if key is None:
            continue
        key.verify(signed, signature.sig)
        held[key.keyid] = key
    if len(held) < max(threshold, 1):
        raise Unverified(
            REASON_SIGNATURE_INVALID if held else REASON_KEY_UNKNOWN,
            f"{len(held)} of the registered keys signed; {threshold} must.",
            remedy="Collect the missing signatures, or register the key in the trust root.",
        )
    return tuple(held.values())


def header(
    origin: str, issuer: str, *, sequence: int, previous: bytes, issued_at: int
) -> envelope_pb2.Header:
    """Build the header that opens a sequenced payload (sequence from 1; previous 32 zero bytes at 1)."""
    return envelope_pb2.Header(
        origin=origin, issuer=issuer, sequence=sequence, previous=previous, issued_at=issued_at
    )


def check_origin(found: str, expected: str) -> None:
    """Refuse a message meant for another log; raises Refused WRONG_ORIGIN."""
    if found != expected:
        raise Refused(REASON_WRONG_ORIGIN, f"The message is meant for log '{found}', this is '{expected}'.")


def _taken_apart(data: bytes, maximum_bytes: int) -> Opened:
    envelope = codec.parse(envelope_pb2.Envelope, data, maximum_bytes=maximum_bytes)
    kind = _KIND_BY_TYPE.get(envelope.payload_type)
    if kind is None:
        raise Malformed(REASON_WRONG_TYPE, "The envelope's payload type is not one of this version.")
    signatures = tuple(Signature(sig=item.sig, keyid=item.keyid) for item in envelope.signatures)
    _check_signatures(signatures)
    return Opened(
        payload=envelope.payload, kind=kind, signatures=signatures, envelope_hash=envelope_hash(data)
    )


def _check_signatures(signatures: Sequence[Signature]) -> None:
    if len(signatures) > SIGNATURES_MAX:
        raise Malformed(REASON_WRONG_SHAPE, f"An envelope carries at most {SIGNATURES_MAX} signatures.")
    if any(len(signature.sig) != SIGNATURE_BYTES for signature in signatures):
        raise Malformed(REASON_WRONG_SHAPE, f"A signature has {SIGNATURE_BYTES} bytes.")
    if len({signature.keyid for signature in signatures}) != len(signatures):
        raise Malformed(REASON_WRONG_SHAPE, "A key signs an envelope once.")
