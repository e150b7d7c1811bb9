"""The hub's log as this custodian knows it: a verified copy, and the trust root in force after its entries.

A caller that the trust root does not know makes the custodian read the log again, but not more often than the
settings say. What the log has shown stays valid while the hub is away, but not once it contradicts itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from privacy.trust import TrustRoot
from protos.problems import InvariantBroken, Problem, Unavailable
from protos.v1.problem_pb2 import (
    REASON_BUSY,
    REASON_HISTORY_INCONSISTENT,
    REASON_INVARIANT_BROKEN,
    REASON_LOG_AHEAD,
    REASON_TRUST_ROOT_INVALID,
)
from runtime import successors
from runtime.log_follower import Entry, TrustFollower
from runtime.log_mirror import LogMirror
from runtime.log_reader import LogReader
from runtime.problems import reason_name

logger = logging.getLogger(__name__)

# After one of these nothing the hub says is acted on until it is explained.
_STOPPING = (REASON_HISTORY_INCONSISTENT, REASON_TRUST_ROOT_INVALID, REASON_LOG_AHEAD)


class EntryTaker(Protocol):
    """Whoever else wants to see every entry, once a start, in log order."""

    def take(self, entry: Entry) -> None:
        """Take an entry."""


class FollowedLog:
    """Follows one log; safe to use from several threads."""

    def __init__(
        self,
        mirror: LogMirror,
        reader: LogReader,
        pinned: bytes,
        takers: EntryTaker,
        *,
        refresh_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._mirror = mirror
        self._reader = reader
        self._trust = TrustFollower(pinned)
        self.pinned = pinned
        self._takers = takers
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._taken = 0
        self._refreshed_at: float | None = None
        self._problem: Problem | None = None

    @property
    def root(self) -> TrustRoot:
        """Give the trust root in force."""
        if self._trust.root is None:
            raise InvariantBroken(REASON_INVARIANT_BROKEN, "A trust root pinned by its bytes is not there.")
        return self._trust.root

    @property
    def problem(self) -> Problem | None:
        """Give what went wrong when the log was last read; None if nothing did."""
        return self._problem

    def entries(self) -> Iterator[Entry]:
        """Give all entries of the verified copy, in order."""
        return iter(self._mirror.entries())

    def start(self) -> None:
        """Take what the copy holds, then what the hub shows if it is there."""
        with self._lock:
            self._take_new()
            self._refresh_quietly()

    def refresh(self) -> None:
        """Read the log and take what is new; raises what goes wrong, and remembers it."""
        with self._lock:
            self._refresh()

    def root_where(self, suffices: Callable[[TrustRoot], bool]) -> TrustRoot:
        """Give the trust root in force; the log is read anew, within limits, where it does not suffice.

        Raises Unavailable BUSY where it does not suffice and the log cannot be read: a refusal would guess.
        """
        if not suffices(self.root):
            with self._lock:
                if not suffices(self.root) and self._is_due():
                    self._refresh_quietly()
        self.check_usable()
        if self._problem is not None and not suffices(self.root):
            raise Unavailable(
                REASON_BUSY,
                "What is known here of the trust root does not suffice, and the log cannot be read.",
                remedy=f"Ask again in {self._refresh_seconds:g} s, or another custodian.",
            )
        return self.root

    def check_usable(self) -> None:
        """Refuse to act on a log that contradicted itself or this custodian; raises what was wrong."""
        problem = self._problem
        if problem is not None and problem.reason in _STOPPING:
            raise problem

    @property
    def is_stopped(self) -> bool:
        """Say whether the log contradicted itself or this custodian when it was last read."""
        problem = self._problem
        return problem is not None and problem.reason in _STOPPING

    def _is_due(self) -> bool:
        last = self._refreshed_at
        return last is None or self._clock() - last >= self._refresh_seconds

    def _refresh(self) -> None:
        self._refreshed_at = self._clock()
        try:
            successors.grow(self._mirror, self._reader, self.root)
            self._take_new()
        except Problem as problem:
            self._problem = problem
            raise
        self._problem = None

    def _refresh_quietly(self) -> None:
        try:
            self._refresh()
        except Problem as problem:
            logger.warning("log not read", extra={"reason": reason_name(problem.reason)})

    def _take_new(self) -> None:
        for entry in self._mirror.entries(self._taken):
            if self._trust.take(entry):
                logger.info("trust root in force", extra={"version": self.root.version, "index": entry.index})
            self._takers.take(entry)
            self._taken = entry.index + 1
