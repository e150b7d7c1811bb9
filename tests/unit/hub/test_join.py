from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from privacy.standing import HUB_ID
from protos.problems import Malformed, Refused, Unverified
from protos.v1 import hub_pb2
from protos.v1 import problem_pb2 as reasons
from runtime.channels import open_channel
from runtime.identity import Role, SpiffeName, make_csr, make_tls_key
from runtime.joining import Joined, JoinToken, join, join_request
from tests.simulator import ORIGIN, key
from tests.unit.hub.world import DOMAIN, World, begin, refused, running


def invite(world: World, **changes: Any) -> JoinToken:
    values = {"role": "node", "id": "bike-share", "name": "Bikes", "name_zh": "单车", "evaluation_quota": 50}
    with world.operator() as client:
        response = client.invite(hub_pb2.InviteRequest(**{**values, **changes}))
    return JoinToken.decode(response.token)


def test_a_token_gives_a_certificate_of_its_role_and_id(empty: World) -> None:
    joined = join(invite(empty), key("bike-share"), address="127.0.0.1:7001")
    assert joined.identity.name == SpiffeName(DOMAIN, Role.NODE, "bike-share")
    assert (joined.grpc_address, joined.https_address) == (empty.hub.grpc_address, empty.hub.https_address)
    assert (joined.origin, joined.trust_root) == (ORIGIN, None)
    with empty.operator() as client:
        [party] = client.list_parties()
    assert (party.role, party.id, party.name_zh) == ("node", "bike-share", "单车")
    assert (party.public_key, party.address) == (key("bike-share").verify_key.public, "127.0.0.1:7001")
    assert party.evaluation_quota == 50


def test_who_joins_later_gets_the_first_trust_root(empty: World) -> None:
    begin(empty)
    token = invite(empty)
    joined = join(token, key("bike-share"))
    assert joined.trust_root == empty.entries[0].data
    assert token.trust_root


def test_the_same_request_again_gets_the_same_certificate_even_after_a_restart(empty: World) -> None:
    token = invite(empty)
    csr = make_csr(make_tls_key(), token.name)
    body = join_request(token, key("bike-share"), csr)

    def post() -> Any:
        client = empty.https()
        answer = json.loads(client.post_json("/v1/join", body, 1 << 16))
        client.close()
        return answer

    first = post()
    assert post() == first
    empty.hub.__exit__(None, None, None)
    with running(empty.opened) as hub:
        empty.hub = hub
        assert post() == first


def test_the_same_signing_key_may_come_with_a_new_tls_key(empty: World) -> None:
    token = invite(empty)
    first, second = join(token, key("bike-share")), join(token, key("bike-share"))
    assert first.identity.certificate_pem != second.identity.certificate_pem
    assert second.identity.name == first.identity.name


def test_a_used_token_is_worth_nothing_with_another_key(empty: World) -> None:
    token = invite(empty)
    join(token, key("bike-share"))
    problem = refused(lambda: join(token, key("thief")))
    assert (type(problem), problem.reason) == (Refused, reasons.REASON_TOKEN_INVALID)
    assert problem.remedy


def test_an_unknown_secret_is_refused(empty: World) -> None:
    import dataclasses

    token = dataclasses.replace(invite(empty), secret="A" * 43)
    assert refused(lambda: join(token, key("bike-share"))).reason == reasons.REASON_TOKEN_INVALID


def test_an_expired_token_is_refused(empty: World) -> None:
    token = invite(empty)
    empty.hub.parts.registrar._clock = lambda: 1_610_000_000 + 25 * 3600
    assert refused(lambda: join(token, key("bike-share"))).reason == reasons.REASON_TOKEN_INVALID


def test_a_proof_by_another_key_is_refused(empty: World) -> None:
    token = invite(empty)
    csr = make_csr(make_tls_key(), token.name)
    body = json.loads(join_request(token, key("bike-share"), csr))
    body["public_key_hex"] = key("thief").verify_key.public.hex()
    client = empty.https()
    problem = refused(lambda: client.post_json("/v1/join", json.dumps(body).encode(), 1 << 16))
    client.close()
    assert isinstance(problem, Unverified)
    join(token, key("bike-share"))


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"{" * 10_000, b" " * 70_000])
def test_a_malformed_request_is_refused(empty: World, body: bytes) -> None:
    client = empty.https()
    problem = refused(lambda: client.post_json("/v1/join", body, 1 << 16))
    client.close()
    assert isinstance(problem, Malformed)


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "hub"},
        {"role": "operator"},
        {"role": "king"},
        {"id": "-bike"},
        {"id": "B"},
        {"name": "n" * 200},
    ],
)
def test_an_invitation_is_checked(empty: World, changes: dict[str, Any]) -> None:
    assert isinstance(refused(lambda: invite(empty, **changes)), Malformed)


def test_only_the_operator_invites(empty: World) -> None:
    joined = join(invite(empty), key("bike-share"))
    with open_channel(empty.hub.grpc_address, joined.identity) as channel:
        from protos.v1 import hub_pb2_grpc
        from runtime.retries import unary

        stub = hub_pb2_grpc.OperatorServiceStub(channel)
        problem = refused(lambda: unary(lambda: stub.Invite(hub_pb2.InviteRequest())))
    assert problem.reason == reasons.REASON_ROLE_NOT_ALLOWED


def test_a_custodian_may_serve_at_its_address(empty: World) -> None:
    token = invite(empty, role="custodian", id="regulator")
    joined = join(token, key("regulator"), address="127.0.0.1:7002")
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    certificate = x509.load_pem_x509_certificate(joined.identity.certificate_pem)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.SERVER_AUTH in usage


def test_health_and_reflection_answer_who_has_joined(empty: World) -> None:
    joined: Joined = join(invite(empty), key("bike-share"))
    name = SpiffeName(DOMAIN, Role.HUB, HUB_ID).dns_name
    with open_channel(empty.hub.grpc_address, joined.identity, server_name=name) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "cgsp.v1.IntakeService", "cgsp.v1.BodyService", "cgsp.v1.OperatorService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        [listed] = stub.ServerReflectionInfo(iter([request]))
        names = {service.name for service in listed.list_services_response.service}
    assert "cgsp.v1.IntakeService" in names


def test_without_a_certificate_grpc_says_nothing(empty: World) -> None:
    credentials = grpc.ssl_channel_credentials(empty.opened.authority.ca_pem)
    with grpc.secure_channel(empty.hub.grpc_address, credentials) as channel, pytest.raises(grpc.RpcError):
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
