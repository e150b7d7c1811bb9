"""Real mutual TLS on loopback: who may speak, what a failed handshake looks like, what is repeated."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from cryptography import x509

from protos.problems import Malformed, Problem, Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_BUSY,
    REASON_MALFORMED_MESSAGE,
    REASON_MESSAGE_TOO_LARGE,
    REASON_PEER_UNREACHABLE,
    REASON_ROLE_NOT_ALLOWED,
)
from runtime.authority import CertificateAuthority
from runtime.channels import MESSAGE_BYTES_MAX, Peer, open_channel, peer_identity, require_role
from runtime.identity import Identity, Role, SpiffeName
from runtime.retries import unary
from tests.fault_proxy import FaultProxy
from tests.unit.runtime.grpc_service import call, call_stream, server_of

DOMAIN = "cgsp.example"
PATIENCE_SECONDS = 30


def failure(address: str, identity: Identity, **more: str) -> Problem:
    with (
        open_channel(address, identity, timeout_seconds=3, **more) as channel,
        pytest.raises(Problem) as caught,
    ):
        unary(lambda: call(channel))
    return caught.value


def test_server_knows_who_calls(hub: Identity, node: Identity) -> None:
    peers: list[Peer] = []

    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        peers.append(peer_identity(context))
        return request

    with server_of(hub, unary=handler) as server, open_channel(server.address, node) as channel:
        assert call(channel) == b"x"
    assert peers == [Peer(Role.NODE, "bike-share-1", DOMAIN)]


def test_role_is_required(hub: Identity, node: Identity) -> None:
    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        require_role(context, Role.OPERATOR, Role.AUDITOR)
        return request

    with server_of(hub, unary=handler) as server:
        problem = failure(server.address, node)
        assert isinstance(problem, Refused) and problem.reason == REASON_ROLE_NOT_ALLOWED
        assert "operator or auditor" in problem.message


def test_missing_certificate_is_explained(hub: Identity) -> None:
    with server_of(hub) as server:
        credentials = grpc.ssl_channel_credentials(hub.ca_pem)
        with (
            grpc.secure_channel(server.address, credentials) as channel,
            pytest.raises(Unavailable) as caught,
        ):
            unary(lambda: call(channel, timeout=3))
    assert caught.value.reason == REASON_PEER_UNREACHABLE
    assert "client certificate looks the same" in caught.value.remedy


def test_certificate_of_a_foreign_authority_is_not_let_in(hub: Identity) -> None:
    stranger = CertificateAuthority.create(DOMAIN).issue_identity(
        SpiffeName(DOMAIN, Role.NODE, "bike-share-1")
    )
    mixed = Identity(stranger.key_pem, stranger.certificate_pem, hub.ca_pem)
    with server_of(hub) as server:
        assert failure(server.address, mixed).reason == REASON_PEER_UNREACHABLE


def test_server_of_a_foreign_authority_is_not_spoken_to(node: Identity) -> None:
    foreign = CertificateAuthority.create(DOMAIN)
    impostor = foreign.issue_identity(SpiffeName(DOMAIN, Role.HUB, "hub-1"), server_names=["127.0.0.1"])
    called: list[bytes] = []
    with server_of(impostor, unary=lambda request, context: called.append(request)) as server:
        assert failure(server.address, node).reason == REASON_PEER_UNREACHABLE
    assert called == []


def test_expired_certificate_is_not_let_in(authority: CertificateAuthority, hub: Identity) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    expired = authority.issue_identity(SpiffeName(DOMAIN, Role.NODE, "bike-share-1"), days=1, now=past)
    with server_of(hub) as server:
        assert failure(server.address, expired).reason == REASON_PEER_UNREACHABLE


def test_certificate_that_may_not_serve_is_not_spoken_to(node: Identity) -> None:
    with server_of(node) as server:
        assert failure(server.address, node, server_name=node.name.dns_name).reason == REASON_PEER_UNREACHABLE


def test_live_connection_ends_with_its_certificate(hub: Identity, node: Identity) -> None:
    end = x509.load_pem_x509_certificate(node.certificate_pem).not_valid_after_utc
    times = iter([end - datetime.timedelta(seconds=1), end])
    with server_of(hub, now=lambda: next(times)) as server, open_channel(server.address, node) as channel:
        assert call(channel) == b"x"
        with pytest.raises(Unverified, match="expired"):
            unary(lambda: call(channel))


def test_denied_key_is_refused(hub: Identity, node: Identity) -> None:
    asked: list[str] = []

    def denied(key_hash: str) -> bool:
        asked.append(key_hash)
        return True

    with server_of(hub, denied=denied) as server:
        assert "revoked" in failure(server.address, node).message
    assert len(asked[0]) == 64


def test_party_meant_is_the_party_reached(hub: Identity, node: Identity) -> None:
    with server_of(hub) as server:
        with open_channel(server.address, node, server_name=hub.name.dns_name) as channel:
            assert call(channel) == b"x"
        other = SpiffeName(DOMAIN, Role.CUSTODIAN, "regulator").dns_name
        assert failure(server.address, node, server_name=other).reason == REASON_PEER_UNREACHABLE


def test_large_message_is_let_through_and_larger_is_named(hub: Identity, node: Identity) -> None:
    with (
        server_of(hub, unary=lambda request, context: b"") as server,
        open_channel(server.address, node) as channel,
    ):
        assert call(channel, b"x" * (MESSAGE_BYTES_MAX - 100)) == b""
        with pytest.raises(Malformed) as caught:
            unary(lambda: call(channel, b"x" * (MESSAGE_BYTES_MAX + 1)))
    assert caught.value.reason == REASON_MESSAGE_TOO_LARGE


def test_a_calls_own_deadline_may_be_longer_than_the_channels(hub: Identity, node: Identity) -> None:
    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        return b"longer" if context.time_remaining() > 100 else b"shorter"

    def stream(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from (handler(one, context) for one in requests)

    with (
        server_of(hub, unary=handler, stream=stream) as server,
        open_channel(server.address, node, timeout_seconds=60) as channel,
    ):
        assert call(channel) == b"shorter"
        assert call(channel, timeout=600) == b"longer"
        assert list(call_stream(channel, b"x", timeout=600)) == [b"longer"]


def test_call_has_a_deadline_of_its_own(hub: Identity, node: Identity) -> None:
    released = threading.Event()

    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        assert released.wait(PATIENCE_SECONDS)
        return b""

    with (
        server_of(hub, unary=handler) as server,
        open_channel(server.address, node, timeout_seconds=1) as channel,
    ):
        with pytest.raises(Unavailable, match="DEADLINE_EXCEEDED"):
            unary(lambda: call(channel))
        released.set()


def test_large_call_cut_on_its_way_is_repeated(hub: Identity, node: Identity) -> None:
    with server_of(hub) as server, FaultProxy(server.address, cut_after_bytes=300_000, cuts=2) as proxy:
        with open_channel(proxy.address, node) as channel:
            assert call(channel, b"x" * 900_000) == b"x" * 900_000
        assert proxy.cuts == 0
        assert proxy.connections == 3


def test_nobody_there_is_unavailable(node: Identity) -> None:
    with FaultProxy("127.0.0.1:9") as proxy:
        proxy.refuses = True
        assert failure(proxy.address, node).reason == REASON_PEER_UNREACHABLE


def test_bad_address_is_malformed(node: Identity) -> None:
    with pytest.raises(Malformed, match="host:port"):
        open_channel("nowhere", node)


def test_server_that_is_full_says_so(hub: Identity, node: Identity) -> None:
    taken, released = threading.Event(), threading.Event()

    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        taken.set()
        assert released.wait(PATIENCE_SECONDS)
        return b""

    with server_of(hub, unary=handler, calls_max=1) as server, open_channel(server.address, node) as channel:
        method: Any = channel.unary_unary("/cgsp.test.Echo/Unary")
        first = method.future(b"x")
        assert taken.wait(PATIENCE_SECONDS)
        with pytest.raises(Unavailable) as caught:
            unary(lambda: call(channel))
        released.set()
        assert caught.value.reason == REASON_BUSY
        assert first.result() == b""


def test_method_unknown_to_the_server_is_told(hub: Identity, node: Identity) -> None:
    with server_of(hub) as server, open_channel(server.address, node) as channel:
        method: Any = channel.unary_unary("/cgsp.test.Echo/Other")
        with pytest.raises(Malformed, match="UNIMPLEMENTED") as caught:
            unary(lambda: method(b""))
    assert caught.value.reason != REASON_MALFORMED_MESSAGE
