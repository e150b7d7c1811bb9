"""How a party joins: a one-time token, a signing request, proof that it holds its signing key.

The hub's authority is pinned by the fingerprint in the token: the first connection only fetches the
certificate, the second is verified against it before the token's secret is sent.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from cryptography.hazmat.primitives.serialization import Encoding

from privacy.keys import PUBLIC_BYTES, SIGNATURE_BYTES, SigningKey, VerifyKey, checked_id
from protos.json_text import canonical_json, parse_json
from protos.problems import Malformed, Problem, Refused, Unverified
from protos.v1.problem_pb2 import (
    REASON_CERTIFICATE_INVALID,
    REASON_MALFORMED_MESSAGE,
    REASON_MESSAGE_TOO_LARGE,
    REASON_TOKEN_INVALID,
    REASON_TRUST_ROOT_INVALID,
    REASON_UNKNOWN_FIELD_VALUE,
    REASON_WRONG_ORIGIN,
)
from runtime.addresses import parse_address
from runtime.authority import load_csr
from runtime.https import HttpsClient, client_context, fetch_authority
from runtime.identity import Identity, Role, SpiffeName, make_csr, make_tls_key, trust_domain

TOKEN_HEAD = "cgsp1."  # noqa: S105 (no secret: how every token starts)
TOKEN_CHARACTERS_MAX = 2048
JOIN_BYTES_MAX = 65_536
JOIN_RESPONSE_BYTES_MAX = 262_144
JOIN_CONTEXT = b"cgsp-join-v1\0"
JOIN_PATH = "/v1/join"

_SECRET = re.compile(r"[A-Za-z0-9_-]{43,128}")
_HASH = re.compile(r"[0-9a-f]{64}")
_REQUEST_FIELDS = {
    "token_secret",
    "csr_pem",
    "public_key_hex",
    "possession_hex",
    "address",
    "sealing_key_hex",
}


def new_token_secret() -> str:
    """Draw a one-time secret of 256 bits; the hub keeps only its hash."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What the operator hands over: where to join, as whom, and the one-time secret."""

    hub: str
    ca: str
    secret: str = dataclasses.field(repr=False)
    role: Role
    id: str
    origin: str
    trust_root: str = ""

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read a token; raises Refused TOKEN_INVALID unless it is bounded and in canonical form."""
        if len(text) > TOKEN_CHARACTERS_MAX or not text.startswith(TOKEN_HEAD):
            raise _bad_token(f"it does not start with {TOKEN_HEAD}, or is too long")
        try:
            encoded = text.removeprefix(TOKEN_HEAD)
            data = parse_json(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
            token = cls(**data | {"role": Role(data["role"])})
        except (ValueError, TypeError, KeyError):
            raise _bad_token("it was cut or changed on the way") from None
        token.check()
        if token.encode() != text:
            raise _bad_token("it is not in canonical form")
        return token

    def encode(self) -> str:
        """Write the token."""
        data = dataclasses.asdict(self) | {"role": self.role.value}
        return TOKEN_HEAD + base64.urlsafe_b64encode(canonical_json(data)).decode().rstrip("=")

    def check(self) -> None:
        """See that every part has its form; raises Refused TOKEN_INVALID."""
        texts = (self.hub, self.ca, self.secret, self.id, self.origin, self.trust_root)
        if not all(isinstance(text, str) for text in texts):
            raise _bad_token("a part of it is not text")
        try:
            parse_address(self.hub)
            trust_domain(self.origin)
            checked_id(self.id, "The id in the token")
        except Problem as problem:
            raise _bad_token(problem.message) from None
        is_formed = _HASH.fullmatch(self.ca) and _SECRET.fullmatch(self.secret)
        if not is_formed or (self.trust_root and not _HASH.fullmatch(self.trust_root)):
            raise _bad_token("a fingerprint or the secret has the wrong form")

    @property
    def name(self) -> SpiffeName:
        """Give the name that the joining party's certificate will carry."""
        return SpiffeName(trust_domain(self.origin), self.role, self.id)


def _bad_token(why: str) -> Refused:
    return Refused(
        REASON_TOKEN_INVALID,
        f"The token cannot be used: {why}.",
        remedy="Copy the whole line that the hub's invite command printed, or ask for a new one.",
    )


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A request whose form and proof of possession hold; whether the secret is good is the hub's to say."""

    token_secret: str = dataclasses.field(repr=False)
    csr_pem: bytes
    public_key: bytes
    address: str
    sealing_key: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """What a party has after joining; `trust_root` is the first trust root's envelope if the hub has one."""

    identity: Identity
    grpc_address: str
    https_address: str
    origin: str
    trust_root: bytes | None


def join(
    token: JoinToken,
    signing_key: SigningKey,
    *,
    address: str = "",
    sealing_key: bytes = b"",
    timeout_seconds: float = 30.0,
    before_send: Callable[[bytes], None] = lambda body: None,
) -> Joined:
    """Join the hub the token names; raises what the hub answered, Unverified if it is not the pinned one.

    `before_send` sees the request's bytes before they leave.
    """
    ca_pem = fetch_authority(token.hub, token.ca, timeout_seconds=timeout_seconds)
    key_pem = make_tls_key()
    body = join_request(
        token, signing_key, make_csr(key_pem, token.name), address=address, sealing_key=sealing_key
    )
    before_send(body)
    client = HttpsClient(token.hub, client_context(ca_pem), timeout_seconds=timeout_seconds)
    try:
        answer = client.post_json(JOIN_PATH, body, JOIN_RESPONSE_BYTES_MAX)
    finally:
        client.close()
    return _joined(answer, token, key_pem, ca_pem)


