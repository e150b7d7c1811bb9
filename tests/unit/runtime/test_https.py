"""HTTPS against a real server: pinned authority, bounded answers, reasons kept."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping

import pytest

from protos.problems import Malformed, Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import REASON_BUDGET_EXCEEDED
from runtime.authority import CertificateAuthority
from runtime.https import HttpsClient, client_context, fetch_authority
from runtime.identity import Identity, Role, SpiffeName
from runtime.problems import http_body
from tests.fault_proxy import FaultProxy
from tests.unit.runtime.https_server import HttpsServer


def answer(path: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
    match path:
        case "/refused":
            refusal = http_body(Refused(REASON_BUDGET_EXCEEDED, "2 is more than 1.", remedy="Wait."))
            return 403, {}, json.dumps(refusal).encode()
        case "/large":
            return 200, {}, b"x" * 200_000
        case "/cut":
            return 200, {"Content-Length": "100", "Connection": "close"}, b"short"
        case "/zipped":
            return 200, {"Content-Encoding": "gzip"}, b"x"
        case "/moved":
            return 302, {"Location": "/ok"}, b""
        case "/echo":
            return 200, {}, body
        case "/missing":
            return 404, {}, b"nothing"
    return 200, {}, b"ok"


def client(server: str, ca_pem: bytes, **more: float) -> HttpsClient:
    return HttpsClient(server, client_context(ca_pem), **more)


def test_answers_come_over_one_connection(hub: Identity) -> None:
    with HttpsServer(hub, answer) as server, FaultProxy(server.address) as proxy:
        one = client(proxy.address, hub.ca_pem)
        assert [one.get("/ok", 10), one.post_json("/echo", b"{}", 10)] == [b"ok", b"{}"]
        assert proxy.connections == 1
        proxy.cut_all()
        assert one.get("/ok", 10) == b"ok"
        assert proxy.connections == 2
        one.close()


def test_reasons_come_through(hub: Identity) -> None:
    with HttpsServer(hub, answer) as server:
        one = client(server.address, hub.ca_pem)
        with pytest.raises(Refused, match=r"2 is more than 1\."):
            one.get("/refused", 10)
        with pytest.raises(Unavailable, match="does not have"):
            one.get("/missing", 10)
        with pytest.raises(Malformed, match="HTTP 302"):
            one.get("/moved", 10)
        one.close()


@pytest.mark.parametrize("path", ["/large", "/zipped"])
def test_answer_beyond_its_bound_is_refused_and_the_client_still_works(hub: Identity, path: str) -> None:
    with HttpsServer(hub, answer) as server:
        one = client(server.address, hub.ca_pem)
        with pytest.raises(Malformed):
            one.get(path, 1000)
        assert one.get("/ok", 10) == b"ok"
        one.close()


def test_answer_cut_short_is_no_answer(hub: Identity) -> None:
    with HttpsServer(hub, answer) as server, pytest.raises(Unavailable, match="Cannot reach"):
        client(server.address, hub.ca_pem).get("/cut", 1000)


def test_slow_answer_ends_at_its_time(hub: Identity) -> None:
    with HttpsServer(hub, answer) as server, FaultProxy(server.address, latency_seconds=0.4) as proxy:
        one = client(proxy.address, hub.ca_pem, timeout_seconds=0.2)
        with pytest.raises(Unavailable, match=r"within 0\.2 s"):
            one.get("/ok", 10)


def test_foreign_authority_is_not_trusted(hub: Identity) -> None:
    foreign = CertificateAuthority.create("cgsp.example").ca_pem
    with HttpsServer(hub, answer) as server, pytest.raises(Unverified, match="does not hold"):
        client(server.address, foreign).get("/ok", 10)


def test_expired_and_misnamed_servers_are_not_trusted(authority: CertificateAuthority) -> None:
    name = SpiffeName("cgsp.example", Role.HUB, "hub-1")
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    expired = authority.issue_identity(name, days=1, server_names=["127.0.0.1"], now=past)
    elsewhere = authority.issue_identity(name, server_names=["hub.example"])
    for identity in (expired, elsewhere):
        with HttpsServer(identity, answer) as server, pytest.raises(Unverified, match="does not hold"):
            client(server.address, authority.ca_pem).get("/ok", 10)


def test_client_certificate_is_shown_when_given(hub: Identity, node: Identity) -> None:
    with HttpsServer(hub, answer, requires_client=True) as server:
        shown = HttpsClient(server.address, client_context(hub.ca_pem, node))
        assert shown.get("/ok", 10) == b"ok"
        shown.close()
        with pytest.raises(Unavailable, match="Cannot reach"):
            client(server.address, hub.ca_pem).get("/ok", 10)


def test_nobody_there_is_unavailable(hub: Identity) -> None:
    with FaultProxy("127.0.0.1:9") as proxy:
        proxy.refuses = True
        with pytest.raises(Unavailable, match="Cannot reach"):
            client(proxy.address, hub.ca_pem).get("/ok", 10)
    with pytest.raises(Unavailable, match="Cannot reach"):
        client(proxy.address, hub.ca_pem).get("/ok", 10)


def test_authority_is_held_to_its_fingerprint(hub: Identity, authority: CertificateAuthority) -> None:
    def give(path: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        return 200, {}, authority.ca_pem

    with HttpsServer(hub, give) as server:
        assert fetch_authority(server.address, authority.fingerprint) == authority.ca_pem
        with pytest.raises(Unverified, match="not the one"):
            fetch_authority(server.address, "0" * 64)
