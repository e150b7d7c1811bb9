"""Progress of long work on stderr: a bar on a terminal, one JSON line a step otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO


class Progress:
    """Reports how far one piece of work is; `total` 0 means unknown. Quiet between reports."""

    def __init__(
        self,
        label: str,
        total: int = 0,
        *,
        unit: str = "",
        stream: TextIO | None = None,
        interval_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        raise NotImplementedError

    def advance(self, steps: int = 1) -> None:
        """Count steps done."""
        raise NotImplementedError

    def note(self, text: str) -> None:
        """Say what is being done or waited for; never a person's data."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError
