"""What a running node answers its own enterprise: status, footprints, pushed activities, health, metrics."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from enterprise_node.app import open_tickets
from enterprise_node.footprint import Estimator, civil_today
from enterprise_node.overview import overview
from enterprise_node.rpc import ACTIVITY_SERVICE, NODE_SERVICE, PUSHES_MAX, ActivityServicer, NodeServicer
from enterprise_node.rpc_persons import PERSON_SERVICE, PersonServicer
from enterprise_node.store.outward import SCHEMAS
from enterprise_node.workspace import open_workspace
from protos.v1 import node_pb2, node_pb2_grpc
from runtime.metrics import HealthServer, Metrics
from runtime.servers import GrpcServer, ServerOptions

if TYPE_CHECKING:
    from enterprise_node.app import App


# Every stream of pushed records holds one; the status is answered beside them.
WORKERS = PUSHES_MAX + 3


@contextmanager
def serving(app: App) -> Iterator[str]:
    """Serve while the block runs; give the gRPC address."""
    service = app.workspace.configuration.service
    metrics = Metrics("node")
    _figures(app, metrics)
    identity = app.membership.identity
    options = ServerOptions(
        service.listen_grpc,
        (NODE_SERVICE, ACTIVITY_SERVICE, PERSON_SERVICE),
        workers=WORKERS,
        reflection=True,
    )
    server = GrpcServer(lambda: identity, options, metrics)
    packs = [app.workspace.home / entry for entry in app.workspace.configuration.packs]
    estimator = Estimator(packs, civil_today)
    servicer = NodeServicer(app.membership.enterprise_id, lambda: status(app), estimator.answer)
    node_pb2_grpc.add_NodeServiceServicer_to_server(servicer, server.server)
    pushed = ActivityServicer(app.membership.enterprise_id, app.workspace.spool().take)
    node_pb2_grpc.add_ActivityServiceServicer_to_server(pushed, server.server)
    persons = PersonServicer(
        app.membership,
        lambda: open_workspace(app.workspace.home, schemas=SCHEMAS),
        open_tickets(app.workspace, app.membership),
    )
    node_pb2_grpc.add_PersonServiceServicer_to_server(persons, server.server)
    with HealthServer(service.listen_metrics, metrics, lambda: app.course.waiting_for) as health, server:
        note = identity.renewal_note(datetime.datetime.now(datetime.UTC))
        for line in (f"serving gRPC {server.address}, health http://{health.address}", note):
            if line:
                app.course.tell(line)
        yield server.address


def status(app: App) -> node_pb2.NodeServiceGetStatusResponse:
    """Give counts and states; nothing of a person."""
    totals = app.workspace.files.totals().values()
    outward = overview(app.workspace.database)
    return node_pb2.NodeServiceGetStatusResponse(
        enterprise_id=app.membership.enterprise_id,
        activities=sum(app.workspace.activities.counts().values()),
        quarantined=sum(sum(total.quarantined.values()) for total in totals),
        enrolled=outward.enrolled,
        stage=app.course.stage,
        waiting_for=app.course.waiting_for,
        epochs=[node_pb2.NodeEpoch(epoch=one.epoch, state=one.state.value) for one in outward.epochs],
    )


def _figures(app: App, metrics: Metrics) -> None:
    """Register gauges that read the state when asked."""
    figures = {
        "enrolled": ("Slots given and not given up.", lambda: overview(app.workspace.database).enrolled),
        "messages_waiting": (
            "Messages the hub has not acknowledged.",
            lambda: overview(app.workspace.database).messages_waiting,
        ),
        "egress_bytes": ("Bytes that left this node.", lambda: overview(app.workspace.database).egress_bytes),
    }
    for name, (help_text, read) in figures.items():
        metrics.gauge(name, help_text).set_function(read)
