"""Watches deadlines: reminds before one, logs who is missing after it; what is due can be seen at any time.

An entry is appended once, by the rule every reader replays; a clock that is wrong is found there, not here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from prometheus_client import Gauge
from sqlalchemy import Connection

from hub.intake import Intake, Own
from hub.state import State
from hub.store.entries import StoredEntry
from hub.store.writer import Writer
from privacy.deadlines import REMINDER_SECONDS, Due
from privacy.envelope import Kind
from protos.epochs import format_epoch
from protos.problems import Problem, Refused
from protos.v1 import envelope_pb2, evidence_pb2

logger = logging.getLogger(__name__)

WATCH_SECONDS = 60.0


class Deadlines:
    """Says what is due and logs what is missing."""

    def __init__(self, state: State, intake: Intake, writer: Writer, *, clock: Callable[[], int]) -> None:
        self._state = state
        self._intake = intake
        self._writer = writer
        self._clock = clock
        self._reminded: set[Due] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)

    def log_missing(self) -> int:
        """Log everybody whose deadline has passed without an answer; give how many entries that were."""
        now = self._clock()
        overdue = [
            due for due in self._state.open_dues(now) if due.due_at <= now and not self._is_stated(due)
        ]
        for due in overdue:
            try:
                self._writer.call(partial(self._append, due=due))
            except Refused:
                continue  # It answered meanwhile.
            logger.warning("missing", extra=_fields(due))
        return len(overdue)

    def coming(self) -> list[Due]:
        """List what is due within the time of a reminder, and what is overdue."""
        now = self._clock()
        return [due for due in self._state.open_dues(now) if due.due_at - now <= REMINDER_SECONDS]

    def remind(self) -> None:
        """Say once of each answer that it is due soon."""
        for due in self.coming():
            if due not in self._reminded and not self._is_stated(due):
                self._reminded.add(due)
                logger.warning("due soon", extra=_fields(due))

    def measure(self, due: Gauge, missing: Gauge) -> None:
        """Let metrics count answers due within the reminder's time, and those missing."""
        due.set_function(lambda: sum(not self._is_stated(one) for one in self.coming()))
        missing.set_function(lambda: sum(self._is_stated(one) for one in self.coming()))

    def start(self) -> None:
        """Watch from a thread until stopped."""
        self._thread.start()

    def stop(self) -> None:
        """End once what is under way is done."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            try:
                self.remind()
                self.log_missing()
            except Problem:
                logger.warning("deadlines are watched again in a minute")

    def _is_stated(self, due: Due) -> bool:
        return self._state.is_missed(due)

    def _append(self, connection: Connection, due: Due) -> StoredEntry:
        def build(header: envelope_pb2.Header) -> Own:
            message = evidence_pb2.Missing(
                header=header, epoch=due.epoch, role=due.role.value, party_id=due.party_id
            )
            return Own(Kind.MISSING, message)

        return self._intake.append_own(connection, build)


def _fields(due: Due) -> dict[str, str | int]:
    return {
        "role": due.role.value,
        "party": due.party_id,
        "epoch": format_epoch(due.epoch),
        "due_at": due.due_at,
    }
