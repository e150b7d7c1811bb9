"""AccountService: what persons ask of their accounts through an enterprise's app; freezing."""

# ruff: noqa: N802 (methods are named as the protocol names them)

from __future__ import annotations

from collections.abc import Sequence

import grpc

from hub.account_exports import AccountExports
from hub.bounds import CallerBounds
from hub.choosing import Chosen
from hub.participation import Asked, Participation
from privacy.chunks import HALF_BYTES
from protos.problems import Malformed, Refused
from protos.v1 import account_pb2, account_pb2_grpc
from protos.v1.problem_pb2 import REASON_ROLE_NOT_ALLOWED, REASON_WRONG_SHAPE
from runtime.channels import require_role
from runtime.identity import Role

SERVICE = "cgsp.v1.AccountService"
CALLS_PER_MINUTE = 600
CALLS_AT_ONCE = 8


def register(server: grpc.Server, accounts: AccountRpc) -> None:
    """Add the service to a server."""
    account_pb2_grpc.add_AccountServiceServicer_to_server(accounts, server)


class AccountRpc(account_pb2_grpc.AccountServiceServicer):
    """Answers enterprises for persons they have logged in, and the operator."""

    def __init__(self, participation: Participation, exports: AccountExports) -> None:
        self._participation = participation
        self._exports = exports
        self._bounds = CallerBounds(per_minute=CALLS_PER_MINUTE, at_once=CALLS_AT_ONCE)

    def ChangeAccount(
        self, request: account_pb2.ChangeAccountRequest, context: grpc.ServicerContext
    ) -> account_pb2.ChangeAccountResponse:
        """Log a change that tickets ask for."""
        peer = require_role(context, Role.NODE)
        if len(request.shares_accounts) != len(request.shares_basis_points):
            raise Malformed(REASON_WRONG_SHAPE, "Each person has one part.")
        parts = list(zip(request.shares_accounts, request.shares_basis_points, strict=True))
        with self._bounds.admit(peer.id):
            done = self._participation.change(
                Asked(request.kind, list(request.tickets), parts), caller=peer.id
            )
        return account_pb2.ChangeAccountResponse(
            account=done.account, effective_epoch=done.effective, index=done.index
        )

    def Choose(
        self, request: account_pb2.ChooseRequest, context: grpc.ServicerContext
    ) -> account_pb2.ChooseResponse:
        """Log what a person chose."""
        return self._choose_all([request], context)[0]

    def ChooseAll(
        self, request: account_pb2.ChooseAllRequest, context: grpc.ServicerContext
    ) -> account_pb2.ChooseAllResponse:
        """Log what persons chose."""
        return account_pb2.ChooseAllResponse(answers=self._choose_all(request.choices, context))

    def _choose_all(
        self, requests: Sequence[account_pb2.ChooseRequest], context: grpc.ServicerContext
    ) -> list[account_pb2.ChooseResponse]:
        peer = require_role(context, Role.NODE)
        chosen = [Chosen(one.choice, one.ticket) for one in requests]
        with self._bounds.admit(peer.id):
            found = self._participation.choose_all(chosen, caller=peer.id)
        return [
            account_pb2.ChooseResponse(account=one.account, effective_epoch=one.effective, index=one.index)
            for one in found
        ]

    def GetAccount(
        self, request: account_pb2.GetAccountRequest, context: grpc.ServicerContext
    ) -> account_pb2.GetAccountResponse:
        """Show an account to its person's enterprise, or to operator and auditors."""
        peer = require_role(context, Role.NODE, Role.OPERATOR, Role.AUDITOR)
        with self._bounds.admit(f"{peer.role.value}/{peer.id}"):
            if request.ticket:
                account = self._participation.viewed(
                    request.ticket, caller=peer.id if peer.role is Role.NODE else ""
                )
            elif peer.role is Role.NODE:
                raise Refused(
                    REASON_ROLE_NOT_ALLOWED, "An enterprise shows an account by its person's ticket."
                )
            else:
                account = _checked(request.account)
            return account_pb2.GetAccountResponse(export=self._exports.export(account))

    def SetFrozen(
        self, request: account_pb2.SetFrozenRequest, context: grpc.ServicerContext
    ) -> account_pb2.SetFrozenResponse:
        """Freeze an account or open it again."""
        require_role(context, Role.OPERATOR)
        done = self._participation.set_frozen(_checked(request.account), frozen=request.frozen)
        return account_pb2.SetFrozenResponse(index=done.index)


def _checked(account: bytes) -> bytes:
    if len(account) != HALF_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, "An account has 16 bytes.")
    return account
