"""What stands around every gRPC handler: problems become statuses, expired certificates stop, calls are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from runtime.metrics import Metrics


class ProblemInterceptor(grpc.ServerInterceptor):
    """Turn a problem raised in a handler into its status; anything unexpected into INTERNAL without its text."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler."""
        raise NotImplementedError


class CertificateInterceptor(grpc.ServerInterceptor):
    """Refuse a call whose certificate has expired or is denied since the connection was made."""

    def __init__(self, denied: Callable[[str], bool] | None = None) -> None:
        self._denied = denied

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler."""
        raise NotImplementedError


class MetricsInterceptor(grpc.ServerInterceptor):
    """Count calls and their duration by method and status."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler."""
        raise NotImplementedError
