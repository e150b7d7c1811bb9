"""A program is asked to stop once, and killed by the second asking."""

from __future__ import annotations

import os
import signal

from runtime.stopping import stop_event


def test_signal_sets_the_event() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        event = stop_event()
        os.kill(os.getpid(), signal.SIGTERM)
        assert event.wait(120)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