def join_request(
    token: JoinToken, signing_key: SigningKey, csr_pem: bytes, *, address: str = "", sealing_key: bytes = b""
) -> bytes:
    """Write the body of POST /v1/join."""
    possession = signing_key.sign(_possession_bytes(csr_pem, token.secret))
    data = {
        "token_secret": token.secret,
        "csr_pem": csr_pem.decode("ascii"),
        "public_key_hex": signing_key.verify_key.public.hex(),
        "possession_hex": possession.hex(),
        "address": address,
    }
    if sealing_key:
        data["sealing_key_hex"] = sealing_key.hex()
    return json.dumps(data).encode()


def _possession_bytes(csr_pem: bytes, secret: str) -> bytes:
    csr_der = load_csr(csr_pem).public_bytes(Encoding.DER)
    return JOIN_CONTEXT + hashlib.sha256(csr_der).digest() + hashlib.sha256(secret.encode()).digest()


def verify_join_request(body: bytes) -> JoinRequest:
    """Hub side: check form, sizes, the signing request's own signature and the proof of possession."""
    data = _json_object(body, JOIN_BYTES_MAX)
    if set(data) - _REQUEST_FIELDS or not all(isinstance(value, str) for value in data.values()):
        raise Malformed(
            REASON_MALFORMED_MESSAGE, "The join request has unknown fields or fields that are not text."
        )
    request = JoinRequest(
        token_secret=_text(data, "token_secret"),
        csr_pem=_text(data, "csr_pem").encode("ascii", "replace"),
        public_key=_hex(data, "public_key_hex", PUBLIC_BYTES),
        address=_text(data, "address") if data.get("address") else "",
        sealing_key=_hex(data, "sealing_key_hex", PUBLIC_BYTES) if data.get("sealing_key_hex") else b"",
    )
    if not _SECRET.fullmatch(request.token_secret):
        raise Malformed(REASON_MALFORMED_MESSAGE, "The join request's secret has the wrong form.")
    if request.address:
        parse_address(request.address)
    possession = _hex(data, "possession_hex", SIGNATURE_BYTES)
    VerifyKey(request.public_key).verify(_possession_bytes(request.csr_pem, request.token_secret), possession)
    return request


def join_response(
    *,
    certificate_pem: bytes,
    ca_pem: bytes,
    grpc_address: str,
    https_address: str,
    origin: str,
    trust_root: bytes | None,
) -> dict[str, Any]:
    """Hub side: give the JSON of the answer to POST /v1/join."""
    return {
        "certificate_pem": certificate_pem.decode("ascii"),
        "ca_pem": ca_pem.decode("ascii"),
        "grpc_address": grpc_address,
        "https_address": https_address,
        "origin": origin,
        "trust_root_b64": base64.b64encode(trust_root).decode() if trust_root is not None else None,
    }


def _joined(body: bytes, token: JoinToken, key_pem: bytes, ca_pem: bytes) -> Joined:
    data = _json_object(body, JOIN_RESPONSE_BYTES_MAX)
    joined = Joined(
        identity=Identity(key_pem, _text(data, "certificate_pem").encode("ascii", "replace"), ca_pem),
        grpc_address=str(parse_address(_text(data, "grpc_address"))),
        https_address=str(parse_address(_text(data, "https_address"))),
        origin=_text(data, "origin"),
        trust_root=_trust_root(data),
    )
    if joined.origin != token.origin:
        raise Refused(REASON_WRONG_ORIGIN, "The hub answered for another log than the token names.")
    joined.identity.check()
    if joined.identity.name != token.name:
        raise Unverified(REASON_CERTIFICATE_INVALID, "The hub issued a certificate under another name.")
    if token.trust_root and hashlib.sha256(joined.trust_root or b"").hexdigest() != token.trust_root:
        raise Unverified(
            REASON_TRUST_ROOT_INVALID,
            "The trust root the hub sent is not the one the token names.",
            remedy="Do not use this hub before its operator has explained it.",
        )
    return joined


def _trust_root(data: Mapping[str, Any]) -> bytes | None:
    if data.get("trust_root_b64") is None:
        return None
    try:
        return base64.b64decode(_text(data, "trust_root_b64"), validate=True)
    except binascii.Error:
        raise Malformed(REASON_MALFORMED_MESSAGE, "The trust root in the answer is not base64.") from None


def _json_object(body: bytes, limit: int) -> dict[str, Any]:
    if len(body) > limit:
        raise Malformed(
            REASON_MESSAGE_TOO_LARGE, f"A join message has at most {limit} bytes, {len(body)} came."
        )
    try:
        data = parse_json(body)
    except ValueError:
        raise Malformed(REASON_MALFORMED_MESSAGE, "The join message is not JSON.") from None
    if not isinstance(data, dict):
        raise Malformed(REASON_MALFORMED_MESSAGE, "The join message is not a JSON object.")
    return data


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(REASON_MALFORMED_MESSAGE, f"The join message lacks {name}.")
    return value


def _hex(data: Mapping[str, Any], name: str, size: int) -> bytes:
    text = _text(data, name)
    if not re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", text):
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"{name} must be {size} bytes in lower-case hex.")
    return bytes.fromhex(text)
