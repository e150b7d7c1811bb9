"""A small gRPC service of bytes, whose behaviours a test gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from runtime.identity import Identity
from runtime.metrics import Metrics
from runtime.servers import GrpcServer, ServerOptions

SERVICE = "cgsp.test.Echo"

Behaviour = Callable[[Any, grpc.ServicerContext], Any]


def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Give the request back."""
    return request


def echo_stream(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Give each request back."""
    yield from requests


def server_of(
    identity: Identity,
    *,
    unary: Behaviour = echo,
    stream: Behaviour = echo_stream,
    metrics: Metrics | None = None,
    on_broken: Callable[[], None] | None = None,
    **options: Any,
) -> GrpcServer:
    """Bind a server with one unary and one stream method; not yet started."""
    settings: dict[str, Any] = {
        "address": "127.0.0.1:0",
        "services": [SERVICE],
        "grace_seconds": 30.0,
    } | options
    server = GrpcServer(lambda: identity, ServerOptions(**settings), metrics, on_broken=on_broken)
    handlers: dict[str, Any] = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
    }
    server.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    return server


def call(channel: grpc.Channel, request: bytes = b"x", **more: Any) -> bytes:
    """Call the unary method."""
    method: Any = channel.unary_unary(f"/{SERVICE}/Unary")
    response: bytes = method(request, **more)
    return response


def call_stream(channel: grpc.Channel, *requests: bytes, **more: Any) -> Iterator[bytes]:
    """Call the stream method."""
    method: Any = channel.stream_stream(f"/{SERVICE}/Stream")
    yield from method(iter(requests), **more)
