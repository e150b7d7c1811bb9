"""gRPC at the node's edge: clients of the hub's intake and of custodians, the services of the node itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from enterprise_node.quarantine import remedy
from enterprise_node.spool import PushedRecord
from privacy.standing import HUB_ID
from protos.problems import Refused, Unavailable
from protos.v1 import custodian_pb2_grpc, hub_pb2, hub_pb2_grpc, node_pb2, node_pb2_grpc
from protos.v1.custodian_pb2 import EvaluateRequest, EvaluateResponse
from protos.v1.problem_pb2 import REASON_BUSY, REASON_ROLE_NOT_ALLOWED
from runtime.channels import open_channel, require_role
from runtime.identity import Identity, Role, SpiffeName
from runtime.retries import unary

if TYPE_CHECKING:
    import grpc

    from enterprise_node.spool import Taken
    from privacy.trust import Custodian

# A submission of a million statements takes seconds; a custodian's batch of 8192 about one.
SUBMIT_SECONDS_MAX = 300
EVALUATE_SECONDS_MAX = 60
# Streams of pushed records at a time; each holds a worker.
PUSHES_MAX = 4
ACTIVITY_SERVICE = node_pb2.DESCRIPTOR.services_by_name["ActivityService"].full_name
NODE_SERVICE = node_pb2.DESCRIPTOR.services_by_name["NodeService"].full_name


class GrpcHub:
    """The hub's intake over mutual TLS."""

    def __init__(self, address: str, identity: Identity) -> None:
        self._address = address
        self._identity = identity
        self._channel: grpc.Channel | None = None

    @property
    def address(self) -> str:
        """Give host:port."""
        return self._address

    def submit(self, envelope: bytes, bodies: Sequence[bytes]) -> bytes:
        """Stream one message to the hub; give the receipt's envelope."""

        def parts() -> Iterator[hub_pb2.SubmitRequest]:
            yield hub_pb2.SubmitRequest(envelope=envelope)
            for body in bodies:
                yield hub_pb2.SubmitRequest(body=body)

        stub = hub_pb2_grpc.IntakeServiceStub(self._open())
        return unary(lambda: stub.Submit(parts(), timeout=SUBMIT_SECONDS_MAX)).receipt

    def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            self._channel.close()

    def _open(self) -> grpc.Channel:
        if self._channel is None:
            name = SpiffeName(self._identity.name.trust_domain, Role.HUB, HUB_ID)
            self._channel = open_channel(self._address, self._identity, server_name=name.dns_name)
        return self._channel


class GrpcCustodians:
    """Custodians over mutual TLS, one channel each; a certificate of another party is not taken."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._channels: dict[tuple[str, str], grpc.Channel] = {}
        self._lock = threading.Lock()

    def evaluate(self, custodian: Custodian, request: EvaluateRequest) -> EvaluateResponse:
        """Send one order with its blinded elements."""
        stub = custodian_pb2_grpc.EvaluationServiceStub(self._open(custodian))
        return unary(lambda: stub.Evaluate(request, timeout=EVALUATE_SECONDS_MAX))

    def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            channel.close()

    def _open(self, custodian: Custodian) -> grpc.Channel:
        with self._lock:
            place = (custodian.id, custodian.address)
            if place not in self._channels:
                name = SpiffeName(self._identity.name.trust_domain, Role.CUSTODIAN, custodian.id)
                self._channels[place] = open_channel(
                    custodian.address, self._identity, server_name=name.dns_name
                )
            return self._channels[place]


class ActivityServicer(node_pb2_grpc.ActivityServiceServicer):
    """Takes activities from the enterprise's own systems, who hold its certificate; answers when durable."""

    def __init__(self, enterprise_id: str, take: Callable[[str, Sequence[PushedRecord]], Taken]) -> None:
        self._enterprise_id = enterprise_id
        self._take = take
        self._turns = threading.BoundedSemaphore(PUSHES_MAX)

    def RecordActivities(  # noqa: N802 - the name is the protocol's
        self,
        request_iterator: Iterator[node_pb2.RecordActivitiesRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[node_pb2.RecordActivitiesResponse]:
        """Take one request after the other; the next is not read before the last is durable."""
        require_own(context, self._enterprise_id)
        if not self._turns.acquire(blocking=False):
            raise Unavailable(REASON_BUSY, "Others are pushing already.", remedy="Try again in a moment.")
        try:
            for request in request_iterator:
                records = [PushedRecord(one.idempotency_key, one.values) for one in request.records]
                taken = self._take(request.source, records)
                yield node_pb2.RecordActivitiesResponse(
                    accepted=taken.accepted,
                    known=taken.known,
                    number=request.number,
                    quarantined=[
                        node_pb2.QuarantinedRecord(
                            idempotency_key=one.key,
                            column=one.column,
                            reason=one.reason,
                            remedy=remedy(one.reason),
                        )
                        for one in taken.refused
                    ],
                )
        finally:
            self._turns.release()


class NodeServicer(node_pb2_grpc.NodeServiceServicer):
    """Tells the enterprise's own operators and checkouts, who hold its certificate, what they ask."""

    def __init__(
        self,
        enterprise_id: str,
        status: Callable[[], node_pb2.NodeServiceGetStatusResponse],
        estimate: Callable[[node_pb2.EstimateFootprintRequest], node_pb2.EstimateFootprintResponse],
    ) -> None:
        self._enterprise_id = enterprise_id
        self._status = status
        self._estimate = estimate

    def GetStatus(  # noqa: N802 - the name is the protocol's
        self, request: node_pb2.NodeServiceGetStatusRequest, context: grpc.ServicerContext
    ) -> node_pb2.NodeServiceGetStatusResponse:
        """Give counts and states; never to the hub or another enterprise."""
        require_own(context, self._enterprise_id)
        return self._status()

    def EstimateFootprint(  # noqa: N802 - the name is the protocol's
        self, request: node_pb2.EstimateFootprintRequest, context: grpc.ServicerContext
    ) -> node_pb2.EstimateFootprintResponse:
        """Say what one act comes to; what was asked is not kept."""
        require_own(context, self._enterprise_id)
        return self._estimate(request)


def require_own(context: grpc.ServicerContext, enterprise_id: str) -> None:
    """Refuse everybody but the node's own enterprise."""
    if require_role(context, Role.NODE).id != enterprise_id:
        raise Refused(
            REASON_ROLE_NOT_ALLOWED,
            f"This is the node of {enterprise_id}; it answers that enterprise alone.",
            remedy="Call with the certificate in the node's own home.",
        )
