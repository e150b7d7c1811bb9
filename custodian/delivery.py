"""Count reports on their way to the hub, from one thread, until there is a receipt for each."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from custodian.followed_log import FollowedLog
from custodian.reports import CountReports
from custodian.store import Report, Store
from privacy.receipts import open_receipt
from privacy.trust import TrustRoot
from protos.problems import InvariantBroken, Problem, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY, REASON_SEQUENCE_REUSED, REASON_SEQUENCE_SKIPPED
from runtime.problems import reason_name

logger = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class HubChain:
    """Where this custodian's chain stands at the hub."""

    next_sequence: int
    head: bytes


class HubIntake(Protocol):
    """A connection to the hub's IntakeService."""

    def submit(self, envelope: bytes) -> bytes:
        """Send one envelope; give the receipt's envelope. Raises the problem the hub answered with."""

    def chain(self) -> HubChain:
        """Ask where this custodian's chain stands."""


class ReportDelivery:
    """Sends count reports until the hub has given a receipt for each."""

    def __init__(
        self,
        reports: CountReports,
        store: Store,
        connect: Callable[[], AbstractContextManager[HubIntake]],
    ) -> None:
        self._reports = reports
        self._store = store
        self._connect = connect

    def deliver(self, root: TrustRoot) -> int:
        """Send everything that is due, oldest first; give how many. Raises what the hub says against it."""
        sent = 0
        if (report := self._reports.next_report(root)) is None:
            return sent
        with self._connect() as hub:
            while report is not None:
                self._send(hub, report, root)
                sent += 1
                report = self._reports.next_report(root)
        return sent

    def _send(self, hub: HubIntake, report: Report, root: TrustRoot) -> None:
        try:
            receipt = hub.submit(report.envelope)
        except Problem as problem:
            if problem.reason not in (REASON_SEQUENCE_REUSED, REASON_SEQUENCE_SKIPPED):
                raise
            self._resync(hub, report, problem)
            receipt = hub.submit(report.envelope)
        open_receipt(receipt, root.hub_key, origin=root.origin, entry=report.envelope)
        self._store.receive(report.sequence, receipt)

    def _resync(self, hub: HubIntake, report: Report, problem: Problem) -> None:
        """Send again what the hub has lost; wait where the log has more than this store (raises)."""
        chain = hub.chain()
        if chain.next_sequence >= report.sequence:
            raise Unavailable(
                REASON_BUSY,
                f"The hub holds another count report {report.sequence} of this custodian; "
                "its checkpoint will show which.",
                remedy="Nothing: the log is read until it is there. If this lasts, a twin runs.",
            ) from problem
        for sequence in range(chain.next_sequence, report.sequence):
            hub.submit(self._store.report(sequence).envelope)


class DeliveryLoop:
    """Reads the log now and then, delivers reports: at once after each charge, patiently while it fails."""

    def __init__(
        self,
        log: FollowedLog,
        delivery: ReportDelivery,
        *,
        wait_seconds: float,
        clock: Callable[[], float],
        on_broken: Callable[[], None],
    ) -> None:
        self._log = log
        self._delivery = delivery
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._on_broken = on_broken
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._log_read_at: float | None = None
        self._problem: Problem | None = None

    @property
    def problem(self) -> Problem | None:
        """Give what the last round failed with; None if it did not."""
        return self._problem

    def wake(self) -> None:
        """Say that something was charged."""
        self._woken.set()

    def stop(self) -> None:
        """End `run` after the round in work."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Work until stopped; what fails is tried again after a wait that doubles, with jitter."""
        ceiling = FIRST_WAIT_SECONDS
        while not self._stopping.is_set():
            self._woken.clear()
            self._problem = self._guarded_round()
            if self._problem is None:
                ceiling = FIRST_WAIT_SECONDS
                self._woken.wait(self._wait_seconds)
                continue
            seconds = random.uniform(ceiling / 2, ceiling)  # noqa: S311 (jitter, no secret)
            logger.warning(
                "count reports wait",
                extra={"reason": reason_name(self._problem.reason), "wait_seconds": round(seconds, 3)},
            )
            self._stopping.wait(seconds)
            ceiling = min(2 * ceiling, self._wait_seconds)

    def _guarded_round(self) -> Problem | None:
        """Make a round; a broken invariant ends the process, a full disk is waited out like an absent hub."""
        try:
            problem = self._round()
        except Exception as failure:  # the outermost loop of the thread
            logger.exception("round failed inside")
            return Unavailable(REASON_BUSY, f"Count reports wait: {type(failure).__name__}.")
        if isinstance(problem, InvariantBroken):
            logger.error("count reports broken", exc_info=problem)
            self._on_broken()
        return problem

    def _round(self) -> Problem | None:
        """Read the log if it is due, deliver what is due; give the first problem met."""
        found: Problem | None = None
        if self._problem is not None or self._is_due():
            try:
                self._log.refresh()
                self._log_read_at = self._clock()
            except Problem as problem:
                found = problem
        try:
            self._log.check_usable()
            self._delivery.deliver(self._log.root)
        except Problem as problem:
            return problem
        return found

    def _is_due(self) -> bool:
        return self._log_read_at is None or self._clock() - self._log_read_at >= self._wait_seconds
