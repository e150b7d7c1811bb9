"""Figures about the process for Prometheus, and its health over HTTP; labels never identify a person."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from protos.problems import InvariantBroken, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY, REASON_INVARIANT_BROKEN
from runtime.addresses import Address, parse_address

# Each has few values, all known when the program is written.
ALLOWED_LABELS = frozenset({"method", "status", "kind", "reason", "role", "stage", "table", "outcome"})
LATENCY_BUCKETS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0)
_PLAIN_TEXT = "text/plain; charset=utf-8"
_REQUEST_SECONDS_MAX = 10


class Metrics:
    """One process's figures, all named cgsp_<program>_…, in a registry of their own."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.registry = CollectorRegistry()
        self._prefix = "cgsp_" + program.removeprefix("cgsp-").replace("-", "_")

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """Register a counter; raises InvariantBroken for a label outside the allow-list."""
        return Counter(self._name(name, labels), help_text, labels, registry=self.registry)

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        """Register a gauge."""
        return Gauge(self._name(name, labels), help_text, labels, registry=self.registry)

    def histogram(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = LATENCY_BUCKETS_SECONDS,
    ) -> Histogram:
        """Register a histogram; buckets default to latencies from 1 ms to 60 s."""
        return Histogram(
            self._name(name, labels), help_text, labels, registry=self.registry, buckets=tuple(buckets)
        )

    def exposition(self) -> bytes:
        """Give the text format."""
        return generate_latest(self.registry)

    def _name(self, name: str, labels: Sequence[str]) -> str:
        if not ALLOWED_LABELS.issuperset(labels):
            raise InvariantBroken(
                REASON_INVARIANT_BROKEN, f"Metric {name} has a label outside the allow-list."
            )
        return f"{self._prefix}_{name}"


class HealthServer:
    """/livez, /readyz and /metrics; `waiting_for` gives "" when ready, else what is waited for."""

    def __init__(self, address: str, metrics: Metrics, waiting_for: Callable[[], str]) -> None:
        wanted = parse_address(address)
        try:
            self._server = ThreadingHTTPServer((wanted.host, wanted.port), _handler(metrics, waiting_for))
        except OSError as failure:
            raise Unavailable(
                REASON_BUSY,
                f"Cannot listen at {wanted}: {failure.strerror}.",
                remedy="Stop what uses the port, or configure another.",
            ) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def address(self) -> str:
        """Give host:port as bound."""
        host, port = self._server.server_address[:2]
        return str(Address(str(host), int(port)))

    def start(self) -> None:
        """Serve from a daemon thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _handler(metrics: Metrics, waiting_for: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET on the three paths."""

        timeout = _REQUEST_SECONDS_MAX
        server_version = "cgsp"
        sys_version = ""

        def do_GET(self) -> None:
            """Answer."""
            match self.path:
                case "/livez":
                    self._answer(200, b"ok\n")
                case "/readyz":
                    waits = waiting_for()
                    self._answer(
                        503 if waits else 200, f"waiting for {waits}\n".encode() if waits else b"ok\n"
                    )
                case "/metrics":
                    self._answer(200, metrics.exposition(), CONTENT_TYPE_LATEST)
                case _:
                    self._answer(404, b"/livez, /readyz and /metrics are here\n")

        def _answer(self, status: int, body: bytes, content_type: str = _PLAIN_TEXT) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent: probes come every few seconds."""

    return Handler
