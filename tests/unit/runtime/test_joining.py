"""Joining over real HTTPS: the token names the hub's authority, the request proves its key."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from privacy import keys
from protos.problems import Malformed, Problem, Refused, Unverified
from runtime.authority import CertificateAuthority
from runtime.identity import Identity, Role, make_csr, make_tls_key
from runtime.joining import (
    TOKEN_HEAD,
    JoinRequest,
    JoinToken,
    join,
    join_request,
    join_response,
    new_token_secret,
    verify_join_request,
)
from runtime.problems import http_body, outcome
from tests.unit.runtime.https_server import HttpsServer

ORIGIN = "cgsp.example/log"
TRUST_ROOT = b"the first trust root's envelope"
KEY = keys.generate(secrets.token_bytes, "bike-share-1")


def token(hub: str = "127.0.0.1:8443", ca: str = "0" * 64, **more: Any) -> JoinToken:
    values = {"secret": new_token_secret(), "role": Role.NODE, "id": "bike-share-1", "origin": ORIGIN}
    return JoinToken(hub=hub, ca=ca, **(values | more))


def request_body(given: JoinToken, **more: Any) -> bytes:
    return join_request(given, KEY, make_csr(make_tls_key(), given.name), **more)


class Hub:
    """Answers as a hub does; a test may make it dishonest."""

    def __init__(self, authority: CertificateAuthority, invited: JoinToken) -> None:
        self.authority = authority
        self.invited = invited
        self.requests: list[JoinRequest] = []
        self.change: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer

    def answer(self, path: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        if path == "/v1/ca":
            return 200, {}, self.authority.ca_pem
        try:
            return 200, {}, json.dumps(self.change(self.joined(body))).encode()
        except Problem as problem:
            return outcome(problem.reason).http_status, {}, json.dumps(http_body(problem)).encode()

    def joined(self, body: bytes) -> dict[str, Any]:
        request = verify_join_request(body)
        self.requests.append(request)
        if request.token_secret != self.invited.secret:
            raise Refused(315, "The token has been used.")  # type: ignore[arg-type]
        return join_response(
            certificate_pem=self.authority.issue(request.csr_pem, self.invited.name),
            ca_pem=self.authority.ca_pem,
            grpc_address="127.0.0.1:7001",
            https_address="127.0.0.1:7002",
            origin=ORIGIN,
            trust_root=TRUST_ROOT,
        )


@pytest.fixture
def dishonest(authority: CertificateAuthority) -> Hub:
    return Hub(authority, token())


def test_party_joins_and_has_its_identity(authority: CertificateAuthority, hub: Identity) -> None:
    server_side = Hub(authority, token())
    with HttpsServer(hub, server_side.answer) as server:
        pinned = hashlib.sha256(TRUST_ROOT).hexdigest()
        given = token(
            server.address, authority.fingerprint, secret=server_side.invited.secret, trust_root=pinned
        )
        sent: list[bytes] = []
        joined = join(given, KEY, address="127.0.0.1:7003", sealing_key=b"s" * 32, before_send=sent.append)
        assert verify_join_request(sent[0]) == server_side.requests[0]
        assert server.requests == ["GET /v1/ca", "POST /v1/join"]
    joined.identity.check()
    assert joined.identity.name == given.name
    assert (joined.grpc_address, joined.https_address) == ("127.0.0.1:7001", "127.0.0.1:7002")
    assert (joined.origin, joined.trust_root) == (ORIGIN, TRUST_ROOT)
    request = server_side.requests[0]
    assert (request.public_key, request.address) == (KEY.verify_key.public, "127.0.0.1:7003")
    assert request.sealing_key == b"s" * 32


def test_secret_is_not_sent_to_another_authority(authority: CertificateAuthority, hub: Identity) -> None:
    server_side = Hub(authority, token())
    with HttpsServer(hub, server_side.answer) as server:
        with pytest.raises(Unverified, match="not the one"):
            join(token(server.address, "0" * 64), KEY)
        assert server.requests == ["GET /v1/ca"]


def test_authority_shown_without_its_certificate_gets_no_secret(authority: CertificateAuthority) -> None:
    impostor = CertificateAuthority.create("cgsp.example")
    name = token(role=Role.HUB, id="hub-1").name
    identity = impostor.issue_identity(name, server_names=["127.0.0.1"])
    server_side = Hub(authority, token())
    with HttpsServer(identity, server_side.answer) as server:
        with pytest.raises(Unverified, match="does not hold"):
            join(token(server.address, authority.fingerprint), KEY)
        assert server.requests == ["GET /v1/ca"]


def test_refusal_of_the_hub_is_raised(authority: CertificateAuthority, hub: Identity, dishonest: Hub) -> None:
    with HttpsServer(hub, dishonest.answer) as server, pytest.raises(Refused, match="has been used"):
        join(token(server.address, authority.fingerprint), KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "other.example/log"},
        {"certificate_pem": "x"},
        {"trust_root_b64": base64.b64encode(b"another").decode()},
        {"trust_root_b64": None},
        {"trust_root_b64": "%"},
        {"grpc_address": "nowhere"},
        {"https_address": ""},
    ],
)
def test_wrong_answer_is_not_believed(
    authority: CertificateAuthority, hub: Identity, dishonest: Hub, change: dict[str, Any]
) -> None:
    dishonest.change = lambda answer: answer | change
    with HttpsServer(hub, dishonest.answer) as server:
        pinned = hashlib.sha256(TRUST_ROOT).hexdigest()
        given = token(
            server.address, authority.fingerprint, secret=dishonest.invited.secret, trust_root=pinned
        )
        with pytest.raises((Malformed, Unverified, Refused)):
            join(given, KEY)


def test_certificate_under_another_name_is_not_taken(
    authority: CertificateAuthority, hub: Identity, dishonest: Hub
) -> None:
    with HttpsServer(hub, dishonest.answer) as server:
        given = token(server.address, authority.fingerprint, secret=dishonest.invited.secret, id="bank-1")
        with pytest.raises(Unverified, match="another name"):
            join(given, KEY)


def test_token_is_one_canonical_line() -> None:
    given = token(trust_root="a" * 64)
    text = given.encode()
    assert text.startswith(TOKEN_HEAD) and text.isprintable() and " " not in text
    assert JoinToken.decode(text) == given
    assert given.secret not in repr(given)


def test_token_with_a_changed_character_is_refused() -> None:
    given = token()
    text = given.encode()
    for position in range(len(text)):
        letter = "A" if text[position] != "A" else "B"
        try:
            other = JoinToken.decode(text[:position] + letter + text[position + 1 :])
        except Refused:
            continue
        assert other != given


@pytest.mark.parametrize(
    "change",
    [
        {"hub": "x"},
        {"ca": "A" * 64},
        {"secret": "short"},
        {"id": "A"},
        {"origin": "A B"},
        {"trust_root": "0"},
    ],
)
def test_token_of_wrong_parts_is_refused(change: dict[str, Any]) -> None:
    text = token(**change).encode()
    with pytest.raises(Refused, match="token cannot be used"):
        JoinToken.decode(text)


@pytest.mark.parametrize(
    "text", ["", "cgsp1.", "cgsp2.e30", "cgsp1.e30", "cgsp1.W10", "cgsp1.%%%", "cgsp1." + "A" * 3000]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="token cannot be used"):
        JoinToken.decode(text)


def test_request_proves_possession_of_its_key() -> None:
    given = token()
    good = json.loads(request_body(given))
    assert verify_join_request(json.dumps(good).encode()).public_key == KEY.verify_key.public
    other = keys.generate(secrets.token_bytes).verify_key.public.hex()
    csr = make_csr(make_tls_key(), given.name).decode()
    for change in ({"public_key_hex": other}, {"csr_pem": csr}, {"token_secret": new_token_secret()}):
        with pytest.raises(Unverified, match="does not hold"):
            verify_join_request(json.dumps(good | change).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"token_secret": 1},
        {"token_secret": ""},
        {"token_secret": "x"},
        {"csr_pem": "x"},
        {"csr_pem": "é"},
        {"public_key_hex": "00"},
        {"possession_hex": "AA" * 64},
        {"address": "nowhere"},
        {"sealing_key_hex": "00"},
        {"more": "x"},
    ],
)
def test_request_of_wrong_form_is_malformed(change: dict[str, Any]) -> None:
    good = json.loads(request_body(token()))
    with pytest.raises(Malformed):
        verify_join_request(json.dumps(good | change).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b"[" * 60_000, b" " * 70_000])
def test_what_is_no_request_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        verify_join_request(body)
