"""Problems travel whole; what is a program's own fault travels without a word."""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import pytest

from protos import problems
from protos.problems import Conflict, InvariantBroken, Problem, Refused, Unavailable
from protos.v1.problem_pb2 import (
    REASON_BUDGET_EXCEEDED,
    REASON_INVARIANT_BROKEN,
    REASON_SEQUENCE_REUSED,
    Reason,
)
from protos.v1.problem_pb2 import Problem as WireProblem
from runtime.channels import open_channel
from runtime.identity import Identity
from runtime.metrics import Metrics
from runtime.problems import outcome
from runtime.retries import unary
from tests.unit.runtime.grpc_service import call, call_stream, server_of

SECRET = "13812345678"
TOLD = sorted(set(Reason.values()) - {0, REASON_INVARIANT_BROKEN})


def test_every_problem_comes_back_as_it_was_raised(hub: Identity, node: Identity) -> None:
    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        told = WireProblem(reason=int(request), message="What came 碳.", remedy="Do this.")  # type: ignore[arg-type]
        raise problems.from_wire(told)

    with server_of(hub, unary=handler) as server, open_channel(server.address, node) as channel:
        for reason in TOLD:
            if outcome(reason).grpc_status == "UNAVAILABLE":
                continue
            with pytest.raises(grpc.RpcError) as raw:
                call(channel, str(reason).encode())
            assert raw.value.code().name == outcome(reason).grpc_status
            with pytest.raises(Problem) as caught:
                unary(lambda reason=reason: call(channel, str(reason).encode()))  # type: ignore[misc]
            assert caught.value.reason == reason
            assert (caught.value.message, caught.value.remedy) == ("What came 碳.", "Do this.")


def test_unavailable_comes_back_after_its_repetitions(hub: Identity, node: Identity) -> None:
    calls: list[float] = []

    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        calls.append(time.monotonic())
        raise Unavailable(502, "Busy.")  # type: ignore[arg-type]

    with (
        server_of(hub, unary=handler) as server,
        open_channel(server.address, node) as channel,
        pytest.raises(Unavailable, match=r"Busy\."),
    ):
        unary(lambda: call(channel))
    assert len(calls) == 4


def test_problem_in_a_stream_comes_after_what_was_sent(hub: Identity, node: Identity) -> None:
    def handler(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield next(requests)
        raise Conflict(REASON_SEQUENCE_REUSED, "Two histories.")

    with server_of(hub, stream=handler) as server, open_channel(server.address, node) as channel:
        responses = call_stream(channel, b"a", b"b")
        assert next(responses) == b"a"
        with pytest.raises(Conflict, match="Two histories"):
            unary(lambda: next(responses))


@pytest.mark.parametrize("fault", [ValueError(SECRET), InvariantBroken(REASON_INVARIANT_BROKEN, SECRET)])
def test_fault_of_the_program_is_told_without_its_words(
    hub: Identity, node: Identity, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        raise fault

    def stream(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from ()
        raise fault

    broken: list[int] = []
    with (
        server_of(hub, unary=handler, stream=stream, on_broken=lambda: broken.append(1)) as server,
        open_channel(server.address, node) as channel,
    ):
        for attempt in (lambda: call(channel), lambda: list(call_stream(channel, b"a"))):
            with pytest.raises(grpc.RpcError) as caught:
                attempt()
            assert caught.value.code() is grpc.StatusCode.INTERNAL
            assert SECRET not in str(caught.value) and SECRET not in str(caught.value.trailing_metadata())
            with pytest.raises(Unavailable, match="own promise does not hold"):
                unary(attempt)
    assert bool(broken) is isinstance(fault, InvariantBroken)
    assert "call failed inside" in caplog.text


def test_handler_may_still_end_a_call_by_itself(hub: Identity, node: Identity) -> None:
    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "by hand")

    with (
        server_of(hub, unary=handler) as server,
        open_channel(server.address, node) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        call(channel)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "by hand"


def test_calls_are_counted_by_method_and_status(hub: Identity, node: Identity) -> None:
    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        if request == b"no":
            raise Refused(REASON_BUDGET_EXCEEDED, "No.")
        return request

    metrics = Metrics("cgsp-hub")
    with (
        server_of(hub, unary=handler, metrics=metrics) as server,
        open_channel(server.address, node) as channel,
    ):
        call(channel)
        list(call_stream(channel, b"a"))
        with pytest.raises(Refused):
            unary(lambda: call(channel, b"no"))
    text = metrics.exposition().decode()
    assert 'cgsp_hub_rpc_calls_total{method="Echo/Unary",status="OK"} 1.0' in text
    assert 'cgsp_hub_rpc_calls_total{method="Echo/Unary",status="RESOURCE_EXHAUSTED"} 1.0' in text
    assert 'cgsp_hub_rpc_calls_total{method="Echo/Stream",status="OK"} 1.0' in text
    assert 'cgsp_hub_rpc_seconds_count{method="Echo/Unary"} 2.0' in text
