"""Servers say their health, take renewed certificates, and finish what they have begun."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from protos.problems import Unavailable
from runtime.authority import CertificateAuthority
from runtime.channels import open_channel
from runtime.identity import Identity, Role, SpiffeName
from runtime.servers import GrpcServer, ServerOptions
from tests.unit.runtime.grpc_service import SERVICE, call, call_stream, server_of

PATIENCE_SECONDS = 30


def test_health_is_said_for_each_service(hub: Identity, node: Identity) -> None:
    with server_of(hub) as server, open_channel(server.address, node) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", SERVICE):
            status = stub.Check(health_pb2.HealthCheckRequest(service=service)).status
            assert status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("shown", [True, False])
def test_reflection_is_a_choice(hub: Identity, node: Identity, shown: bool) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with server_of(hub, reflection=shown) as server, open_channel(server.address, node) as channel:
        responses = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
        if shown:
            names = [item.name for item in next(responses).list_services_response.service]
            assert SERVICE in names
        else:
            with pytest.raises(grpc.RpcError):
                next(responses)


def test_stop_lets_a_running_call_finish(hub: Identity, node: Identity) -> None:
    begun, stopping = threading.Event(), threading.Event()

    def slow(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"0"
        begun.set()
        assert stopping.wait(PATIENCE_SECONDS)
        yield b"1"

    server = server_of(hub, stream=slow)
    server.start()
    with open_channel(server.address, node) as channel:
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.extend(call_stream(channel, b"a")))
        reader.start()
        assert begun.wait(PATIENCE_SECONDS)
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        # The call goes on once nobody new is let in.
        with pytest.raises(grpc.RpcError):
            for _ in range(10_000):
                call(channel, timeout=1)
        stopping.set()
        for one in (reader, stopper):
            one.join(PATIENCE_SECONDS)
        assert received == [b"0", b"1"]


def test_renewed_certificate_serves_without_a_restart(
    authority: CertificateAuthority, node: Identity
) -> None:
    def issued(host_id: str) -> Identity:
        return authority.issue_identity(
            SpiffeName("cgsp.example", Role.HUB, host_id), server_names=["127.0.0.1"]
        )

    current = [issued("hub-1")]
    server = GrpcServer(lambda: current[0], ServerOptions("127.0.0.1:0", [SERVICE]))
    health = health_pb2.HealthCheckRequest()
    with server:
        for host_id in ("hub-1", "hub-2"):
            current[0] = issued(host_id)
            name = SpiffeName("cgsp.example", Role.HUB, host_id).dns_name
            with open_channel(server.address, node, server_name=name) as channel:
                assert health_pb2_grpc.HealthStub(channel).Check(health).status == 1


def test_port_in_use_is_told(hub: Identity) -> None:
    with server_of(hub) as server, pytest.raises(Unavailable, match="Cannot listen"):
        server_of(hub, address=server.address)
