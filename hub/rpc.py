"""The hub's gRPC services: intake, bodies for auditors, the operator's commands.

Nothing here decides anything: who calls, how much comes, and what the parts behind it say.
"""

# ruff: noqa: N802 (methods are named as the protocol names them)

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import grpc

from hub.accounts import Closer
from hub.beacons import Beacons
from hub.bounds import CallerBounds
from hub.configuration import Limits
from hub.intake import Intake
from hub.join import Invitee, Registrar
from hub.views import Views
from privacy.envelope import ENTRY_BYTES_MAX
from protos.epochs import checked_epoch
from protos.problems import Malformed
from protos.v1 import hub_pb2, hub_pb2_grpc
from protos.v1.problem_pb2 import (
    REASON_BODY_TRUNCATED,
    REASON_MESSAGE_TOO_LARGE,
    REASON_UNKNOWN_FIELD_VALUE,
    REASON_WRONG_SHAPE,
)
from runtime.channels import Peer, require_role
from runtime.identity import Role

SERVICES = ("cgsp.v1.IntakeService", "cgsp.v1.BodyService", "cgsp.v1.OperatorService")
BODY_ENTRIES_MAX = 1 << 40

Part = TypeVar("Part", hub_pb2.SubmitRequest, hub_pb2.PublishRequest)


def register(server: grpc.Server, intake: IntakeRpc, bodies: BodyRpc, operator: OperatorRpc) -> None:
    """Add the three services to a server."""
    hub_pb2_grpc.add_IntakeServiceServicer_to_server(intake, server)
    hub_pb2_grpc.add_BodyServiceServicer_to_server(bodies, server)
    hub_pb2_grpc.add_OperatorServiceServicer_to_server(operator, server)


class IntakeRpc(hub_pb2_grpc.IntakeServiceServicer):
    """Takes what enterprises and custodians sign."""

    def __init__(self, intake: Intake, limits: Limits) -> None:
        self._intake = intake
        self._limits = limits
        self._bounds = CallerBounds(
            per_minute=limits.submissions_per_minute, at_once=limits.submissions_at_once
        )

    def Submit(
        self, request_iterator: Iterable[hub_pb2.SubmitRequest], context: grpc.ServicerContext
    ) -> hub_pb2.SubmitResponse:
        """Read one submission within the caller's bounds and give its receipt."""
        peer = require_role(context, Role.NODE, Role.CUSTODIAN)
        with self._bounds.admit(_name(peer)):
            envelope, bodies = _read_parts(request_iterator, self._limits)
            return hub_pb2.SubmitResponse(receipt=self._intake.submit(peer, envelope, bodies))

    def GetChain(
        self, request: hub_pb2.GetChainRequest, context: grpc.ServicerContext
    ) -> hub_pb2.GetChainResponse:
        """Say where the caller's own chain stands."""
        peer = require_role(context, Role.NODE, Role.CUSTODIAN)
        return self._intake.chain(peer)


class BodyRpc(hub_pb2_grpc.BodyServiceServicer):
    """Hands all bodies, those with persons in them too, to auditors and the operator; to a node its own."""

    def __init__(self, views: Views) -> None:
        self._views = views

    def ReadBodies(
        self, request: hub_pb2.ReadBodiesRequest, context: grpc.ServicerContext
    ) -> Iterator[hub_pb2.ReadBodiesResponse]:
        """Stream the bodies of the entries from first_index up to end_index."""
        peer = require_role(context, Role.AUDITOR, Role.OPERATOR, Role.NODE)
        if not request.first_index <= request.end_index <= BODY_ENTRIES_MAX:
            raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "first_index must not be greater than end_index.")
        own = peer.id if peer.role is Role.NODE else None
        for body in self._views.bodies(request.first_index, request.end_index, enterprise_id=own):
            if not context.is_active():
                return
            yield hub_pb2.ReadBodiesResponse(index=body.index, position=body.position, body=body.data)


