"""What stands around every gRPC handler: problems become statuses, dead certificates stop, calls count."""

from __future__ import annotations

import datetime
import hashlib
import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protos.problems import InvariantBroken, Problem, Unverified
from protos.v1.problem_pb2 import REASON_CERTIFICATE_INVALID, REASON_INVARIANT_BROKEN
from runtime.metrics import Metrics
from runtime.problems import abort_with, outcome, reason_name

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    # The stubs' class takes parameters, gRPC's own does not.
    Handler = grpc.RpcMethodHandler[Any, Any]
    Continuation = Callable[[grpc.HandlerCallDetails], Handler | None]
Behaviour = Callable[[Any, grpc.ServicerContext], Any]


def utc_now() -> datetime.datetime:
    """Give the time."""
    return datetime.datetime.now(datetime.UTC)


class HandlerInterceptor(grpc.ServerInterceptor):
    """Wraps the behaviour behind every method; a subclass says what happens around one call."""

    def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Wrap the handler."""
        handler = continuation(handler_call_details)
        return None if handler is None else self._wrapped(handler, handler_call_details.method)

    def _wrapped(self, handler: Any, method: str) -> Handler:
        streams_requests, streams_responses = handler.request_streaming, handler.response_streaming
        shape = f"{'stream' if streams_requests else 'unary'}_{'stream' if streams_responses else 'unary'}"
        behaviour: Behaviour = getattr(handler, shape)
        around = self.around_stream if streams_responses else self.around_unary

        def called(request: Any, context: grpc.ServicerContext) -> Any:
            return around(behaviour, request, context, method)

        factory = getattr(grpc, f"{shape}_rpc_method_handler")
        wrapped: Handler = factory(called, handler.request_deserializer, handler.response_serializer)
        return wrapped

    @abstractmethod
    def around_unary(
        self, behaviour: Behaviour, request: Any, context: grpc.ServicerContext, method: str
    ) -> Any:
        """Make a call with one response."""

    @abstractmethod
    def around_stream(
        self, behaviour: Behaviour, request: Any, context: grpc.ServicerContext, method: str
    ) -> Iterator[Any]:
        """Make a call with a stream of responses."""


class ProblemInterceptor(HandlerInterceptor):
    """Turn a problem raised in a handler into its status; anything else into INTERNAL without its text."""

    def __init__(self, on_broken: Callable[[], None] | None = None) -> None:
        self._on_broken = on_broken

    def around_unary(
        self, behaviour: Behaviour, request: Any, context: grpc.ServicerContext, method: str
    ) -> Any:
        """Make the call."""
        try:
            return behaviour(request, context)
        except Exception as failure:  # noqa: BLE001 (the outermost loop of a call)
            self._end(failure, context, method)

    def around_stream(
        self, behaviour: Behaviour, request: Any, context: grpc.ServicerContext, method: str
    ) -> Iterator[Any]:
        """Make the call."""
        try:
            yield from behaviour(request, context)
        except Exception as failure:  # noqa: BLE001 (the outermost loop of a call)
            self._end(failure, context, method)

    def _end(self, failure: Exception, context: grpc.ServicerContext, method: str) -> None:
        if _is_ended(context):
            # The handler aborted by itself, or the caller has gone: nobody is left to be told.
            raise failure
        if isinstance(failure, Problem) and not isinstance(failure, InvariantBroken):
            logger.info("call refused", extra={"method": method, "reason": reason_name(failure.reason)})
            abort_with(context, failure)
        logger.error("call failed inside", extra={"method": method}, exc_info=failure)
        if isinstance(failure, InvariantBroken) and self._on_broken is not None:
            self._on_broken()
        abort_with(context, InvariantBroken(REASON_INVARIANT_BROKEN, ""))


def _is_ended(context: Any) -> bool:
    return not context.is_active() or context.code() is not None


class CertificateInterceptor(HandlerInterceptor):
    """Refuse a call whose certificate has expired or was denied since the connection was made.

    `denied` is asked with the hex SHA-256 of the certificate's public key (SubjectPublicKeyInfo).
    """

    def __init__(
        self, denied: Callable[[str], bool] | None = None, now: Callable[[], datetime.datetime] = utc_now
    ) -> None:
        self._denied = denied
        self._now = now
        # A connection keeps its certificate: one entry, the latest, spares the parsing.
        self._seen: tuple[bytes, datetime.datetime, str] | None = None

    def around_unary(
        self, behaviour: Behaviour, request: Any, context: grpc.ServicerContext, method: str
    ) -> Any:
        """Check, then make the call."""
        self._check(context)
        return behaviour(request, context)

    def around_stream(
        self, behaviour: Behaviour, request: Any, context: grpc.ServicerContext, method: str
    ) -> Iterator[Any]:
        """Check, then make the call."""
        self._check(context)
        yield from behaviour(request, context)

    def _check(self, context: grpc.ServicerContext) -> None:
        found = list(context.auth_context().get("x509_pem_cert", ()))
        if len(found) != 1:
            raise Unverified(REASON_CERTIFICATE_INVALID, "The call came without a client certificate.")
        not_after, key_hash = self._facts(bytes(found[0]))
        if self._now() >= not_after:
            raise Unverified(
                REASON_CERTIFICATE_INVALID,
                f"The client's certificate expired {not_after:%Y-%m-%d %H:%M} UTC.",
                remedy="Join again with a new invitation of the hub's operator.",
            )
        if self._denied is not None and self._denied(key_hash):
            raise Unverified(REASON_CERTIFICATE_INVALID, "The client's certificate was revoked.")

    def _facts(self, pem: bytes) -> tuple[datetime.datetime, str]:
        seen = self._seen
        if seen is not None and seen[0] == pem:
            return seen[1], seen[2]
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        facts = certificate.not_valid_after_utc, hashlib.sha256(key).hexdigest()
        self._seen = (pem, *facts)
        return facts


class MetricsInterceptor(HandlerInterceptor):
    """Count calls and their duration by method and status."""

    def __init__(self, metrics: Metrics) -> None:
        self._calls = metrics.counter("rpc_calls", "Calls by method and status.", ("method", "status"))
        self._seconds = metrics.histogram("rpc_seconds", "Duration of calls.", ("method",))

    def around_unary(
        self, behaviour: Behaviour, request: Any, context: grpc.ServicerContext, method: str
    ) -> Any:
        """Make the call."""
        started, status = time.monotonic(), "INTERNAL"
        try:
            response = behaviour(request, context)
            status = "OK"
        except Problem as problem:
            status = outcome(problem.reason).grpc_status
            raise
        else:
            return response
        finally:
            self._count(method, status, started)

    def around_stream(
        self, behaviour: Behaviour, request: Any, context: grpc.ServicerContext, method: str
    ) -> Iterator[Any]:
        """Make the call."""
        started, status = time.monotonic(), "INTERNAL"
        try:
            yield from behaviour(request, context)
            status = "OK"
        except GeneratorExit:
            status = "CANCELLED"
            raise
        except Problem as problem:
            status = outcome(problem.reason).grpc_status
            raise
        finally:
            self._count(method, status, started)

    def _count(self, method: str, status: str, started: float) -> None:
        name = method.rpartition(".")[2]
        self._calls.labels(method=name, status=status).inc()
        self._seconds.labels(method=name).observe(time.monotonic() - started)
