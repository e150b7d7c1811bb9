"""The one thread that writes: jobs run in order, each in a savepoint, many in one durable transaction.

Standing work, which many ask for, is looked for in each turn and done once for all of them. A result is
handed out only after the commit. What a job refuses (a Problem) undoes that job alone; what leaves memory and
database apart (InvariantBroken) stops the writer for good, and the process with it: a new start rebuilds
memory from what is durable.
"""

from __future__ import annotations

import enum
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, Transaction

from hub.store.dialects import each_commits, is_lost
from protos.problems import InvariantBroken, Problem, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY, REASON_SHUTTING_DOWN

logger = logging.getLogger(__name__)

JOBS_WAITING_MAX = 256
JOBS_TOGETHER_MAX = 64
IDLE_SECONDS = 0.5
GATHER_SECONDS_MAX = 0.005

Result = TypeVar("Result")


class _Signal(enum.Enum):
    """What stands among the jobs to wake the writer, or to end it."""

    WAKE = enum.auto()
    END = enum.auto()


@dataclass(slots=True)
class _Job:
    work: Callable[[Connection], Any]
    future: Future[Any]
    result: Any = None
    error: Exception | None = None


class Standing(Protocol):
    """Work that many ask for and each turn of the writer does for all of them.

    `write` says to a server one statement at most: it is the transaction where no job shares the turn.
    """

    @property
    def is_expecting(self) -> bool:
        """Say whether to gather at once, without a call to wake up."""
        ...

    def gather(self) -> bool:
        """Take what there is to do, perhaps after a moment; say whether it is anything."""
        ...

    def decide(self, connection: Connection) -> None:
        """Read what is needed and decide; nothing is written."""
        ...

    def write(self, connection: Connection) -> None:
        """Write what was decided, by the driver."""
        ...

    def settle(self, error: Exception | None) -> None:
        """Learn that it is durable, or why nothing of it is."""
        ...

    def refuse(self, refusal: Unavailable) -> None:
        """Refuse whatever waits and comes: the writer has ended."""
        ...


class _Nothing:
    """Stands where nobody has standing work."""

    is_expecting = False

    def gather(self) -> bool:
        """Find nothing to do."""
        return False

    def decide(self, connection: Connection) -> None:
        """Decide nothing."""

    def write(self, connection: Connection) -> None:
        """Write nothing."""

    def settle(self, error: Exception | None) -> None:
        """Tell nobody."""

    def refuse(self, refusal: Unavailable) -> None:
        """Refuse nobody."""


