"""Takes operations on the ledgers: all that wait are decided in one go, durable before anybody is told.

Operations are numbered as they are decided, and sealed into journal segments every second and every thousand.
What is refused leaves no trace; what was answered is answered the same again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, Engine

from accounting.ledger.books import Batch, Decision, Outcome
from accounting.ledger.decide import act_hash, check_same
from accounting.ledger.transfers import Code
from accounting.ledger.units import batch_of
from accounting.programmes.eligibility import Conditions
from accounting.programmes.programme import Programme
from engine.log_facts import LogFacts
from hub.book_health import BookHealth, book_health
from hub.book_meters import BookMeters
from hub.intake import Intake, Own
from hub.state import State
from hub.store import entries
from hub.store.dialects import together
from hub.store.operations import (
    StoredOperation,
    add_operations,
    add_received,
    add_segment,
    add_transfers,
    last_operation_at,
    next_operation,
    operations_moving,
    operations_since,
    read_operations,
    sealed_operations,
)
from hub.store.reservations import (
    lapsing_reservations,
    put_balances,
    put_counts,
    put_reservations,
    walk_balances,
)
from hub.store.wallets import put_wallets
from hub.store.writer import Writer
from hub.stored_books import Shared, Stepped, StoredBooks
from privacy import codec
from privacy.asked import spent_by
from privacy.envelope import Kind
from privacy.journal import OPERATION_BYTES_MAX, OPERATIONS_MAX, build_segment
from privacy.spent_tickets import SpentTickets
from privacy.standing import LoggedProgramme
from privacy.tickets import SKEW_SECONDS_MAX, TICKET_SECONDS_MAX
from protos.problems import InvariantBroken, Malformed, Problem, Unavailable
from protos.v1 import envelope_pb2, ledger_pb2
from protos.v1.problem_pb2 import REASON_BUSY, REASON_MESSAGE_TOO_LARGE

logger = logging.getLogger(__name__)

SEAL_SECONDS = 1.0
WAITING_MAX = 4_096
LAPSES_TOGETHER_MAX = 500
_LAPSE_TAG = b"cgsp lapse\x1f"
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Answered:
    """What whoever asked is told: the operation's number and time, and what it came to."""

    number: int
    at: int
    outcome: Outcome


@dataclass(slots=True)
class _Waiting:
    """An operation that waits to be decided; one of the two answers is set when its writing is done."""

    operation: ledger_pb2.Operation
    answer: Answered | None = None
    problem: BaseException | None = None


