"""Figures of the books for Prometheus: what operations and closes take, and what needs somebody soon."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from hub.book_health import BookHealth
from hub.store.operations import Unsealed
from hub.store.reservations import Reserved
from protos.problems import Problem
from protos.v1.problem_pb2 import Reason
from runtime.metrics import Metrics

TOGETHER_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024)
CLOSE_BUCKETS_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0)
# Whoever reads the figures makes the hub look at its books at most so often.
LOOK_SECONDS = 5.0

NOTHING = BookHealth((), Reserved(0, 0, 0), {}, Unsealed(0, None))


class BookMeters:
    """Counts what the books do; none of its labels names a programme, a partner or a person."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._taken = metrics.counter("operations", "Operations taken, by act.", ["kind"])
        self._refused = metrics.counter("operations_refused", "Operations refused, by reason.", ["reason"])
        self._together = metrics.histogram(
            "operations_together", "Operations decided in one go.", buckets=TOGETHER_BUCKETS
        )
        self.commit_seconds = metrics.histogram("commit_seconds", "What a durable transaction takes.")
        self.close_seconds = metrics.histogram(
            "close_seconds", "What closing an epoch takes.", buckets=CLOSE_BUCKETS_SECONDS
        )

    def decided(self, acts: Sequence[str], refused: Iterable[Problem]) -> None:
        """Count one go of operations."""
        self._together.observe(len(acts))
        for act, count in Counter(acts).items():
            self._taken.labels(kind=act).inc(count)
        for problem in refused:
            self._refused.labels(reason=Reason.Name(problem.reason).removeprefix("REASON_")).inc()

    def watch(self, look: Callable[[], BookHealth], clock: Callable[[], int]) -> None:
        """Let gauges show what a look at the books finds, taken when somebody reads them."""
        seen = _Seen(look)

        def show(name: str, help_text: str, count: Callable[[BookHealth], int]) -> None:
            self._metrics.gauge(name, help_text).set_function(lambda: count(seen()))

        show("rewards_unfunded", "Rewards whose funds pay for none more.", lambda one: len(one.empty))
        show("rewards_low_funds", "Rewards whose funds pay for few more.", lambda one: len(one.low))
        show("reservations", "Reservations that are open.", lambda one: one.reserved.orders)
        show("reservations_lapsing", "Those that lapse within an hour.", lambda one: one.reserved.lapsing)
        show("reservations_unfunded", "Those that wait for money.", lambda one: one.reserved.unfunded)
        show("partners_owed", "Partners that are owed money.", lambda one: len(one.owed_fen))
        show("partners_owed_fen", "What they are owed together.", lambda one: sum(one.owed_fen.values()))
        show("operations_unsealed", "Operations no segment holds yet.", lambda one: one.unsealed.operations)
        show(
            "operations_unsealed_seconds",
            "Age of the oldest of them.",
            lambda one: 0 if one.unsealed.since is None else max(clock() - one.unsealed.since, 0),
        )


class _Seen:
    """The last look, kept for a moment; a hub without books has nothing to see."""

    def __init__(self, look: Callable[[], BookHealth]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._health = NOTHING
        self._until = 0.0

    def __call__(self) -> BookHealth:
        with self._lock:
            if time.monotonic() >= self._until:
                self._health = self._looked()
                self._until = time.monotonic() + LOOK_SECONDS
            return self._health

    def _looked(self) -> BookHealth:
        try:
            return self._look()
        except Problem:
            return NOTHING
