"""Takes operations on the ledgers: all that wait are decided in one go, durable before anybody is told.

Operations are numbered as they are decided, and sealed into journal segments every second and every thousand.
What is refused leaves no trace; what was answered is answered the same again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection, Engine

from accounting.programmes.eligibility import Conditions
from engine.log_facts import LogFacts
from hub.book_health import BookHealth, book_health
from hub.book_meters import BookMeters
from hub.deciding import Answered, Asked, Decider, Group, asking, write_taken
from hub.intake import Intake, Own
from hub.operation_queue import OperationQueue
from hub.state import State
from hub.store import entries
from hub.store.operations import add_segment, read_operations, sealed_operations
from hub.store.reservations import lapsing_reservations
from hub.store.writer import Writer
from hub.stored_books import StoredBooks
from privacy.asked import ticket_of
from privacy.envelope import Kind
from privacy.journal import OPERATION_BYTES_MAX, OPERATIONS_MAX, build_segment
from privacy.spent_tickets import SpentTickets
from privacy.standing import LoggedProgramme
from protos.problems import Malformed, Problem, Unavailable
from protos.v1 import envelope_pb2, ledger_pb2
from protos.v1.problem_pb2 import REASON_MESSAGE_TOO_LARGE

logger = logging.getLogger(__name__)

SEAL_SECONDS = 1.0
LAPSES_TOGETHER_MAX = 500
_LAPSE_TAG = b"cgsp lapse\x1f"
_KEY_BYTES = 16


class Ledger:
    """The only way operations get into the books."""

    def __init__(
        self,
        state: State,
        intake: Intake,
        writer: Writer,
        readers: Engine,
        conditions: Conditions,
        *,
        clock: Callable[[], int],
        step: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._state = state
        self._intake = intake
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._decider = Decider(state, conditions, clock)
        self._queue = OperationQueue(self._decider, writer, decided=self._decided, step=step)
        writer.stand(self._queue)
        self._meters: BookMeters | None = None
        self._stopping = False
        # Set where sealing is due before its second is over.
        self._due = threading.Event()
        self._has_open = True
        # How many operations were taken since something was sealed.
        self._open = 0
        self._thread = threading.Thread(target=self._keep, name="ledger", daemon=True)

    def measure(self, meters: BookMeters) -> None:
        """Let metrics count what is taken and refused."""
        self._meters = meters

    def health(self) -> BookHealth:
        """Look at the books for what an operator must see to."""
        with self._readers.begin() as connection:
            facts = self.facts(connection)
            in_force = [found for one in facts.programmes() if (found := facts.in_force(one)) is not None]
            return book_health(connection, in_force, facts.epoch, now=self._clock())

    def start(self) -> None:
        """Begin to seal segments and to let reservations lapse."""
        self._thread.start()

    def stop(self) -> None:
        """Seal what is open and end."""
        self._stopping = True
        self._due.set()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, operation: ledger_pb2.Operation) -> Answered:
        """Decide an operation, whose time the hub sets, and give its answer once it is durable."""
        if operation.ByteSize() > OPERATION_BYTES_MAX - _KEY_BYTES:
            raise Malformed(
                REASON_MESSAGE_TOO_LARGE, f"An operation has at most {OPERATION_BYTES_MAX} bytes."
            )
        ticket = ticket_of(operation)
        if ticket:
            # On the caller's thread: checking a signature takes longer than everything else in the decision.
            self._state.log.participants.open_ahead(ticket)
        return self._queue.ask(operation)

    def take(self, connection: Connection, operation: ledger_pb2.Operation) -> Answered:
        """Decide an operation inside a larger change, in the writer's turn; seal it with all before it."""
        asked = asking(operation)
        group = self._decider.decide(connection, [asked], is_sure=True)
        if asked.problem is not None:
            raise asked.problem
        assert asked.answer is not None
        write_taken(connection, group.books, group.taken, group.decisions)
        self._decider.hand_over(group)
        self._meter(group, [asked])
        self.seal(connection)
        return asked.answer

    def books(self, connection: Connection) -> StoredBooks:
        """Read the books as they stand for a connection's transaction; nothing is written through them."""
        return self._decider.books(connection)

    def facts(self, connection: Connection) -> LogFacts:
        """Read the log's state, with programmes as the connection sees them."""
        return self._decider.facts(connection)

    def logged(self) -> LogFacts:
        """Read the log's state; a transaction begins only for a programme nobody has asked for yet."""
        return self._decider.facts_of(self._body_of)

    def seal_open(self, connection: Connection) -> bool:
        """Seal what is open, if anything is; in the writer's turn."""
        if not self._has_open:
            return False
        before = self._state.log.operations
        self.seal(connection)
        return self._state.log.operations > before

    def seal(self, connection: Connection) -> None:
        """Put all operations that are in no segment yet into one; in the writer's turn."""
        self._open = 0
        first = sealed_operations(connection)
        operations = [one.data for one in read_operations(connection, first)]
        for start in range(0, len(operations), OPERATIONS_MAX):
            some = operations[start : start + OPERATIONS_MAX]
            build = partial(_own, first=first + start, operations=some)
            stored = self._intake.append_own(connection, build)
            add_segment(connection, first + start, len(some), stored.index)
        self._has_open = False

    def spent(self, connection: Connection) -> SpentTickets:
        """Give the tickets that operations rest on; in the writer's turn."""
        return self._decider.spent(connection)

    def forget(self) -> None:
        """Read everything anew with the next operation: a close has changed it."""
        self._decider.forget()

    def lapse_due(self) -> int:
        """Let reservations lapse whose time is over; give how many."""
        now = self._clock()
        with self._readers.begin() as connection:
            due = lapsing_reservations(connection, now, LAPSES_TOGETHER_MAX)
        lapsed = 0
        for key in (one.key for one in due):
            operation = ledger_pb2.Operation(key=hashlib.sha256(_LAPSE_TAG + key).digest()[:_KEY_BYTES])
            operation.lapse.reserve_key = key
            try:
                self.submit(operation)
            except Unavailable:
                break
            except Problem:
                continue  # It was confirmed or called off meanwhile.
            lapsed += 1
        return lapsed

    def _decided(self, group: Group, asked: Sequence[Asked]) -> None:
        """Follow a group that is durable."""
        self._meter(group, asked)
        if group.taken:
            self._has_open = True
            self._open += len(group.taken)
            if self._open >= OPERATIONS_MAX:
                self._due.set()

    def _meter(self, group: Group, asked: Sequence[Asked]) -> None:
        if self._meters is not None:
            refused = (one.problem for one in asked if isinstance(one.problem, Problem))
            self._meters.decided(group.acts, refused)

    def _keep(self) -> None:
        """Seal every second what came, and let lapse what is over, until the hub stops."""
        while not self._stopping:
            self._due.wait(SEAL_SECONDS)
            self._due.clear()
            self._attempt(self.lapse_due)
            self._attempt(self._seal_open)

    def _body_of(self, logged: LoggedProgramme) -> bytes:
        with self._readers.begin() as connection:
            return entries.read_bodies(connection, logged.index)[0]

    def _seal_open(self) -> None:
        if self._has_open:
            self._writer.call(self.seal)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Problem as problem:
            logger.info("the ledger waits", extra={"reason": int(problem.reason)})


def _own(header: envelope_pb2.Header, first: int, operations: Sequence[bytes]) -> Own:
    built = build_segment(header, first, operations)
    return Own(Kind.JOURNAL_SEGMENT, built.message, built.bodies)
