"""A running node tells its own operators how far it is, and nobody else."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from enterprise_node.app import App
from enterprise_node.rpc import NODE_SERVICE
from enterprise_node.serving import serving
from privacy import choices
from privacy.envelope import open_envelope
from privacy.exports import PERSON, open_export
from protos.epochs import Epoch
from protos.problems import Malformed, Refused, Unavailable
from protos.v1 import node_pb2, node_pb2_grpc, programme_pb2
from protos.v1.problem_pb2 import REASON_ROLE_NOT_ALLOWED
from runtime.channels import open_channel
from runtime.identity import Identity, Role, SpiffeName
from runtime.pack_files import load_pack
from runtime.retries import unary
from tests.unit.enterprise_node.simulated_hub import PACKS, RIDERS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import DOMAIN, ENTERPRISE, Federation, signing_key

PACK = load_pack(PACKS / "trv.shared_bike" / "1")
OWN_KEY = signing_key(ENTERPRISE).verify_key


@pytest.fixture
def app(tmp_path: Path, federation: Federation) -> Iterator[App]:
    hub = SimulatedHub(federation)
    hub.publish_policy(PACK)
    write_home(tmp_path / "node")
    opened = open_node(tmp_path / "node", federation, hub)
    yield opened
    opened.close()


def connect(address: str, identity: Identity) -> grpc.Channel:
    return open_channel(address, identity)


def test_the_nodes_own_certificate_gets_the_status(app: App, federation: Federation) -> None:
    app.pipeline.run([Epoch(202012)])
    with serving(app) as address, connect(address, federation.node_identity()) as channel:
        stub = node_pb2_grpc.NodeServiceStub(channel)
        found = unary(lambda: stub.GetStatus(node_pb2.NodeServiceGetStatusRequest()))
        asked = health_pb2.HealthCheckRequest(service=NODE_SERVICE)
        health = health_pb2_grpc.HealthStub(channel).Check(asked)
    assert (found.enterprise_id, found.activities, found.enrolled) == (ENTERPRISE, 25, RIDERS)
    assert [(one.epoch, one.state) for one in found.epochs] == [(202012, "committed")]
    assert (found.stage, found.waiting_for) == ("done", "")
    assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_a_checkout_is_told_what_a_trip_comes_to(app: App, federation: Federation) -> None:
    request = node_pb2.EstimateFootprintRequest(pack_id=PACK.id, inputs={"distance": "2"})
    with serving(app) as address, connect(address, federation.node_identity()) as channel:
        stub = node_pb2_grpc.NodeServiceStub(channel)
        [found] = unary(lambda: stub.EstimateFootprint(request)).estimates
        with pytest.raises(Malformed):
            unary(lambda: stub.EstimateFootprint(node_pb2.EstimateFootprintRequest(pack_id=PACK.id)))
    assert (found.pack_id, found.purpose, found.milligrams) == (PACK.id, "credit", 97_400)
    assert (found.equivalence.id, found.equivalence.thousandths) == ("tree_year", 69)


def test_the_enterprises_app_exports_corrects_erases_and_gets_tickets(
    app: App, federation: Federation
) -> None:
    app.pipeline.run([Epoch(202012)])
    rider = "13800000003"
    with serving(app) as address, connect(address, federation.node_identity()) as channel:
        stub = node_pb2_grpc.PersonServiceStub(channel)
        ask = node_pb2.ExportPersonRequest(identifier=rider)
        found = open_export(unary(lambda: stub.ExportPerson(ask)).export, PERSON, [OWN_KEY])
        record = found["records"][0]["record"]
        change = node_pb2.CorrectPersonRequest(
            identifier=rider, record=record, inputs={"distance": "1"}, reason="longer in truth"
        )
        assert unary(lambda: stub.CorrectPerson(change)).activity == "trip.bicycle"
        seen = unary(lambda: stub.ShowPerson(node_pb2.ShowPersonRequest(identifier=rider, epochs=[202012])))
        assert [one.epoch for one in seen.months] == [202012]
        assert dict(seen.months[0].credited_mg) == found["months"][0]["credited_mg"]
        assert len(seen.records) == seen.months[0].records["trip.bicycle"]
        wanted = node_pb2.IssueTicketRequest(identifier=rider, purpose="view")
        assert unary(lambda: stub.IssueTicket(wanted)).ticket
        wanted.choice.pool.programme = "city"
        with pytest.raises(Malformed):
            unary(lambda: stub.IssueTicket(wanted))
        wanted.purpose = "choose"
        chosen = unary(lambda: stub.IssueTicket(wanted)).ticket
        named = open_envelope(chosen).parse(programme_pb2.LinkTicket).subject
        assert named == choices.subject(wanted.choice)
        gone = unary(lambda: stub.ErasePerson(node_pb2.ErasePersonRequest(identifier=rider)))
        assert gone.activities == len(found["records"])
        with pytest.raises(Unavailable):
            unary(lambda: stub.ExportPerson(ask))


def test_another_enterprise_asks_about_nobody(app: App, federation: Federation) -> None:
    with serving(app) as address, connect(address, federation.node_identity("rival")) as channel:
        stub = node_pb2_grpc.PersonServiceStub(channel)
        for call in (
            lambda: stub.ExportPerson(node_pb2.ExportPersonRequest(identifier="13800000003")),
            lambda: stub.IssueTicket(node_pb2.IssueTicketRequest(identifier="13800000003", purpose="view")),
            lambda: stub.ErasePerson(node_pb2.ErasePersonRequest(identifier="13800000003")),
        ):
            with pytest.raises(Refused):
                unary(call)


def test_another_enterprise_gets_no_estimate(app: App, federation: Federation) -> None:
    request = node_pb2.EstimateFootprintRequest(pack_id=PACK.id, inputs={"distance": "2"})
    with serving(app) as address, connect(address, federation.node_identity("rival")) as channel:
        stub = node_pb2_grpc.NodeServiceStub(channel)
        with pytest.raises(Refused):
            unary(lambda: stub.EstimateFootprint(request))


@pytest.mark.parametrize("role", [Role.HUB, Role.AUDITOR, Role.CUSTODIAN])
def test_other_roles_are_refused(app: App, federation: Federation, role: Role) -> None:
    other = federation.authority.issue_identity(SpiffeName(DOMAIN, role, "other"))
    with serving(app) as address, connect(address, other) as channel:
        stub = node_pb2_grpc.NodeServiceStub(channel)
        with pytest.raises(Refused) as caught:
            unary(lambda: stub.GetStatus(node_pb2.NodeServiceGetStatusRequest()))
    assert caught.value.reason == REASON_ROLE_NOT_ALLOWED


def test_another_enterprise_is_refused(app: App, federation: Federation) -> None:
    with serving(app) as address, connect(address, federation.node_identity("rival")) as channel:
        stub = node_pb2_grpc.NodeServiceStub(channel)
        with pytest.raises(Refused):
            unary(lambda: stub.GetStatus(node_pb2.NodeServiceGetStatusRequest()))


def test_health_and_metrics_name_nobody(app: App) -> None:
    lines: list[str] = []
    app.course.tell = lines.append
    app.pipeline.run([Epoch(202012)])
    with serving(app):
        address = next(line for line in lines if "health" in line).rsplit("http://", 1)[1]
        with urllib.request.urlopen(f"http://{address}/readyz") as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"http://{address}/metrics") as answer:
            text = answer.read().decode()
    assert f"cgsp_node_enrolled {RIDERS}.0" in text
    assert "cgsp_node_messages_waiting 0.0" in text
    assert "1380" not in text
