"""How a program that serves is asked to stop; apart from servers, whose libraries a witness need not have."""

from __future__ import annotations

import signal
import threading
from types import FrameType


def stop_event() -> threading.Event:
    """Give an event that SIGTERM and SIGINT set; call it from the main thread. A second one ends at once."""
    event = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return event
