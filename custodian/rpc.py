"""gRPC at the custodian's edge: its EvaluationService, and the client of the hub's intake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from custodian.beacons import BeaconEvaluator
from custodian.delivery import HubChain
from custodian.evaluation import Evaluator
from custodian.store import Store
from privacy.standing import HUB_ID
from protos.epochs import checked_epoch
from protos.v1 import commitment_pb2, custodian_pb2, custodian_pb2_grpc, hub_pb2, hub_pb2_grpc
from runtime.channels import open_channel, peer_identity, require_role
from runtime.identity import Identity, Role, SpiffeName
from runtime.retries import unary

if TYPE_CHECKING:
    import grpc

# A report is one small message; a hub that takes longer is tried again.
SUBMIT_SECONDS_MAX = 10
SERVICE = custodian_pb2.DESCRIPTOR.services_by_name["EvaluationService"].full_name


class EvaluationServicer(custodian_pb2_grpc.EvaluationServiceServicer):
    """Evaluates for enterprises; tells anybody of the federation how much it has done."""

    def __init__(self, evaluator: Evaluator, store: Store, beacons: BeaconEvaluator) -> None:
        self._evaluator = evaluator
        self._store = store
        self._beacons = beacons

    def Evaluate(  # noqa: N802 - the name is the protocol's
        self, request: custodian_pb2.EvaluateRequest, context: grpc.ServicerContext
    ) -> custodian_pb2.EvaluateResponse:
        """Answer an enterprise's order."""
        caller = require_role(context, Role.NODE)
        evaluation = self._evaluator.evaluate(caller.id, request.order, request.blinded_elements)
        return custodian_pb2.EvaluateResponse(
            evaluated_elements=evaluation.answer.evaluated,
            proof=evaluation.answer.proof,
            quota_left=evaluation.quota_left,
        )

    def EvaluateBeacon(  # noqa: N802 - the name is the protocol's
        self, request: custodian_pb2.EvaluateBeaconRequest, context: grpc.ServicerContext
    ) -> custodian_pb2.EvaluateBeaconResponse:
        """Give the hub this custodian's part of an epoch's beacon."""
        require_role(context, Role.HUB)
        part = self._beacons.evaluate(checked_epoch(request.epoch), request.checkpoint)
        found = commitment_pb2.BeaconPart(index=part.index, evaluated=part.evaluated, proof=part.proof)
        return custodian_pb2.EvaluateBeaconResponse(part=found)

    def GetStatus(  # noqa: N802 - the name is the protocol's
        self, request: custodian_pb2.EvaluationServiceGetStatusRequest, context: grpc.ServicerContext
    ) -> custodian_pb2.EvaluationServiceGetStatusResponse:
        """Give the counts that the log shows too, and how many it does not show yet."""
        peer_identity(context)
        total, unreported = self._store.totals()
        share = self._evaluator.share
        return custodian_pb2.EvaluationServiceGetStatusResponse(
            custodian_id=share.custodian_id,
            key_id=share.key.key_id,
            evaluations_total=total,
            unreported=unreported,
        )


class GrpcHub:
    """The hub's intake over one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = hub_pb2_grpc.IntakeServiceStub(channel)

    def submit(self, envelope: bytes) -> bytes:
        """Send one envelope without bodies; give the receipt's envelope."""

        def parts() -> Iterator[hub_pb2.SubmitRequest]:
            yield hub_pb2.SubmitRequest(envelope=envelope)

        return unary(lambda: self._stub.Submit(parts(), timeout=SUBMIT_SECONDS_MAX)).receipt

    def chain(self) -> HubChain:
        """Ask where this custodian's chain stands."""
        answer = unary(lambda: self._stub.GetChain(hub_pb2.GetChainRequest()))
        return HubChain(answer.next_sequence, answer.head)


@contextmanager
def connected_hub(address: str, identity: Callable[[], Identity]) -> Iterator[GrpcHub]:
    """Open a connection to the hub with the identity of this moment, and close it afterwards."""
    current = identity()
    hub = SpiffeName(current.name.trust_domain, Role.HUB, HUB_ID)
    with open_channel(address, current, server_name=hub.dns_name) as channel:
        yield GrpcHub(channel)
