"""What one caller may ask for, checked before anything it sent is verified: rate, and how many calls at once.

One party's haste never delays another: every caller has a bucket and a number of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_RATE_EXCEEDED

CALLERS_MAX = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float
    running: int = 0


class CallerBounds:
    """Counts calls by caller; a full minute's calls may come in one burst."""

    def __init__(self, *, per_minute: int, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._at_once = at_once
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    @contextmanager
    def admit(self, caller: str) -> Iterator[None]:
        """Let one call run; raises Refused RATE_EXCEEDED beyond the caller's share."""
        bucket = self._enter(caller)
        try:
            yield
        finally:
            with self._lock:
                bucket.running -= 1

    def _enter(self, caller: str) -> _Bucket:
        with self._lock:
            now = self._clock()
            if caller not in self._buckets and len(self._buckets) >= CALLERS_MAX:
                self._forget_idle()
            bucket = self._buckets.setdefault(caller, _Bucket(float(self._per_minute), now))
            gained = (now - bucket.filled_at) * self._per_minute / 60.0
            bucket.tokens = min(float(self._per_minute), bucket.tokens + gained)
            bucket.filled_at = now
            if bucket.tokens < 1.0:
                raise Refused(
                    REASON_RATE_EXCEEDED,
                    f"{caller} has made more than {self._per_minute} calls in a minute.",
                    remedy="Wait a minute, then send the same bytes again.",
                )
            if bucket.running >= self._at_once:
                raise Refused(
                    REASON_RATE_EXCEEDED,
                    f"{caller} already has {bucket.running} calls running.",
                    remedy="Let one call finish before the next.",
                )
            bucket.tokens -= 1.0
            bucket.running += 1
            return bucket

    def _forget_idle(self) -> None:
        for caller in [caller for caller, bucket in self._buckets.items() if not bucket.running]:
            del self._buckets[caller]
