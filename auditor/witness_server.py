"""Serves a witness over HTTP: POST /add-checkpoint (c2sp.org/tlog-witness), POST /deposit, GET /livez.

Requests need no authentication beyond the log's signature, and cosignatures vouch for themselves, so plain
HTTP does behind a proxy that speaks TLS; with a certificate the server speaks it itself.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from auditor.witness import TEXT_TYPE, Answer, Witness
from privacy import deposits
from privacy.witnessing import REQUEST_BYTES_MAX
from protos.problems import Problem, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY
from runtime.addresses import Address, parse_address

logger = logging.getLogger(__name__)

ADD_CHECKPOINT = "/add-checkpoint"
DEPOSIT = "/deposit"
_BYTES_MAX = {ADD_CHECKPOINT: REQUEST_BYTES_MAX, DEPOSIT: deposits.REQUEST_BYTES_MAX}
SECONDS_MAX = 10.0
CONNECTIONS_MAX = 64


class WitnessServer:
    """A witness behind a port; serves from threads of its own until it is stopped."""

    def __init__(
        self,
        witness: Witness,
        address: str,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        self._server = _Server(witness, address)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(certificate, key)
            self._server.context = context
        self._thread = threading.Thread(target=self._server.serve_forever, name="witness", daemon=True)

    @property
    def address(self) -> str:
        """Give host:port as bound."""
        host, port = self._server.server_address[:2]
        return str(Address(str(host), int(port)))

    def start(self) -> None:
        """Serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop taking requests; those under way finish."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, witness: Witness, address: str) -> None:
        self.witness = witness
        self.context: ssl.SSLContext | None = None
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)
        bound = parse_address(address)
        self.address_family = socket.AF_INET6 if ":" in bound.host else socket.AF_INET
        try:
            super().__init__((bound.host, bound.port), _Handler)
        except OSError as error:
            raise Unavailable(
                REASON_BUSY, f"Cannot listen at {bound}: {error.strerror}.", remedy="Choose another address."
            ) from None

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, or end it where too many are open."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection; the handshake happens here, so that a slow one holds up nobody."""
        try:
            request.settimeout(SECONDS_MAX)
            if self.context is not None:
                request = self.context.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except OSError:
            self.shutdown_request(request)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that broke."""
        logger.info("a connection broke")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = SECONDS_MAX
    server_version = "cgsp-witness"
    sys_version = ""

    def do_GET(self) -> None:
        """Say that the process answers."""
        is_alive = self.path == "/livez"
        self._send(
            HTTPStatus.OK if is_alive else HTTPStatus.NOT_FOUND, b"ok\n" if is_alive else b"", TEXT_TYPE
        )

    def do_POST(self) -> None:
        """Take a checkpoint, or a hash to date."""
        length = self.headers.get("Content-Length", "")
        if self.path not in _BYTES_MAX:
            self._end(HTTPStatus.NOT_FOUND)
        elif not length.isdecimal() or self.headers.get("Transfer-Encoding"):
            self._end(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > _BYTES_MAX[self.path]:
            self._end(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            answer = self._answer(self.rfile.read(int(length)))
            if answer is None:
                self._end(HTTPStatus.INTERNAL_SERVER_ERROR)
            else:
                self._send(answer.status, answer.body, answer.content_type)

    def _answer(self, body: bytes) -> Answer | None:
        try:
            witness = self.server.witness
            return witness.deposit(body) if self.path == DEPOSIT else witness.add_checkpoint(body)
        except (Problem, OSError):
            logger.exception("a request could not be decided")
            return None

    def _end(self, status: HTTPStatus) -> None:
        """Answer without having read the body, which ends the connection."""
        self.close_connection = True
        self._send(status, b"", TEXT_TYPE)

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing of who asked."""