@dataclass(slots=True)
class _Batch:
    """What one go has decided and not yet written."""

    books: StoredBooks
    number: int
    at: int
    known: dict[bytes, StoredOperation]
    taken: list[StoredOperation]
    acts: list[str]
    decisions: list[tuple[int, Decision]]


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
        self._conditions = conditions
        self._clock = clock
        self._step = step
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._shared: Shared | None = None
        # Kept over closes, which change no ticket; None where they are to be read.
        self._spent: SpentTickets | None = None
        self._parsed: dict[bytes, Programme] = {}
        self._stopping = threading.Event()
        self._meters: BookMeters | None = None
        self._has_open = True
        # How many operations no segment holds yet; None where that is to be read.
        self._open: int | None = None
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
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, operation: ledger_pb2.Operation) -> Answered:
        """Decide an operation, whose time the hub sets, and give its answer once it is durable."""
        if len(operation.SerializeToString()) > OPERATION_BYTES_MAX - _KEY_BYTES:
            raise Malformed(
                REASON_MESSAGE_TOO_LARGE, f"An operation has at most {OPERATION_BYTES_MAX} bytes."
            )
        waiting = _Waiting(operation)
        with self._lock:
            if len(self._waiting) >= WAITING_MAX:
                raise Unavailable(REASON_BUSY, "Too many operations wait.", remedy="Try again.")
            self._waiting.append(waiting)
        # Asked for by all that wait, done once for them in each commit.
        self._writer.call(self._drain, is_shared=True)
        if waiting.problem is not None:
            raise waiting.problem
        if waiting.answer is None:
            raise Unavailable(
                REASON_BUSY, "The operation is not decided yet.", remedy="Ask again with the same key."
            )
        return waiting.answer

    def take(self, connection: Connection, operation: ledger_pb2.Operation) -> Answered:
        """Decide an operation inside a larger change, in the writer's turn; seal it with all before it."""
        waiting = _Waiting(operation)
        with self._lock:
            self._waiting.append(waiting)
        while waiting.answer is None and waiting.problem is None:
            self._drain(connection)
        if waiting.problem is not None:
            raise waiting.problem
        assert waiting.answer is not None
        self.seal(connection)
        return waiting.answer

    def books(self, connection: Connection) -> StoredBooks:
        """Read the books as they stand for a connection's transaction; nothing is written through them."""
        facts = self.facts(connection)
        shared = read_shared(connection, facts, self._spent or SpentTickets())
        return StoredBooks(connection, facts, self._conditions, shared)

    def facts(self, connection: Connection) -> LogFacts:
        """Read the log's state, with programmes as the connection sees them."""

        def body_of(logged: LoggedProgramme) -> bytes:
            return entries.read_bodies(connection, logged.index)[0]

        return LogFacts(self._state.log, body_of, self._parsed)

    def seal_open(self, connection: Connection) -> bool:
        """Seal what is open, if anything is; in the writer's turn."""
        if not self._has_open:
            return False
        before = self._state.log.operations
        self.seal(connection)
        return self._state.log.operations > before

    def seal(self, connection: Connection) -> None:
        """Put all operations that are in no segment yet into one; in the writer's turn."""
        self._open = None
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
        if self._spent is None:
            self._spent = _spent(connection)
        return self._spent

    def forget(self) -> None:
        """Read everything anew with the next operation: a close has changed it."""
        self._shared = None

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

    def _drain(self, connection: Connection) -> None:
        """Decide all that waits, and write it; a wait that found nothing was served by an earlier go."""
        with self._lock:
            waiting = [self._waiting.popleft() for _ in range(min(len(self._waiting), OPERATIONS_MAX))]
        if not waiting:
            return
        try:
            self._decide(connection, waiting)
        except BaseException as error:
            self._shared = self._open = self._spent = None
            for one in waiting:
                one.answer, one.problem = None, one.problem or error
            raise

    def _decide(self, connection: Connection, waiting: Sequence[_Waiting]) -> None:
        facts = self.facts(connection)
        shared = self._shared or read_shared(connection, facts, self.spent(connection))
        books = StoredBooks(connection, facts, self._conditions, shared)
        known = books.prefetch([one.operation for one in waiting])
        batch = _Batch(books, shared.number, max(self._clock(), shared.at), known, [], [], [])
        for one in waiting:
            try:
                one.answer = self._answer(batch, one.operation)
            except InvariantBroken:
                raise
            except Problem as problem:
                one.problem = problem
        self._write(connection, batch)
        if self._meters is not None:
            refused = (one.problem for one in waiting if isinstance(one.problem, Problem))
            self._meters.decided(batch.acts, refused)
        self._shared = books.shared(batch.number + len(batch.taken), batch.at if batch.taken else shared.at)

    def _answer(self, batch: _Batch, asked: ledger_pb2.Operation) -> Answered:
        """Give the first answer to a key again, or decide and number the operation."""
        known, hashed = batch.known.get(asked.key), act_hash(asked)
        if known is not None:
            check_same(known.act_hash, hashed)
            return Answered(known.seq, known.at, known.outcome)
        operation = ledger_pb2.Operation()
        operation.CopyFrom(asked)
        operation.at = batch.at
        decision = batch.books.apply(operation)
        taken = StoredOperation(
            batch.number + len(batch.taken),
            asked.key,
            hashed,
            batch.at,
            codec.encode(operation),
            decision.outcome,
        )
        batch.known[asked.key] = taken
        batch.taken.append(taken)
        batch.acts.append(operation.WhichOneof("act") or "")
        batch.decisions.append((taken.seq, decision))
        return Answered(taken.seq, taken.at, taken.outcome)

    def _write(self, connection: Connection, batch: _Batch) -> None:
        """Write the operations and everything they changed."""
        if not batch.taken:
            return
        with together(connection):
            write_taken(connection, batch.books, batch.taken, batch.decisions, self._step)
        self._has_open = True
        if self._open is None:
            self._open = batch.number - sealed_operations(connection)
        self._open += len(batch.taken)
        if self._open >= OPERATIONS_MAX:
            self.seal(connection)
        self._step("operations applied")

    def _keep(self) -> None:
        """Seal every second what came, and let lapse what is over, until the hub stops."""
        while not self._stopping.wait(SEAL_SECONDS):
            self._attempt(self.lapse_due)
            self._attempt(self._seal_open)
        self._attempt(self._seal_open)

    def _seal_open(self) -> None:
        if self._has_open:
            self._writer.call(self.seal)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Problem as problem:
            logger.info("the ledger waits", extra={"reason": int(problem.reason)})


