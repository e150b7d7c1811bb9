"""A gRPC server that insists on client certificates, says its health, and drains on SIGTERM."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_BUSY
from runtime.addresses import Address, parse_address
from runtime.channels import MESSAGE_BYTES_MAX, METADATA_BYTES_MAX
from runtime.identity import Identity
from runtime.interceptors import CertificateInterceptor, MetricsInterceptor, ProblemInterceptor, utc_now
from runtime.metrics import Metrics

logger = logging.getLogger(__name__)

PING_INTERVAL_MS_MIN = 30_000
CONNECTION_AGE_MS_MAX = 3_600_000
STREAMS_PER_CONNECTION_MAX = 64


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server runs; `services` are the full names shown in health and reflection."""

    address: str
    services: Sequence[str]
    workers: int = 8
    # Calls in work and waiting beyond which a caller is told to try later.
    calls_max: int = 64
    reflection: bool = False
    grace_seconds: float = 10.0
    denied: Callable[[str], bool] | None = None
    now: Callable[[], datetime.datetime] = utc_now


class GrpcServer:
    """A bound server: register servicers on `server`, then start it.

    `identity` is asked again at every handshake, so a renewed certificate serves without a restart.
    """

    def __init__(
        self,
        identity: Callable[[], Identity],
        options: ServerOptions,
        metrics: Metrics | None = None,
        *,
        on_broken: Callable[[], None] | None = None,
    ) -> None:
        self._options = options
        interceptors: list[Any] = [ProblemInterceptor(on_broken)]
        interceptors += [MetricsInterceptor(metrics)] if metrics is not None else []
        interceptors += [CertificateInterceptor(options.denied, options.now)]
        self._pool = ThreadPoolExecutor(options.workers, thread_name_prefix="rpc")
        self._server = grpc.server(
            self._pool, interceptors=interceptors, options=_OPTIONS, maximum_concurrent_rpcs=options.calls_max
        )
        self._health = health.HealthServicer(experimental_non_blocking=True)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if options.reflection:
            _reflect(self._server, options.services)
        self._address = self._bound(identity)

    def _bound(self, identity: Callable[[], Identity]) -> Address:
        wanted = parse_address(self._options.address)
        try:
            port = self._server.add_secure_port(str(wanted), _credentials(identity))
        except RuntimeError:
            port = 0
        if not port:
            raise Unavailable(
                REASON_BUSY,
                f"Cannot listen at {wanted}.",
                remedy="Stop what uses the port, or configure another.",
            )
        return Address(wanted.host, port)

    @property
    def server(self) -> grpc.Server:
        """Give the server to hand to add_…Servicer_to_server."""
        return self._server

    @property
    def address(self) -> str:
        """Give host:port as bound."""
        return str(self._address)

    def start(self) -> None:
        """Serve, and report every service as SERVING."""
        self._server.start()
        for service in ("", *self._options.services):
            self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        logger.info("serving", extra={"address": self.address})

    def stop(self) -> None:
        """Report NOT_SERVING, let running calls finish within the grace, then stop."""
        self._health.enter_graceful_shutdown()
        self._server.stop(self._options.grace_seconds).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)
        logger.info("stopped", extra={"address": self.address})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
    ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MS_MIN),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_connection_age_ms", CONNECTION_AGE_MS_MAX),
    ("grpc.max_connection_age_grace_ms", 600_000),
    # Two processes must never share a port unnoticed.
    ("grpc.so_reuseport", 0),
)


def _credentials(identity: Callable[[], Identity]) -> grpc.ServerCredentials:
    def configuration() -> grpc.ServerCertificateConfiguration:
        current = identity()
        pair = (current.key_pem, current.certificate_pem)
        return grpc.ssl_server_certificate_configuration([pair], current.ca_pem)

    return grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=True
    )


def _reflect(server: grpc.Server, services: Sequence[str]) -> None:
    from grpc_reflection.v1alpha import reflection

    names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
