"""Operations that wait for the writer's next turn: all of them are decided and written together.

Who was answered asks again, mostly at once: the writer waits a moment for as many as it has just answered, so
that they share the next flush instead of two taking turns.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from hub.deciding import Answered, Asked, Decider, Group, asking, write_taken
from hub.store.writer import Writer
from privacy.journal import OPERATIONS_MAX
from protos.problems import Unavailable
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_BUSY

WAITING_MAX = 4_096
ANSWER_SECONDS_MAX = 120.0
GATHER_SECONDS_MAX = 0.005


@dataclass(slots=True)
class _Waiting:
    """An operation and the lock that is let go when its answer is there."""

    asked: Asked
    answered: threading.Lock = field(default_factory=threading.Lock)


class OperationQueue:
    """Implements the writer's standing work; `decided` is told of each group that is durable."""

    def __init__(
        self,
        decider: Decider,
        writer: Writer,
        *,
        decided: Callable[[Group, list[Asked]], None],
        step: Callable[[str], None],
    ) -> None:
        self._decider = decider
        self._writer = writer
        self._decided = decided
        self._step = step
        self._waiting: deque[_Waiting] = deque()
        self._arrived = threading.Condition()
        self._refusal: Unavailable | None = None
        # Of the group in the writer's hands.
        self._taken: list[_Waiting] = []
        self._group: Group | None = None
        self._is_sure = False
        # How many are waited for, and for how long at most.
        self._expected = 0
        self._began = 0.0
        self._took_seconds = 0.0

    def ask(self, operation: ledger_pb2.Operation) -> Answered:
        """Wait for an operation's turn and give its answer once that is durable."""
        waiting = _Waiting(asking(operation))
        waiting.answered.acquire()
        self._add(waiting)
        if not waiting.answered.acquire(timeout=ANSWER_SECONDS_MAX):
            raise Unavailable(
                REASON_BUSY, "The operation is not decided yet.", remedy="Ask again with the same key."
            )
        if waiting.asked.problem is not None:
            raise waiting.asked.problem
        assert waiting.asked.answer is not None
        return waiting.asked.answer

    def _add(self, waiting: _Waiting) -> None:
        with self._arrived:
            if self._refusal is not None:
                raise self._refusal
            if len(self._waiting) >= WAITING_MAX:
                raise Unavailable(REASON_BUSY, "Too many operations wait.", remedy="Try again.")
            self._waiting.append(waiting)
            is_expected = self._expected > 0
            if is_expected and len(self._waiting) >= self._expected:
                self._arrived.notify()
        if not is_expected:
            self._writer.wake()

    @property
    def is_expecting(self) -> bool:
        """Say whether those just answered are waited for."""
        return self._expected > 0

    def gather(self) -> bool:
        """Take what waits, after a moment for as many as are expected; say whether it is anything."""
        seconds = min(self._took_seconds / 2, GATHER_SECONDS_MAX)
        with self._arrived:
            if self._expected:
                self._arrived.wait_for(lambda: len(self._waiting) >= self._expected, seconds)
            self._expected = 0
            self._taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), OPERATIONS_MAX))]
        self._began = time.monotonic()
        return bool(self._taken)

    def decide(self, connection: Connection) -> None:
        """Decide what was taken."""
        asked = [one.asked for one in self._taken]
        self._group = self._decider.decide(connection, asked, is_sure=self._is_sure)
        self._step("operations decided")

    def write(self, connection: Connection) -> None:
        """Write what was decided, by one statement on a server."""
        group = self._group
        assert group is not None
        if group.taken:
            write_taken(connection, group.books, group.taken, group.decisions)
            self._step("operations applied")

    def settle(self, error: Exception | None) -> None:
        """Answer those whose group is durable, or say what became of it."""
        taken, group = self._taken, self._group
        self._taken, self._group = [], None
        if isinstance(error, IntegrityError) and group is not None and not group.is_sure:
            self._decide_again(taken, group)
            return
        self._is_sure = False
        if error is None and group is not None:
            self._decider.settled(group)
            self._decided(group, [one.asked for one in taken])
        else:
            self._decider.forget()
            if group is not None:
                self._decider.undo(group)
            for one in taken:
                one.asked.answer, one.asked.problem = None, one.asked.problem or error
        self._answer(taken)

    def refuse(self, refusal: Unavailable) -> None:
        """Refuse what waits and whatever comes: the writer has ended."""
        with self._arrived:
            self._refusal = refusal
            taken = [*self._taken, *self._waiting]
            self._waiting.clear()
        for one in taken:
            one.asked.answer, one.asked.problem = None, refusal
            one.answered.release()

    def _answer(self, taken: list[_Waiting]) -> None:
        with self._arrived:
            self._expected = len(taken) + len(self._waiting)
            self._took_seconds = time.monotonic() - self._began
        for one in taken:
            one.answered.release()

    def _decide_again(self, taken: list[_Waiting], group: Group) -> None:
        """Put a group back: one of its keys was used before, and now all are looked up."""
        self._decider.undo(group)
        for one in taken:
            one.asked.answer = one.asked.problem = None
        with self._arrived:
            self._waiting.extendleft(reversed(taken))
            self._expected = len(self._waiting)
        self._is_sure = True
