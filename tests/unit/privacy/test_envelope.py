"""Envelopes: the standard's vector, one canonical form, every byte signed, thresholds over distinct keys."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from privacy import codec, envelope
from privacy.envelope import Kind
from privacy.keys import SigningKey
from protos.problems import Malformed, Problem, Refused, Unverified
from protos.v1 import envelope_pb2
from protos.v1.problem_pb2 import (
    REASON_KEY_UNKNOWN,
    REASON_MALFORMED_MESSAGE,
    REASON_MESSAGE_TOO_LARGE,
    REASON_SIGNATURE_INVALID,
    REASON_WRONG_TYPE,
)

VECTOR = json.loads((Path(__file__).parents[2] / "conformance/dsse/vector.json").read_text("utf-8"))
KEYS = [SigningKey(bytes([number]) * 32) for number in range(1, 4)]
PUBLIC = [key.verify_key for key in KEYS]
DATA = envelope.sign(b"payload", Kind.POLICY, KEYS[:2])


def test_the_standards_encoding_and_signature_hold() -> None:
    encoded = envelope.pae(VECTOR["payloadType"], VECTOR["payload"].encode())
    assert encoded == VECTOR["pae"].encode()
    raw = base64.b64decode(VECTOR["sig_b64"])
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    numbers = ec.EllipticCurvePublicNumbers(VECTOR["X"], VECTOR["Y"], ec.SECP256R1())
    numbers.public_key().verify(signature, encoded, ec.ECDSA(hashes.SHA256()))


def test_lengths_count_bytes_not_characters() -> None:
    assert envelope.pae("类型", b"\0") == b"DSSEv1 6 \xe7\xb1\xbb\xe5\x9e\x8b 1 \0"


def test_an_envelope_comes_back() -> None:
    opened = envelope.open_envelope(DATA)
    assert opened.payload == b"payload"
    assert opened.kind is Kind.POLICY
    assert opened.envelope_hash == envelope.envelope_hash(DATA)
    assert set(envelope.verify(opened, PUBLIC, 2)) == set(PUBLIC[:2])


def test_any_byte_changed_fails() -> None:
    for position in range(len(DATA)):
        for bit in (1, 0x80):
            changed = DATA[:position] + bytes([DATA[position] ^ bit]) + DATA[position + 1 :]
            with pytest.raises(Problem):
                envelope.verify(envelope.open_envelope(changed), PUBLIC, 2)


def test_any_byte_left_out_or_added_fails() -> None:
    for position in range(len(DATA) + 1):
        added = DATA[:position] + b"\0" + DATA[position:]
        shorter = DATA[:position] + DATA[position + 1 :]
        for changed in {added, shorter} - {DATA}:
            with pytest.raises(Problem):
                envelope.verify(envelope.open_envelope(changed), PUBLIC, 2)


def test_unknown_fields_are_refused() -> None:
    for data in (DATA + b"\x28\x01", b"\x28\x01" + DATA):
        with pytest.raises(Malformed) as caught:
            envelope.open_envelope(data)
        assert caught.value.reason == REASON_MALFORMED_MESSAGE


def test_fields_out_of_order_are_refused() -> None:
    parts = envelope_pb2.Envelope.FromString(DATA)
    typed = envelope_pb2.Envelope(payload_type=parts.payload_type).SerializeToString()
    rest = envelope_pb2.Envelope(payload=parts.payload, signatures=parts.signatures).SerializeToString()
    with pytest.raises(Malformed):
        envelope.open_envelope(typed + rest)


def test_too_large_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(Malformed) as caught:
        envelope.open_envelope(b"\xff" * 65_536)
    assert caught.value.reason == REASON_MESSAGE_TOO_LARGE


def test_other_payload_types_are_refused() -> None:
    parts = envelope_pb2.Envelope.FromString(DATA)
    parts.payload_type = "application/json"
    with pytest.raises(Malformed) as caught:
        envelope.open_envelope(codec.encode(parts))
    assert caught.value.reason == REASON_WRONG_TYPE


def test_a_payload_of_one_kind_does_not_pass_for_another() -> None:
    parts = envelope_pb2.Envelope.FromString(DATA)
    parts.payload_type = Kind.PACK.payload_type
    with pytest.raises(Unverified):
        envelope.verify(envelope.open_envelope(codec.encode(parts)), PUBLIC)


def test_the_threshold_counts_distinct_keys() -> None:
    opened = envelope.open_envelope(DATA)
    with pytest.raises(Unverified):
        envelope.verify(opened, PUBLIC, 3)
    with pytest.raises(Unverified):
        envelope.verify(opened, [PUBLIC[0], PUBLIC[0]], 2)


def test_one_key_signing_twice_is_refused() -> None:
    parts = envelope_pb2.Envelope.FromString(DATA)
    parts.signatures.append(parts.signatures[0])
    with pytest.raises(Malformed):
        envelope.open_envelope(codec.encode(parts))
    assert envelope.add_signature(DATA, KEYS[0]) == DATA


def test_a_key_hint_does_not_make_a_signature() -> None:
    parts = envelope_pb2.Envelope.FromString(envelope.sign(b"payload", Kind.POLICY, [KEYS[2]]))
    parts.signatures[0].keyid = KEYS[0].keyid
    with pytest.raises(Unverified) as caught:
        envelope.verify(envelope.open_envelope(codec.encode(parts)), PUBLIC)
    assert caught.value.reason == REASON_SIGNATURE_INVALID


def test_unknown_keys_count_for_nothing() -> None:
    with pytest.raises(Unverified) as caught:
        envelope.verify(envelope.open_envelope(DATA), [PUBLIC[2]])
    assert caught.value.reason == REASON_KEY_UNKNOWN
    assert envelope.verify(envelope.open_envelope(DATA), PUBLIC[1:]) == (PUBLIC[1],)


def test_a_threshold_of_zero_still_needs_a_signature() -> None:
    with pytest.raises(Unverified):
        envelope.verify(envelope.open_envelope(DATA), [PUBLIC[2]], 0)


def test_signatures_are_collected_one_by_one() -> None:
    proposal = envelope.unsigned(b"payload", Kind.POLICY)
    with pytest.raises(Unverified):
        envelope.open_envelope(proposal)
    assert envelope.read_unsigned(proposal).payload == b"payload"
    for key in KEYS:
        proposal = envelope.add_signature(proposal, key)
    assert len(envelope.verify(envelope.open_envelope(proposal), PUBLIC, 3)) == 3


def test_more_signatures_than_the_bound_are_refused() -> None:
    many = [SigningKey(bytes([number]) * 32) for number in range(1, envelope.SIGNATURES_MAX + 2)]
    with pytest.raises(Malformed):
        envelope.open_envelope(envelope.sign(b"payload", Kind.POLICY, many))


def test_a_payload_that_is_not_canonical_is_refused() -> None:
    header = envelope.header("origin", "one", sequence=1, previous=envelope.NO_PREVIOUS, issued_at=0)
    signed = envelope.sign(codec.encode(header) + b"\x98\x06\x01", Kind.POLICY, KEYS[:1])
    with pytest.raises(Malformed):
        envelope.open_envelope(signed).parse(envelope_pb2.Header)


def test_another_logs_message_is_refused() -> None:
    with pytest.raises(Refused):
        envelope.check_origin("other.example/log", "cgsp.example/log")


@pytest.mark.parametrize("kind", Kind)
def test_an_envelope_of_another_kind_than_is_due_is_refused(kind: Kind) -> None:
    data = envelope.sign(b"payload", kind, KEYS[:1])
    assert envelope.open_kind(data, kind) == envelope.open_envelope(data)
    for other in set(Kind) - {kind}:
        with pytest.raises(Malformed) as caught:
            envelope.open_kind(data, other)
        assert caught.value.reason == REASON_WRONG_TYPE
