"""RewardService: who calls, and what hub.redemption answers."""

# ruff: noqa: N802 (methods are named as the protocol names them)

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from hub.bounds import CallerBounds
from hub.certificates import Certificates
from hub.point_moves import PointMoves
from hub.redemption import Caller, Redemptions
from hub.vouchers import Vouchers
from privacy.asked import PORTAL
from protos.v1 import reward_pb2, reward_pb2_grpc
from runtime.channels import require_role
from runtime.identity import Role

SERVICE = "cgsp.v1.RewardService"
CALLS_PER_MINUTE = 60_000
CALLS_AT_ONCE = 64


def register(server: grpc.Server, rewards: RewardRpc) -> None:
    """Add the service to a server."""
    reward_pb2_grpc.add_RewardServiceServicer_to_server(rewards, server)


class RewardRpc(reward_pb2_grpc.RewardServiceServicer):
    """Answers enterprises' apps, and the operator."""

    def __init__(
        self, redemptions: Redemptions, certificates: Certificates, vouchers: Vouchers, moves: PointMoves
    ) -> None:
        self._vouchers = vouchers
        self._moves = moves
        self._redemptions = redemptions
        self._certificates = certificates
        self._bounds = CallerBounds(per_minute=CALLS_PER_MINUTE, at_once=CALLS_AT_ONCE)

    def ListRewards(
        self, request: reward_pb2.ListRewardsRequest, context: grpc.ServicerContext
    ) -> reward_pb2.ListRewardsResponse:
        """List what programmes offer."""
        with self._admitted(context):
            return reward_pb2.ListRewardsResponse(offers=self._redemptions.offers(request.programme))

    def Quote(
        self, request: reward_pb2.QuoteRequest, context: grpc.ServicerContext
    ) -> reward_pb2.QuoteResponse:
        """Say what an order would cost."""
        with self._admitted(context) as caller:
            return self._redemptions.quote(caller, request.order, request.ticket)

    def Reserve(
        self, request: reward_pb2.ReserveRequest, context: grpc.ServicerContext
    ) -> reward_pb2.ReserveResponse:
        """Reserve an order."""
        with self._admitted(context) as caller:
            found = self._redemptions.reserve(caller, request.order, request.ticket)
        return reward_pb2.ReserveResponse(redemption=found)

    def Confirm(
        self, request: reward_pb2.ConfirmRequest, context: grpc.ServicerContext
    ) -> reward_pb2.ConfirmResponse:
        """Record that the partner delivered."""
        with self._admitted(context) as caller:
            found = self._redemptions.confirm(caller, request.key, request.order_key)
        return reward_pb2.ConfirmResponse(redemption=found)

    def Cancel(
        self, request: reward_pb2.CancelRequest, context: grpc.ServicerContext
    ) -> reward_pb2.CancelResponse:
        """Call an order off."""
        with self._admitted(context) as caller:
            found = self._redemptions.cancel(caller, request.key, request.order_key)
        return reward_pb2.CancelResponse(redemption=found)

    def Collect(
        self, request: reward_pb2.CollectRequest, context: grpc.ServicerContext
    ) -> reward_pb2.CollectResponse:
        """Take what waits to be collected."""
        with self._admitted(context) as caller:
            points = self._moves.collect(caller, request.key, request.programme, request.ticket)
        return reward_pb2.CollectResponse(points=points)

    def Give(self, request: reward_pb2.GiveRequest, context: grpc.ServicerContext) -> reward_pb2.GiveResponse:
        """Give points to another account."""
        with self._admitted(context) as caller:
            points = self._moves.give(
                caller,
                request.key,
                request.programme,
                to_account=request.to_account,
                points=request.points,
                ticket=request.ticket,
            )
        return reward_pb2.GiveResponse(points=points)

    def GetRedemption(
        self, request: reward_pb2.GetRedemptionRequest, context: grpc.ServicerContext
    ) -> reward_pb2.GetRedemptionResponse:
        """Say how an order stands."""
        with self._admitted(context) as caller:
            found = self._redemptions.find(caller, request.order_key)
        return reward_pb2.GetRedemptionResponse(redemption=found)

    def GetCertificate(
        self, request: reward_pb2.GetCertificateRequest, context: grpc.ServicerContext
    ) -> reward_pb2.GetCertificateResponse:
        """Sign the certificate of a confirmed honour or attestation."""
        with self._admitted(context) as caller:
            found = self._certificates.issue(caller, request.order_key)
        return reward_pb2.GetCertificateResponse(
            certificate=found.envelope, salt=found.salt, account=found.account
        )

    def LoadVouchers(
        self, request: reward_pb2.LoadVouchersRequest, context: grpc.ServicerContext
    ) -> reward_pb2.LoadVouchersResponse:
        """Take voucher codes from the operator."""
        require_role(context, Role.OPERATOR)
        self._redemptions.check_gives_codes(request.programme, request.reward)
        loaded = self._vouchers.load(request.programme, request.reward, request.codes)
        return reward_pb2.LoadVouchersResponse(loaded=loaded)

    @contextmanager
    def _admitted(self, context: grpc.ServicerContext) -> Iterator[Caller]:
        """Give who calls for the time of the call, within the bounds of its channel."""
        caller = _caller(context)
        with self._bounds.admit(caller.channel):
            yield caller


def _caller(context: grpc.ServicerContext) -> Caller:
    peer = require_role(context, Role.NODE, Role.OPERATOR)
    if peer.role is Role.OPERATOR:
        return Caller(PORTAL, is_operator=True)
    return Caller(peer.id)
