"""The one thread that writes: jobs run in order, each in a savepoint, many in one durable transaction.

A job's result is handed out only after the commit. What a job refuses (a Problem) undoes that job alone; what
leaves memory and database apart (InvariantBroken) stops the writer for good, and the process with it: a new
start rebuilds memory from what is durable.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Transaction

from protos.problems import InvariantBroken, Problem, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY, REASON_SHUTTING_DOWN

logger = logging.getLogger(__name__)

JOBS_WAITING_MAX = 256
JOBS_TOGETHER_MAX = 64
IDLE_SECONDS = 0.5
GATHER_SECONDS_MAX = 0.005

Result = TypeVar("Result")


@dataclass(slots=True)
class _Job:
    work: Callable[[Connection], Any]
    future: Future[Any]
    is_shared: bool = False
    result: Any = None
    error: Exception | None = None


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
        self._jobs: queue.Queue[_Job | None] = queue.Queue(JOBS_WAITING_MAX)
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
            self._jobs.put(None)
            self._thread.join()
        self._stopped.set()
        self._refuse_waiting()

    def call(
        self,
        work: Callable[[Connection], Result],
        *,
        timeout_seconds: float = 120.0,
        is_shared: bool = False,
    ) -> Result:
        """Run the job in its turn and give its result once that is durable.

        Shared work is done once for all that wait for it when a transaction begins, and all get its result.
        """
        if self._stopping or self._broken is not None:
            raise _shutting_down()
        job = _Job(work, Future(), is_shared)
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
        while self._broken is None:
            jobs, ending = self._take()
            try:
                if jobs:
                    self._commit(jobs)
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
            job = self._jobs.get(timeout=IDLE_SECONDS)
            until = time.monotonic() + min(self._commit_seconds / 2, GATHER_SECONDS_MAX)
            while job is not None:
                jobs.append(job)
                if len(jobs) == JOBS_TOGETHER_MAX:
                    return jobs, False
                job = self._next(len(jobs), until)
        except queue.Empty:
            return jobs, False
        return jobs, True

    def _next(self, taken: int, until: float) -> _Job | None:
        """Take what is there; wait a little for as many as came together last time.

        Who was answered by one commit asks again together; without the wait one goes alone, then the rest.
        """
        if taken >= self._came_together:
            return self._jobs.get_nowait()
        return self._jobs.get(timeout=max(until - time.monotonic(), 0))

    def _commit(self, jobs: list[_Job]) -> None:
        shared = {job.work: job for job in reversed(jobs) if job.is_shared}
        first = [job for job in jobs if not job.is_shared or shared[job.work] is job]
        began = time.monotonic()
        with self._engine.connect() as connection, connection.begin() as transaction:
            if len(first) > 1:
                for job in first:
                    self._attempt(connection, job, connection.begin_nested())
            else:
                # Alone it needs no savepoint: its transaction is as much.
                self._attempt(connection, first[0], transaction)
        self._commit_seconds, self._came_together = time.monotonic() - began, len(jobs)
        self._took(self._commit_seconds)
        self._step("committed")
        for job in jobs:
            _answer(job, shared.get(job.work, job) if job.is_shared else job)

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
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job.future.set_exception(_shutting_down())


def _answer(job: _Job, done: _Job) -> None:
    if done.error is not None:
        job.future.set_exception(done.error)
    else:
        job.future.set_result(done.result)


def _shutting_down() -> Unavailable:
    return Unavailable(
        REASON_SHUTTING_DOWN, "The hub is stopping.", remedy="Send the same bytes again later."
    )
