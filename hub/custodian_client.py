"""The hub's calls to custodians, with its own server's identity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc

from privacy.beacon import Part
from privacy.trust import Custodian
from protos.epochs import Epoch
from protos.v1 import custodian_pb2, custodian_pb2_grpc
from runtime.channels import open_channel
from runtime.identity import Identity, Role, SpiffeName
from runtime.retries import unary

# It reads the whole log anew before it answers.
EVALUATE_SECONDS_MAX = 120


class GrpcCustodian:
    """One custodian over one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = custodian_pb2_grpc.EvaluationServiceStub(channel)

    def evaluate(self, epoch: Epoch, note: bytes) -> Part:
        """Ask for its part of a beacon."""
        request = custodian_pb2.EvaluateBeaconRequest(epoch=epoch, checkpoint=note)
        part = unary(lambda: self._stub.EvaluateBeacon(request, timeout=EVALUATE_SECONDS_MAX)).part
        return Part(part.index, part.evaluated, part.proof)


@contextmanager
def connected_custodian(custodian: Custodian, identity: Callable[[], Identity]) -> Iterator[GrpcCustodian]:
    """Open a connection to a custodian with the identity of this moment, and close it afterwards."""
    current = identity()
    name = SpiffeName(current.name.trust_domain, Role.CUSTODIAN, custodian.id)
    with open_channel(custodian.address, current, server_name=name.dns_name) as channel:
        yield GrpcCustodian(channel)