class Writer:
    """Runs jobs on the writing connection; `after_commit` follows each commit, and each idle moment."""

    def __init__(
        self,
        engine: Engine,
        *,
        after_commit: Callable[[], None],
        on_broken: Callable[[], None],
        step: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._engine = engine
        self._after_commit = after_commit
        self._on_broken = on_broken
        self._step = step
        self._jobs: queue.Queue[_Job | _Signal] = queue.Queue(JOBS_WAITING_MAX)
        self._standing: Standing = _Nothing()
        self._broken: BaseException | None = None
        self._stopping = False
        # Of the last commit.
        self._commit_seconds = 0.0
        self._came_together = 0
        self._took: Callable[[float], object] = lambda seconds: None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    @property
    def broken(self) -> BaseException | None:
        """Give what stopped the writer, if something did."""
        return self._broken

    def measure(self, took: Callable[[float], object]) -> None:
        """Tell the seconds of each durable transaction."""
        self._took = took

    def stand(self, standing: Standing) -> None:
        """Do this work in each turn, too; before the writer starts."""
        self._standing = standing

    def wake(self) -> None:
        """Let the writer look for standing work now."""
        # Where the queue is full the writer has turns before it, and looks in each.
        with suppress(queue.Full):
            self._jobs.put_nowait(_Signal.WAKE)

    @property
    def waiting(self) -> int:
        """Count the jobs that wait for their turn."""
        return self._jobs.qsize()

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the jobs already taken, then end."""
        self._stopping = True
        if self._thread.is_alive():
            self._jobs.put(_Signal.END)
            self._thread.join()
        self._stopped.set()
        self._refuse_waiting()

    def call(self, work: Callable[[Connection], Result], *, timeout_seconds: float = 120.0) -> Result:
        """Run the job in its turn and give its result once that is durable."""
        if self._stopping or self._broken is not None:
            raise _shutting_down()
        job = _Job(work, Future())
        try:
            self._jobs.put(job, timeout=timeout_seconds)
        except queue.Full:
            raise Unavailable(REASON_BUSY, "The hub has too much to write.", remedy="Try again.") from None
        if self._stopped.is_set():
            self._refuse_waiting()
        try:
            result: Result = job.future.result(timeout=timeout_seconds)
        except TimeoutError:
            raise Unavailable(
                REASON_BUSY,
                f"The hub has not written this within {timeout_seconds:.0f} s; it may still do so.",
                remedy="Send the same bytes again.",
            ) from None
        return result

    def _run(self) -> None:
        # One connection for all turns: taking it anew costs as much as a small transaction.
        with self._engine.connect() as connection:
            while self._broken is None:
                jobs, ending = self._take()
                try:
                    has_standing = self._standing.gather()
                    if jobs or has_standing:
                        self._turn(connection, jobs, has_standing=has_standing)
                    self._follow()
                except BaseException as error:  # noqa: BLE001 - the thread's outermost loop
                    self._break(error, jobs)
                if ending:
                    break
        self._stopped.set()

    def _take(self) -> tuple[list[_Job], bool]:
        """Wait for work and take all that is there; True when the writer shall end."""
        jobs: list[_Job] = []
        try:
            found = self._jobs.get(block=not self._standing.is_expecting, timeout=IDLE_SECONDS)
            until = time.monotonic() + min(self._commit_seconds / 2, GATHER_SECONDS_MAX)
            while found is not _Signal.END:
                if isinstance(found, _Job):
                    jobs.append(found)
                if len(jobs) == JOBS_TOGETHER_MAX:
                    return jobs, False
                found = self._next(len(jobs), until)
        except queue.Empty:
            return jobs, False
        return jobs, True

    def _next(self, taken: int, until: float) -> _Job | _Signal:
        """Take what is there; wait a little for as many as came together last time.

        Who was answered by one commit asks again together; without the wait one goes alone, then the rest.
        """
        if not 0 < taken < self._came_together:
            return self._jobs.get_nowait()
        return self._jobs.get(timeout=max(until - time.monotonic(), 0))

    def _turn(self, connection: Connection, jobs: list[_Job], *, has_standing: bool) -> None:
        began = time.monotonic()
        error = self._commit(connection, jobs, has_standing) if jobs else self._stand_alone(connection)
        seconds = time.monotonic() - began
        self._took(seconds)
        self._step("committed")
        if has_standing:
            self._standing.settle(error)
        if jobs:
            self._commit_seconds, self._came_together = seconds, len(jobs)
        for job in jobs:
            _answer(job)

    def _commit(self, connection: Connection, jobs: list[_Job], has_standing: bool) -> Exception | None:
        """Do jobs, and standing work behind them; give what refused the latter."""
        with connection.begin() as transaction:
            if len(jobs) == 1 and not has_standing:
                # Alone it needs no savepoint: its transaction is as much.
                self._attempt(connection, jobs[0], transaction)
                return None
            for job in jobs:
                self._attempt(connection, job, connection.begin_nested())
            if not has_standing:
                return None
            behind = _Job(self._stand, Future())
            self._attempt(connection, behind, connection.begin_nested())
            return behind.error

    def _stand_alone(self, connection: Connection) -> Exception | None:
        """Do standing work alone, on a server as one statement that commits itself; give what refused it."""
        is_written = False
        try:
            with each_commits(connection), connection.begin():
                self._stand(connection)
                is_written = True
        except InvariantBroken:
            raise
        except Exception as error:
            # Otherwise nobody knows whether it is durable.
            if is_written or is_lost(connection):
                raise
            return error
        return None

    def _stand(self, connection: Connection) -> None:
        self._standing.decide(connection)
        self._standing.write(connection)

    def _attempt(self, connection: Connection, job: _Job, transaction: Transaction) -> None:
        try:
            job.result = job.work(connection)
        except InvariantBroken:
            raise
        except Exception as error:
            transaction.rollback()
            if not isinstance(error, Problem):
                logger.exception("a write failed")
            job.error = error
            return
        transaction.commit()

    def _follow(self) -> None:
        """Let the public log catch up; a full disk delays it and stops nothing."""
        try:
            self._after_commit()
        except OSError:
            logger.exception("publishing the log failed, will try again")
            time.sleep(IDLE_SECONDS)

    def _break(self, error: BaseException, jobs: list[_Job]) -> None:
        self._broken = error
        logger.critical("the writer stopped: memory and database may differ", exc_info=error)
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(_shutting_down())
        self._refuse_waiting()
        self._on_broken()

    def _refuse_waiting(self) -> None:
        self._standing.refuse(_shutting_down())
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if isinstance(job, _Job):
                job.future.set_exception(_shutting_down())


def _answer(job: _Job) -> None:
    if job.error is not None:
        job.future.set_exception(job.error)
    else:
        job.future.set_result(job.result)


def _shutting_down() -> Unavailable:
    return Unavailable(
        REASON_SHUTTING_DOWN, "The hub is stopping.", remedy="Send the same bytes again later."
    )
