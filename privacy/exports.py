"""Signed exports for machines: JSON in a DSSE envelope, for whoever it concerns; no entries of the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from privacy import codec, envelope
from privacy.keys import SIGNATURE_BYTES, SigningKey, VerifyKey
from protos.json_text import canonical_json, parse_json
from protos.problems import Malformed, Unverified
from protos.v1 import envelope_pb2
from protos.v1.problem_pb2 import (
    REASON_KEY_UNKNOWN,
    REASON_MALFORMED_MESSAGE,
    REASON_WRONG_SHAPE,
    REASON_WRONG_TYPE,
)

EXPORT_BYTES_MAX = 16 << 20
ACCOUNT = "application/vnd.cgsp.account.v1+json"
PERSON = "application/vnd.cgsp.person.v1+json"


def sign_export(content: Any, payload_type: str, key: SigningKey) -> bytes:
    """Sign content as JSON with sorted keys and encode the envelope."""
    payload = canonical_json(content)
    signature = key.sign(envelope.pae(payload_type, payload))
    message = envelope_pb2.Envelope(payload=payload, payload_type=payload_type)
    message.signatures.add(sig=signature, keyid=key.keyid)
    return codec.encode(message)


def open_export(data: bytes, payload_type: str, keys: Iterable[VerifyKey]) -> Any:
    """Verify an export by one of these keys and give its content; raises Malformed or Unverified."""
    message = codec.parse(envelope_pb2.Envelope, data, maximum_bytes=EXPORT_BYTES_MAX)
    if message.payload_type != payload_type:
        raise Malformed(REASON_WRONG_TYPE, f"The export is not of type {payload_type}.")
    if len(message.signatures) != 1 or len(message.signatures[0].sig) != SIGNATURE_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, "An export carries one signature.")
    [signature] = message.signatures
    key = next((one for one in keys if one.keyid == signature.keyid), None)
    if key is None:
        raise Unverified(REASON_KEY_UNKNOWN, "The key that signed the export is not the one expected.")
    key.verify(envelope.pae(payload_type, message.payload), signature.sig)
    try:
        return parse_json(message.payload)
    except ValueError:
        raise Malformed(REASON_MALFORMED_MESSAGE, "The export is not JSON.") from None
