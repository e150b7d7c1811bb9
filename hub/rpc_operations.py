"""OperationService: the operator's acts on the ledgers, and what hub.issuing answers."""

# ruff: noqa: N802 (methods are named as the protocol names them)

from __future__ import annotations

import grpc
from sqlalchemy import Engine

from accounting.ledger.chart import LedgerAccount
from hub.issuing import Issuer
from hub.ledger import Ledger
from protos.epochs import checked_epoch
from protos.problems import Refused
from protos.v1 import operations_pb2, operations_pb2_grpc
from protos.v1.problem_pb2 import REASON_ROLE_NOT_ALLOWED
from runtime.channels import require_role
from runtime.identity import Role

SERVICE = "cgsp.v1.OperationService"
OPERATORS_ACTS = frozenset({"deposit", "settle", "dispute", "plant", "sell", "retire", "cancel_units"})


def register(server: grpc.Server, operations: OperationRpc) -> None:
    """Add the service to a server."""
    operations_pb2_grpc.add_OperationServiceServicer_to_server(operations, server)


class OperationRpc(operations_pb2_grpc.OperationServiceServicer):
    """Answers the operator alone."""

    def __init__(self, ledger: Ledger, issuer: Issuer, readers: Engine) -> None:
        self._ledger = ledger
        self._issuer = issuer
        self._readers = readers

    def Operate(
        self, request: operations_pb2.OperateRequest, context: grpc.ServicerContext
    ) -> operations_pb2.OperateResponse:
        """Take one of the operator's acts."""
        require_role(context, Role.OPERATOR)
        act = request.operation.WhichOneof("act")
        if act not in OPERATORS_ACTS:
            raise Refused(
                REASON_ROLE_NOT_ALLOWED,
                f"An operator does not {act or 'do nothing'}; it may {', '.join(sorted(OPERATORS_ACTS))}.",
            )
        answer = self._ledger.submit(request.operation)
        outcome = answer.outcome
        return operations_pb2.OperateResponse(
            number=answer.number,
            at=answer.at,
            points=outcome.points,
            fen=outcome.fen,
            milligrams=outcome.milligrams,
        )

    def IssueUnits(
        self, request: operations_pb2.IssueUnitsRequest, context: grpc.ServicerContext
    ) -> operations_pb2.IssueUnitsResponse:
        """Issue a batch, or show what it would be."""
        require_role(context, Role.OPERATOR)
        last = checked_epoch(request.last_epoch)
        if request.preview:
            batch = self._issuer.preview(request.programme, request.rule, last)
            return operations_pb2.IssueUnitsResponse(batch=batch)
        batch, index = self._issuer.issue(request.programme, request.rule, last)
        return operations_pb2.IssueUnitsResponse(batch=batch, index=index)

    def ListBalances(
        self, request: operations_pb2.ListBalancesRequest, context: grpc.ServicerContext
    ) -> operations_pb2.ListBalancesResponse:
        """List a ledger's balances by path."""
        require_role(context, Role.OPERATOR)
        with self._readers.begin() as connection:
            balances = self._ledger.books(connection).balances
        mine = sorted((one for one in balances if one.ledger == request.ledger), key=_path)
        return operations_pb2.ListBalancesResponse(
            balances=[
                operations_pb2.LedgerBalance(path=one.path, balance=balances[one].of(one)) for one in mine
            ]
        )

    def ListSerials(
        self, request: operations_pb2.ListSerialsRequest, context: grpc.ServicerContext
    ) -> operations_pb2.ListSerialsResponse:
        """List whose a batch's serial numbers are."""
        require_role(context, Role.OPERATOR)
        return operations_pb2.ListSerialsResponse(
            ranges=[
                operations_pb2.SerialRange(owner=one.owner, first=one.block.first, tonnes=one.block.tonnes)
                for one in self._issuer.serials(request.batch)
            ]
        )


def _path(account: LedgerAccount) -> str:
    return account.path
