"""Progress of long work on stderr: a bar on a terminal, one JSON line a step otherwise."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

BAR_CHARACTERS = 24
_CLEAR = "\r\x1b[K"


class Progress:
    """Reports how far one piece of work is; `total` 0 means unknown. Quiet between reports.

    With `silent_if_short` nothing is said of work that ends before its first report.
    """

    def __init__(
        self,
        label: str,
        total: int = 0,
        *,
        unit: str = "",
        stream: TextIO | None = None,
        interval_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        silent_if_short: bool = False,
    ) -> None:
        self._is_silent = silent_if_short
        self._label, self._total, self._unit = label, total, unit
        self._stream = stream if stream is not None else sys.stderr
        self._is_terminal = self._stream.isatty()
        self._interval_seconds = interval_seconds / 10 if self._is_terminal else interval_seconds
        self._clock = clock
        self._started = self._reported = clock()
        self._done = 0
        self._note = ""

    def advance(self, steps: int = 1) -> None:
        """Count steps done."""
        self._done += steps
        if self._clock() - self._reported >= self._interval_seconds:
            self._report("running")

    def reach(self, done: int, total: int) -> None:
        """Say how many steps of how many are done, where that is known only on the way."""
        self._total = total
        self.advance(done - self._done)

    def note(self, text: str) -> None:
        """Say what is being done or waited for; never a person's data."""
        if text != self._note:
            self._note = text
            self._report("running")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_silent:
            self._report("done" if kind is None else "failed")

    def _report(self, state: str) -> None:
        self._reported = self._clock()
        self._is_silent = False
        if self._is_terminal:
            end = "" if state == "running" else "\n"
            self._stream.write(_CLEAR + self._line(state)[: shutil.get_terminal_size().columns - 1] + end)
        else:
            self._stream.write(json.dumps(self._record(state), ensure_ascii=False) + "\n")
        self._stream.flush()

    def _record(self, state: str) -> dict[str, object]:
        record: dict[str, object] = {"progress": self._label, "state": state, "done": self._done}
        record |= {"total": self._total} if self._total else {}
        record |= {"unit": self._unit} if self._unit else {}
        record |= {"note": self._note} if self._note else {}
        return record | {"seconds": round(self._reported - self._started, 1)}

    def _line(self, state: str) -> str:
        seconds = self._reported - self._started
        rate = f"{self._done / seconds:,.0f}/s" if seconds > 0 and self._done else ""
        counted = f"{self._done:,}" + (f" of {self._total:,}" if self._total else "")
        parts = [self._label, self._bar(), counted, self._unit, rate, f"{seconds:.0f} s", self._note]
        return " ".join(part for part in (*parts, state if state == "failed" else "") if part)

    def _bar(self) -> str:
        if not self._total:
            return ""
        filled = min(self._done * BAR_CHARACTERS // self._total, BAR_CHARACTERS)
        return "█" * filled + "░" * (BAR_CHARACTERS - filled)
