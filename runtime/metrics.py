"""Figures about the process for Prometheus, and its health over HTTP; labels never identify a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

ALLOWED_LABELS = frozenset({"method", "status", "kind", "reason", "role", "stage", "table", "outcome"})


class Metrics:
    """One process's figures, all named cgsp_<program>_…, in a registry of their own."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.registry = CollectorRegistry()

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """Register a counter; raises InvariantBroken for a label outside the allow-list."""
        raise NotImplementedError

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        """Register a gauge."""
        raise NotImplementedError

    def histogram(
        self, name: str, help_text: str, labels: Sequence[str] = (), buckets: Sequence[float] = ()
    ) -> Histogram:
        """Register a histogram; buckets default to latencies from 1 ms to 60 s."""
        raise NotImplementedError

    def exposition(self) -> bytes:
        """Give the text format."""
        raise NotImplementedError


class HealthServer:
    """/livez, /readyz and /metrics on a small thread server; `waiting_for` gives "" when ready, else the reason."""

    def __init__(self, address: str, metrics: Metrics, waiting_for: Callable[[], str]) -> None:
        raise NotImplementedError

    @property
    def address(self) -> str:
        """Give host:port as bound."""
        raise NotImplementedError

    def start(self) -> None:
        """Serve from a daemon thread."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop serving and free the port."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
