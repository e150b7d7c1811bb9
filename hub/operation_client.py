"""The operator's side of OperationService, and an issued batch in words."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from hub.operator_client import operator_channel
from hub.setup import Opened
from protos.epochs import Epoch, format_epoch
from protos.v1 import ledger_pb2, operations_pb2, operations_pb2_grpc
from runtime.retries import unary

ISSUE_SECONDS_MAX = 600


class OperationClient:
    """Speaks to the running hub of a home folder; its problems are raised as they came."""

    def __init__(self, opened: Opened) -> None:
        self._channel = operator_channel(opened)
        self._stub = operations_pb2_grpc.OperationServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def operate(self, operation: ledger_pb2.Operation) -> dict[str, int]:
        """Do one of the operator's acts; the same operation again gives the same."""
        answer = unary(lambda: self._stub.Operate(operations_pb2.OperateRequest(operation=operation)))
        return {field.name: getattr(answer, field.name) for field in answer.DESCRIPTOR.fields}

    def issue(
        self, programme: str, rule: str, last: Epoch, *, preview: bool
    ) -> operations_pb2.IssueUnitsResponse:
        """Issue a batch, or see what it would be."""
        request = operations_pb2.IssueUnitsRequest(
            programme=programme, rule=rule, last_epoch=last, preview=preview
        )
        return unary(lambda: self._stub.IssueUnits(request, timeout=ISSUE_SECONDS_MAX))

    def balances(self, ledger: str) -> dict[str, int]:
        """List a ledger's balances by path."""
        request = operations_pb2.ListBalancesRequest(ledger=ledger)
        return {one.path: one.balance for one in unary(lambda: self._stub.ListBalances(request)).balances}

    def serials(self, batch: str) -> list[dict[str, Any]]:
        """List whose a batch's serial numbers are."""
        request = operations_pb2.ListSerialsRequest(batch=batch)
        answer = unary(lambda: self._stub.ListSerials(request))
        return [
            {"owner": one.owner, "first": one.first, "last": one.first + one.tonnes - 1}
            for one in answer.ranges
        ]


def explained(batch: ledger_pb2.IssuedBatch) -> dict[str, Any]:
    """Say how a batch's tonnes follow from its pool."""
    last_serial = batch.first_serial + batch.issued_tonnes + batch.buffer_tonnes - 1
    return {
        "batch": batch.batch,
        "programme": f"{batch.programme}@{batch.programme_version}",
        "rule": batch.rule,
        "pool_epochs": f"{format_epoch(Epoch(batch.pool_epoch))} to {format_epoch(Epoch(batch.last_epoch))}",
        "pooled_grams": batch.pooled_grams,
        "noise_variance_grams2": batch.variance_grams2,
        "deduction_grams": batch.deduction_grams,
        "duplicates_grams": batch.duplicates_grams,
        "pool_milligrams": batch.pool_milligrams,
        "passed_milligrams": batch.passed_milligrams,
        "issued_before_milligrams": batch.issued_before_milligrams,
        "issued_tonnes": batch.issued_tonnes,
        "buffer_tonnes": batch.buffer_tonnes,
        "serials": f"{batch.first_serial} to {last_serial}",
    }
