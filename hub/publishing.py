"""Lets the public log follow the database after each commit, and tells how far it is behind."""

from __future__ import annotations

import time

from hub.log import LogWriter
from hub.state import State
from hub.witnesses import Witnessing
from runtime.metrics import Metrics

LAG_SECONDS_MAX = 30.0


class Publishing:
    """Publishes what is committed; the writer calls it after every turn."""

    def __init__(self, state: State, log: LogWriter, witnessing: Witnessing, metrics: Metrics) -> None:
        self._state = state
        self._log = log
        self._witnessing = witnessing
        self._published_at = time.monotonic()
        self._entries = metrics.gauge("log_entries", "Entries of the log.")
        self._unpublished = metrics.gauge("log_unpublished", "Entries no checkpoint covers yet.")
        self._unwitnessed = metrics.gauge("log_unwitnessed", "Entries that no served checkpoint covers yet.")
        self._entries.set(state.size)

    def publish(self) -> None:
        """Let the public folder follow the database."""
        self._log.publish()
        self._published_at = time.monotonic()
        self._entries.set(self._state.size)
        self._unpublished.set(self._log.unpublished)
        self._unwitnessed.set(self._state.size - max(self._witnessing.served_size, 0))

    @property
    def is_late(self) -> bool:
        """Say whether entries have waited longer than a reader should."""
        return bool(self._log.unpublished) and time.monotonic() - self._published_at > LAG_SECONDS_MAX
