"""Decides a group of operations on the books as the store has them, and writes what it came to.

Everything here runs in the writer's turn, but for reading the books. A group is decided in memory first; what
the store refuses leaves memory as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from accounting.ledger.books import Batch, Decision, Outcome
from accounting.ledger.decide import act_hash, check_same, is_its_own_guard
from accounting.ledger.transfers import Code
from accounting.ledger.units import batch_of
from accounting.programmes.eligibility import Conditions
from accounting.programmes.programme import Programme
from engine.log_facts import LogFacts
from hub.state import State
from hub.store import entries
from hub.store.operations import (
    StoredOperation,
    find_operations,
    last_operation_at,
    next_operation,
    operation_rows,
    operations_moving,
    operations_since,
    received_rows,
    transfer_rows,
)
from hub.store.reservations import balance_rows, count_rows, reservation_rows, walk_balances
from hub.store.rows import write
from hub.store.wallets import wallet_rows
from hub.stored_books import Shared, Stepped, StoredBooks
from privacy import codec
from privacy.asked import spent_by
from privacy.spent_tickets import SpentTickets
from privacy.standing import LoggedProgramme
from privacy.tickets import SKEW_SECONDS_MAX, TICKET_SECONDS_MAX
from protos.problems import InvariantBroken, Problem
from protos.v1 import ledger_pb2


@dataclass(frozen=True, slots=True)
class Answered:
    """What whoever asked is told: the operation's number and time, and what it came to."""

    number: int
    at: int
    outcome: Outcome


@dataclass(slots=True)
class Asked:
    """An operation somebody waits for; one of the two answers is set once it is decided."""

    operation: ledger_pb2.Operation
    act_hash: bytes
    answer: Answered | None = None
    problem: BaseException | None = None


@dataclass(slots=True)
class Group:
    """What was decided together and is not durable yet; `known` are operations whose keys were used."""

    books: StoredBooks
    number: int
    at: int
    known: dict[bytes, StoredOperation]
    # Whether every key was looked up; the store finds out about the others as it writes.
    is_sure: bool
    taken: list[StoredOperation] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    decisions: list[tuple[int, Decision]] = field(default_factory=list)


def asking(operation: ledger_pb2.Operation) -> Asked:
    """Make an operation ready to be decided."""
    return Asked(operation, act_hash(operation))


class Decider:
    """Keeps what one group leaves for the next."""

    def __init__(self, state: State, conditions: Conditions, clock: Callable[[], int]) -> None:
        self._state = state
        self._conditions = conditions
        self._clock = clock
        self._parsed: dict[bytes, Programme] = {}
        self._shared: Shared | None = None
        # Kept over closes, which change no ticket; None where they are to be read.
        self._spent: SpentTickets | None = None

    def facts(self, connection: Connection) -> LogFacts:
        """Read the log's state, with programmes as the connection sees them."""

        def body_of(logged: LoggedProgramme) -> bytes:
            return entries.read_bodies(connection, logged.index)[0]

        return self.facts_of(body_of)

    def facts_of(self, body_of: Callable[[LoggedProgramme], bytes]) -> LogFacts:
        """Read the log's state, with programmes nobody has asked for yet from what gives their bodies."""
        return LogFacts(self._state.log, body_of, self._parsed)

    def books(self, connection: Connection) -> StoredBooks:
        """Read the books as they stand for a connection's transaction; nothing is written through them."""
        facts = self.facts(connection)
        shared = read_shared(connection, facts, self._spent or SpentTickets())
        return StoredBooks(connection, facts, self._conditions, shared)

    def spent(self, connection: Connection) -> SpentTickets:
        """Give the tickets that operations rest on."""
        if self._spent is None:
            self._spent = _spent(connection)
        return self._spent

    def decide(self, connection: Connection, asked: Sequence[Asked], *, is_sure: bool) -> Group:
        """Decide operations in their order; who is refused has used no key before.

        Unless it is to be sure, keys are looked up only where something must be read anyway, or where an act
        would go through twice: a key used before is refused by the store, and all is decided once more.
        """
        facts = self.facts(connection)
        shared = self._shared = self._shared or read_shared(connection, facts, self.spent(connection))
        books = StoredBooks(connection, facts, self._conditions, shared)
        is_sure = is_sure or not all(is_its_own_guard(one.operation) for one in asked)
        operations = [one.operation for one in asked]
        known = books.prefetch(operations) if is_sure else books.prefetch_missing(operations)
        at = max(self._clock(), shared.at)
        group = Group(books, shared.number, at, known or {}, is_sure=known is not None)
        try:
            for one in asked:
                _attempt(group, one)
            if not group.is_sure:
                _look_again(connection, group, [one for one in asked if one.problem is not None])
        except BaseException:
            books.undo()
            raise
        return group

    def settled(self, group: Group) -> None:
        """Go on from a group that is durable."""
        if group.taken:
            self._shared = group.books.shared(group.number + len(group.taken), group.at)

    def undo(self, group: Group) -> None:
        """Go on as if a group had not been decided: it is not written."""
        group.books.undo()

    def hand_over(self, group: Group) -> None:
        """Leave a group to a larger change, which may come to nothing: what it left is read anew."""
        self._shared = None
        if group.books.rested:
            self._spent = None

    def forget(self) -> None:
        """Read everything anew with the next operation, but for tickets: something else has changed it."""
        self._shared = None


