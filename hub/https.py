"""HTTPS beside gRPC in one process: uvicorn in a thread of its own, client certificates optional.

Who presents a certificate of the hub's authority is known by its SPIFFE name; nobody else has a role.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from cryptography import x509
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from protos.problems import Problem, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY
from runtime.addresses import Address, parse_address
from runtime.identity import AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE, SpiffeName, spiffe_name

PEER_KEY = "cgsp.peer"
CONNECTIONS_MAX = 512
KEEP_ALIVE_SECONDS = 15
GRACE_SECONDS = 10
START_SECONDS_MAX = 30.0


class _WithPeer:
    """The application, told who is at the other end of this connection."""

    def __init__(self, app: ASGIApp, peer: SpiffeName) -> None:
        self._app = app
        self._peer = peer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[PEER_KEY] = self._peer
        await self._app(scope, receive, send)


class PeerProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with the client's certificate read when the connection is made."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the name in the client's certificate, which the handshake has verified."""
        super().connection_made(transport)
        peer = _peer_name(transport.get_extra_info("ssl_object"))
        if peer is not None:
            self.app = _WithPeer(self.app, peer)

    def shutdown(self) -> None:
        """End an idle connection at once: TLS's own goodbye would wait for a peer that is not reading."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:
            super().shutdown()


def peer_of(scope: Mapping[str, Any] | MutableMapping[str, Any]) -> SpiffeName | None:
    """Give the name in the client's certificate, None without one."""
    peer = scope.get(PEER_KEY)
    return peer if isinstance(peer, SpiffeName) else None


class HttpsServer:
    """Serves an application over TLS from a thread; the certificate can be changed while it runs."""

    def __init__(self, app: ASGIApp, address: str, identity_folder: Path) -> None:
        self._identity_folder = identity_folder
        self._context = _tls_context(identity_folder)
        self._socket = _bind(address)
        config = uvicorn.Config(
            app,
            http=PeerProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_context_factory=lambda config, default: self._context,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        self._server = _QuietServer(config)
        self._thread = threading.Thread(target=self._run, name="https", daemon=True)

    @property
    def address(self) -> str:
        """Give host:port as bound."""
        return str(Address(*self._socket.getsockname()[:2]))

    def reload(self) -> None:
        """Use the certificate that now lies in the folder for new connections."""
        self._context.load_cert_chain(
            self._identity_folder / CERTIFICATE_FILE, self._identity_folder / KEY_FILE
        )

    def start(self) -> None:
        """Serve; returns once connections are accepted."""
        self._thread.start()
        until = time.monotonic() + START_SECONDS_MAX
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise Unavailable(REASON_BUSY, f"HTTPS did not start on {self.address}.")
            time.sleep(0.01)

    def stop(self) -> None:
        """Let running requests finish within the grace, then stop."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(GRACE_SECONDS + 5)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def _peer_name(connection: ssl.SSLObject | None) -> SpiffeName | None:
    """Give the certificate's one SPIFFE name; a certificate without it has no role."""
    der = connection.getpeercert(binary_form=True) if connection is not None else None
    if not der:
        return None
    try:
        return spiffe_name(x509.load_der_x509_certificate(der))
    except (ValueError, Problem):
        return None


def _tls_context(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / CERTIFICATE_FILE, folder / KEY_FILE)
    context.load_verify_locations(folder / AUTHORITY_FILE)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _bind(text: str) -> socket.socket:
    address = parse_address(text)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise Unavailable(
            REASON_BUSY,
            f"Cannot listen at {address}: {error.strerror}.",
            remedy="Stop what uses the port, or change listen_https in hub.toml.",
        ) from None
    return listener
