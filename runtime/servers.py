"""A gRPC server that insists on client certificates, says its health, and drains on SIGTERM."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc

from runtime.identity import Identity
from runtime.metrics import Metrics


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server runs; `services` are the full names shown in health and reflection."""

    address: str
    services: Sequence[str]
    workers: int = 8
    reflection: bool = False
    grace_seconds: float = 10.0
    denied: Callable[[str], bool] | None = field(default=None)


class GrpcServer:
    """A bound server: register servicers on `server`, then start it."""

    def __init__(
        self, identity: Callable[[], Identity], options: ServerOptions, metrics: Metrics | None = None
    ) -> None:
        raise NotImplementedError

    @property
    def server(self) -> grpc.Server:
        """Give the server to hand to add_…Servicer_to_server."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """Give host:port as bound."""
        raise NotImplementedError

    def start(self) -> None:
        """Serve, and report every service as SERVING."""
        raise NotImplementedError

    def stop(self) -> None:
        """Report NOT_SERVING, let running calls finish within the grace, then stop."""
        raise NotImplementedError


def stop_event() -> threading.Event:
    """Give an event that SIGTERM and SIGINT set; call it from the main thread."""
    raise NotImplementedError
