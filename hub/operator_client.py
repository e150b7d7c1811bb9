"""The operator's side of OperatorService: what commands call, over mutual TLS with the home's identity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import grpc

from hub.setup import Opened
from hub.store.parties import Party
from privacy.receipts import open_receipt
from privacy.standing import HUB_ID
from protos.epochs import Epoch
from protos.v1 import account_pb2, account_pb2_grpc, hub_pb2, hub_pb2_grpc, reward_pb2, reward_pb2_grpc
from runtime.channels import open_channel
from runtime.identity import Identity, Role, SpiffeName, trust_domain
from runtime.retries import unary

CLOSE_SECONDS_MAX = 600


def operator_channel(opened: Opened) -> grpc.Channel:
    """Open a channel to a home's own hub, with the operator's certificate."""
    hub = SpiffeName(trust_domain(opened.settings.origin), Role.HUB, HUB_ID)
    identity = Identity.load(opened.home.operator)
    return open_channel(opened.settings.grpc_address, identity, server_name=hub.dns_name)


class OperatorClient:
    """Speaks to the running hub of a home folder; its problems are raised as they came."""

    def __init__(self, opened: Opened) -> None:
        self._channel = operator_channel(opened)
        self._stub = hub_pb2_grpc.OperatorServiceStub(self._channel)
        self._accounts = account_pb2_grpc.AccountServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def invite(self, request: hub_pb2.InviteRequest) -> hub_pb2.InviteResponse:
        """Ask for a one-time token."""
        return unary(lambda: self._stub.Invite(request))

    def list_parties(self) -> list[Party]:
        """List everybody who has joined."""
        response = unary(lambda: self._stub.ListPending(hub_pb2.ListPendingRequest()))
        return [
            Party(
                role=item.role,
                id=item.id,
                name=item.name,
                name_zh=item.name_zh,
                public_key=item.public_key,
                address=item.address,
                sealing_key=b"",
                evaluation_quota=item.evaluation_quota,
                joined_at=0,
            )
            for item in response.registrations
        ]

    def publish(self, envelope: bytes, bodies: Sequence[bytes] = ()) -> bytes:
        """Send a trust root, policy or pack; give the receipt."""

        def parts() -> Iterator[hub_pb2.PublishRequest]:
            yield hub_pb2.PublishRequest(envelope=envelope)
            for body in bodies:
                yield hub_pb2.PublishRequest(body=body)

        return unary(lambda: self._stub.Publish(parts())).receipt

    def close(self, epoch: Epoch, *, allow_missing: bool) -> hub_pb2.CloseEpochResponse:
        """Close an epoch, or get its first close again."""
        request = hub_pb2.CloseEpochRequest(epoch=epoch, allow_missing=allow_missing)
        return unary(lambda: self._stub.CloseEpoch(request, timeout=CLOSE_SECONDS_MAX))

    def erase_account(self, account: bytes) -> Sequence[bytes]:
        """Have the person behind an account erased; give the envelopes of the orders logged."""
        return unary(lambda: self._stub.EraseAccount(hub_pb2.EraseAccountRequest(account=account))).orders

    def set_frozen(self, account: bytes, *, frozen: bool) -> int:
        """Freeze an account or open it again; give the entry that says so."""
        request = account_pb2.SetFrozenRequest(account=account, frozen=frozen)
        return unary(lambda: self._accounts.SetFrozen(request)).index

    def export_account(self, account: bytes) -> bytes:
        """Ask for an account's signed export."""
        return unary(lambda: self._accounts.GetAccount(account_pb2.GetAccountRequest(account=account))).export

    def draw_beacon(self, epoch: Epoch) -> hub_pb2.DrawBeaconResponse:
        """Have an epoch's beacon drawn, or get it again."""
        request = hub_pb2.DrawBeaconRequest(epoch=epoch)
        return unary(lambda: self._stub.DrawBeacon(request, timeout=CLOSE_SECONDS_MAX))

    def load_vouchers(self, programme: str, reward: str, codes: Sequence[str]) -> int:
        """Load voucher codes; give how many are new."""
        stub = reward_pb2_grpc.RewardServiceStub(self._channel)
        request = reward_pb2.LoadVouchersRequest(programme=programme, reward=reward, codes=codes)
        return unary(lambda: stub.LoadVouchers(request)).loaded

    def status(self) -> hub_pb2.OperatorServiceGetStatusResponse:
        """Ask for the log's head and the epochs' states."""
        return unary(lambda: self._stub.GetStatus(hub_pb2.OperatorServiceGetStatusRequest()))


def publish_document(opened: Opened, data: bytes, bodies: Sequence[bytes] = ()) -> int:
    """Send a document and check the receipt; give its index."""
    with OperatorClient(opened) as client:
        receipt = client.publish(data, bodies)
    hub_key = opened.hub_key.verify_key
    return open_receipt(receipt, hub_key, origin=opened.settings.origin, entry=data).index