def _attempt(group: Group, asked: Asked) -> None:
    try:
        asked.answer = _answer(group, asked)
    except InvariantBroken:
        raise
    except Problem as problem:
        asked.problem = problem


def _look_again(connection: Connection, group: Group, refused: Sequence[Asked]) -> None:
    """Give the first answer to whoever was refused because that act was done before."""
    keys = {one.operation.key for one in refused} - group.known.keys()
    if not keys:
        return
    found = find_operations(connection, keys)
    for one in refused:
        if one.operation.key in found:
            one.problem = None
            group.known[one.operation.key] = found[one.operation.key]
            _attempt(group, one)


def _answer(group: Group, asked: Asked) -> Answered:
    """Give the first answer to a key again, or decide and number the operation."""
    known = group.known.get(asked.operation.key)
    if known is not None:
        check_same(known.act_hash, asked.act_hash)
        return Answered(known.seq, known.at, known.outcome)
    operation = ledger_pb2.Operation()
    operation.CopyFrom(asked.operation)
    operation.at = group.at
    decision = group.books.apply(operation)
    taken = StoredOperation(
        group.number + len(group.taken),
        operation.key,
        asked.act_hash,
        group.at,
        codec.encode(operation),
        decision.outcome,
    )
    group.known[taken.key] = taken
    group.taken.append(taken)
    group.acts.append(operation.WhichOneof("act") or "")
    group.decisions.append((taken.seq, decision))
    return Answered(taken.seq, taken.at, taken.outcome)


def read_shared(connection: Connection, facts: LogFacts, spent: SpentTickets) -> Shared:
    """Read what every group needs."""
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
) -> None:
    """Write operations with their answers, and everything that decisions on them changed.

    A server is told in one statement, which no other part of a transaction needs to make whole.
    """
    moves = [(at, place, move) for at, one in decisions for place, move in enumerate(one.transfers)]
    accounts = {side for _, _, move in moves for side in (move.debit, move.credit)}
    made = (each for _, one in decisions for each in (*one.funded, one.reservation) if each is not None)
    reserved = {one.key: one for one in made}
    write(
        connection,
        operation_rows(taken),
        transfer_rows(moves, books.epoch),
        received_rows((at, gift) for at, one in decisions for gift in one.received),
        wallet_rows(books.written()),
        balance_rows({one: books.balances[one] for one in accounts if one.person is None}),
        count_rows({name: books.counts[name] for _, one in decisions for name in one.counts}),
        reservation_rows(reserved.values()),
    )


def _spent(connection: Connection) -> SpentTickets:
    """Read the tickets that may not have ended when the next operation comes."""
    spent, since = SpentTickets(), last_operation_at(connection) - TICKET_SECONDS_MAX - SKEW_SECONDS_MAX
    for one in operations_since(connection, since):
        operation = ledger_pb2.Operation.FromString(one)
        ticket = spent_by(operation)
        if ticket is not None:
            spent.add(ticket.use, ends=ticket.expires_at, at=operation.at)
    return spent


def _issued(connection: Connection, facts: LogFacts) -> list[Batch]:
    """Give the batches of units, oldest first."""
    found = []
    for data in operations_moving(connection, Code.ISSUE):
        asked = ledger_pb2.Operation.FromString(data).issue
        programme = facts.programme(asked.programme, asked.programme_version)
        if programme is not None:
            found.append(batch_of(asked, programme.issue[asked.rule]))
    return found
