"""A TCP proxy that misbehaves on request: delays, and cuts connections after so many bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self

_READ_BYTES = 65_536


class FaultProxy:
    """Forwards one port to a target; the faults may be changed while it runs."""

    def __init__(
        self,
        target: str,
        *,
        latency_seconds: float = 0.0,
        cut_after_bytes: int | None = None,
        cuts: int | None = None,
    ) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self.latency_seconds = latency_seconds
        # Counted over what the client sends on one connection.
        self.cut_after_bytes = cut_after_bytes
        # How many connections are still to be cut; None cuts every one.
        self.cuts = cuts
        self.refuses = False
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, name="fault-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        self._thread.join(5)

    def cut_all(self) -> None:
        """Cut every connection now."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            _cut(end)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuses:
                _cut(client)
                continue
            try:
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                _cut(client)
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            for source, sink, counted in ((client, server, True), (server, client, False)):
                pump = threading.Thread(target=self._pump, args=(source, sink, counted), daemon=True)
                pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while data := source.recv(_READ_BYTES):
                if self.latency_seconds:
                    time.sleep(self.latency_seconds)
                if counted and self._is_cut(sent + len(data)):
                    break
                sink.sendall(data)
                sent += len(data)
        with self._lock:
            self._open -= {source, sink}
        _cut(source)
        _cut(sink)

    def _is_cut(self, sent: int) -> bool:
        with self._lock:
            if self.cut_after_bytes is None or sent <= self.cut_after_bytes or self.cuts == 0:
                return False
            if self.cuts is not None:
                self.cuts -= 1
            return True


def _cut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
