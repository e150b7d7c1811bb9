"""Says on standard output what the demo does, with the seconds since it began."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Prints one line when a step begins and keeps how long each took."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.seconds: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Print a line with the seconds since the beginning."""
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        """Time a step."""
        self.say(text)
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - began, 2)

    @property
    def total(self) -> float:
        """Give the seconds since the beginning."""
        return round(time.monotonic() - self._began, 2)