def read_shared(connection: Connection, facts: LogFacts, spent: SpentTickets) -> Shared:
    """Read what every batch needs."""
    return Shared(
        dict(walk_balances(connection)),
        _issued(connection, facts),
        {},
        Stepped(),
        spent,
        next_operation(connection),
        last_operation_at(connection),
    )


def write_taken(
    connection: Connection,
    books: StoredBooks,
    taken: Sequence[StoredOperation],
    decisions: Sequence[tuple[int, Decision]],
    step: Callable[[str], None] = lambda name: None,
) -> None:
    """Write operations with their answers, and everything that decisions on them changed."""
    add_operations(connection, taken)
    step("operations stored")
    moves = [(at, place, move) for at, one in decisions for place, move in enumerate(one.transfers)]
    add_transfers(connection, moves, books.epoch)
    add_received(connection, [(at, gift) for at, one in decisions for gift in one.received])
    put_wallets(connection, books.written())
    accounts = {side for _, one in decisions for move in one.transfers for side in (move.debit, move.credit)}
    put_balances(connection, {one: books.balances[one] for one in accounts if one.person is None})
    names = {name for _, one in decisions for name in one.counts}
    put_counts(connection, {name: books.counts[name] for name in names})
    made = (each for _, one in decisions for each in (*one.funded, one.reservation) if each is not None)
    reserved = {one.key: one for one in made}
    put_reservations(connection, reserved.values())


def _spent(connection: Connection) -> SpentTickets:
    """Read the tickets that may not have ended when the next operation comes."""
    spent, since = SpentTickets(), last_operation_at(connection) - TICKET_SECONDS_MAX - SKEW_SECONDS_MAX
    for one in operations_since(connection, since):
        operation = ledger_pb2.Operation.FromString(one)
        ticket = spent_by(operation)
        if ticket is not None:
            spent.add(ticket.use, ends=ticket.expires_at, at=operation.at)
    return spent


def _own(header: envelope_pb2.Header, first: int, operations: Sequence[bytes]) -> Own:
    built = build_segment(header, first, operations)
    return Own(Kind.JOURNAL_SEGMENT, built.message, built.bodies)


def _issued(connection: Connection, facts: LogFacts) -> list[Batch]:
    """Give the batches of units, oldest first."""
    found = []
    for data in operations_moving(connection, Code.ISSUE):
        asked = ledger_pb2.Operation.FromString(data).issue
        programme = facts.programme(asked.programme, asked.programme_version)
        if programme is not None:
            found.append(batch_of(asked, programme.issue[asked.rule]))
    return found