class OperatorRpc(hub_pb2_grpc.OperatorServiceServicer):
    """The operator's own commands."""

    def __init__(
        self,
        intake: Intake,
        registrar: Registrar,
        closer: Closer,
        views: Views,
        limits: Limits,
        beacons: Beacons,
    ) -> None:
        self._closer = closer
        self._intake = intake
        self._registrar = registrar
        self._views = views
        self._limits = limits
        self._beacons = beacons

    def Invite(self, request: hub_pb2.InviteRequest, context: grpc.ServicerContext) -> hub_pb2.InviteResponse:
        """Make a one-time token."""
        require_role(context, Role.OPERATOR)
        invitee = Invitee(
            _role(request.role), request.id, request.name, request.name_zh, request.evaluation_quota
        )
        token, expires_at = self._registrar.invite(invitee)
        return hub_pb2.InviteResponse(token=token, expires_at=expires_at)

    def ListPending(
        self, request: hub_pb2.ListPendingRequest, context: grpc.ServicerContext
    ) -> hub_pb2.ListPendingResponse:
        """List everybody who has joined."""
        require_role(context, Role.OPERATOR)
        response = hub_pb2.ListPendingResponse()
        for party in self._registrar.list_parties():
            response.registrations.add(
                role=party.role,
                id=party.id,
                name=party.name,
                name_zh=party.name_zh,
                public_key=party.public_key,
                address=party.address,
                evaluation_quota=party.evaluation_quota,
            )
        return response

    def Publish(
        self, request_iterator: Iterable[hub_pb2.PublishRequest], context: grpc.ServicerContext
    ) -> hub_pb2.PublishResponse:
        """Take a trust root, policy or pack and give its receipt."""
        peer = require_role(context, Role.OPERATOR)
        envelope, bodies = _read_parts(request_iterator, self._limits)
        return hub_pb2.PublishResponse(receipt=self._intake.submit(peer, envelope, bodies))

    def CloseEpoch(
        self, request: hub_pb2.CloseEpochRequest, context: grpc.ServicerContext
    ) -> hub_pb2.CloseEpochResponse:
        """Close an epoch, or give its first close again."""
        require_role(context, Role.OPERATOR)
        epoch = checked_epoch(request.epoch)
        close, receipt = self._closer.close(epoch, allow_missing=request.allow_missing)
        return hub_pb2.CloseEpochResponse(close=close, receipt=receipt)

    def DrawBeacon(
        self, request: hub_pb2.DrawBeaconRequest, context: grpc.ServicerContext
    ) -> hub_pb2.DrawBeaconResponse:
        """Draw an epoch's beacon, or give it again."""
        require_role(context, Role.OPERATOR)
        drawn = self._beacons.draw(checked_epoch(request.epoch))
        return hub_pb2.DrawBeaconResponse(index=drawn.index, value=drawn.value)

    def EraseAccount(
        self, request: hub_pb2.EraseAccountRequest, context: grpc.ServicerContext
    ) -> hub_pb2.EraseAccountResponse:
        """Order the erasure of the person behind an account."""
        require_role(context, Role.OPERATOR)
        return hub_pb2.EraseAccountResponse(orders=self._intake.erase_account(request.account))

    def GetStatus(
        self, request: hub_pb2.OperatorServiceGetStatusRequest, context: grpc.ServicerContext
    ) -> hub_pb2.OperatorServiceGetStatusResponse:
        """Give the log's head and each epoch's state."""
        require_role(context, Role.OPERATOR)
        status = self._views.status()
        response = hub_pb2.OperatorServiceGetStatusResponse(
            origin=status.origin,
            log_size=status.log_size,
            log_root=bytes.fromhex(status.log_root),
            accounts=status.accounts,
            witness_quorum=status.witness_quorum,
        )
        for one in self._views.epochs():
            found = response.epochs.add(
                epoch=one.number, state=one.state, released=one.released, waiting_for=one.waiting_for
            )
            for due in one.due:
                found.due.add(
                    role=due.role, id=due.id, due_at=int(due.until.timestamp()), is_missing=due.is_missing
                )
        return response


def _read_parts(parts: Iterable[Part], limits: Limits) -> tuple[bytes, list[bytes]]:
    """Read the envelope, then the bodies; every bound holds before anything is looked at."""
    iterator = iter(parts)
    first = next(iterator, None)
    if first is None or first.WhichOneof("part") != "envelope":
        raise Malformed(REASON_WRONG_SHAPE, "A submission begins with its envelope.")
    if len(first.envelope) > ENTRY_BYTES_MAX:
        raise Malformed(REASON_MESSAGE_TOO_LARGE, f"An envelope has at most {ENTRY_BYTES_MAX} bytes.")
    bodies: list[bytes] = []
    total = 0
    for part in iterator:
        if part.WhichOneof("part") != "body":
            raise Malformed(REASON_WRONG_SHAPE, "After the envelope come bodies only.")
        total += len(part.body)
        _check_body(part.body, len(bodies) + 1, total, limits)
        bodies.append(part.body)
    return first.envelope, bodies


def _check_body(body: bytes, count: int, total: int, limits: Limits) -> None:
    if not body:
        raise Malformed(REASON_BODY_TRUNCATED, f"Body {count - 1} is empty.", remedy="Send it whole again.")
    if len(body) > limits.body_bytes_max:
        raise Malformed(REASON_MESSAGE_TOO_LARGE, f"A body has at most {limits.body_bytes_max} bytes.")
    if count > limits.submission_bodies_max or total > limits.submission_bytes_max:
        raise Malformed(
            REASON_MESSAGE_TOO_LARGE,
            f"A submission has at most {limits.submission_bodies_max} bodies and "
            f"{limits.submission_bytes_max} bytes.",
        )


def _name(peer: Peer) -> str:
    return f"{peer.role.value}/{peer.id}"


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, "A role is node, custodian or auditor.", remedy="Name one of them."
        ) from None
