"""The ledgers made again from the log alone, in a store of their own, row for row as the hub wrote them.

Operations are decided again where they stand and every close is made again, by the hub's own writing; so the
rows may be compared with those that are stored, or take their place. Operations that were answered and are in
no segment yet are the hub's own word: they are decided after the last entry, where they are still there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, inspect, select

from accounting.ledger.decide import act_hash
from accounting.programmes.programme import Programme
from engine.closing import credit_books, step_books
from engine.eligibility import CelConditions
from engine.engine import Engine as QueryEngine
from engine.ledgers import LedgerFiles
from engine.log_facts import LogFacts
from hub.accounts import Resources, fold_into
from hub.closing import Attempt, operated, write_closed
from hub.deciding import read_shared, write_taken
from hub.state import State
from hub.store import entries, ledger_schema
from hub.store.dialects import connect_writer
from hub.store.dump import read_rows, write_rows
from hub.store.location import SqliteFile
from hub.store.operations import StoredOperation, add_segment, read_operations
from hub.store.rows import ROWS_AT_ONCE
from hub.store.schema import metadata
from hub.stored_books import Shared, StoredBooks
from privacy.acceptance import Admission
from privacy.envelope import Kind
from privacy.journal import JournalRows
from privacy.spent_tickets import SpentTickets
from privacy.standing import LoggedProgramme
from protos.epochs import Epoch, format_epoch
from protos.problems import Problem
from protos.v1 import books_pb2, ledger_pb2

TABLES = (
    ledger_schema.operation,
    ledger_schema.segment,
    ledger_schema.transfer,
    ledger_schema.credit,
    ledger_schema.received,
    ledger_schema.wallet,
    ledger_schema.system_balance,
    ledger_schema.reservation,
    ledger_schema.counter,
)

# What a close says of the ledgers.
_OF_LEDGERS = ("ledgers", "sources", "system_accounts_root")

Differ = Callable[[str], None]


class RebuiltLedgers:
    """Follows a replay of a log in which nobody was erased; else no books before can be told apart.

    `is_sound` says whether the log's operations and closes hold by its own rules: only then are they written.
    """

    def __init__(
        self, readers: Engine, state: State, resources: Resources, engine: QueryEngine, differ: Differ
    ) -> None:
        self._readers = readers
        self._state = state
        self._resources = resources
        self._engine = engine
        self._differ = differ
        self.is_whole = not _has_erasures(readers)
        self.is_sound = True
        self._folder = Path(resources.folder) / "rebuilt"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True)
        self._store = connect_writer(SqliteFile(self._folder / "ledgers.sqlite"))
        # One transaction from beginning to end: nobody else reads it, and it is thrown away.
        self._made = self._store.connect()
        metadata.create_all(self._made, TABLES)
        self._parsed: dict[bytes, Programme] = {}
        self._shared: Shared | None = None
        self._spent = SpentTickets()
        self._files: dict[str, LedgerFiles] = {}
        self._closed = Epoch(0)
        self._operations = 0

    def close(self) -> None:
        """Throw away what was made."""
        self._made.close()
        self._store.dispose()
        shutil.rmtree(self._folder, ignore_errors=True)

    def take(self, admission: Admission) -> None:
        """Follow an entry that was taken."""
        if not self.is_whole:
            return
        place = f"entry {admission.index}"
        match admission.kind:
            case Kind.JOURNAL_SEGMENT if isinstance(admission.rows, JournalRows):
                rows = admission.rows
                self._decide(rows.operations, rows.first, place)
                add_segment(self._made, rows.first, len(rows.operations), admission.index)
            case Kind.EPOCH_CLOSE if admission.message.ledgers:
                self._close(admission.message, place)
            case _:
                pass

    def compare(self, connection: Connection) -> None:
        """Hold what is stored against what was made, row by row."""
        there = set(inspect(connection).get_table_names())
        if not self.is_whole:
            if self._name_missing(there):
                self._broken("persons were erased: the log gives those rows no more")
            return
        if ledger_schema.operation.name in there:
            waiting = list(read_operations(connection, self._operations))
            self._decide([one.data for one in waiting], self._operations, "the open segment")
        self._name_missing(there)
        for table in (one for one in TABLES if one.name in there):
            count = _differing(_rows(self._made, table), _rows(connection, table), _key_of(table))
            if count:
                self._differ(f"in {table.name} {count} differ from what the log gives")

    def write(self, connection: Connection) -> None:
        """Fill the tables, which are empty, with what was made."""
        for table in TABLES:
            path = self._folder / f"{table.name}.rows"
            dumped = write_rows(self._made, table, path)
            read_rows(connection, table.name, dumped, path)

    def _name_missing(self, there: set[str]) -> bool:
        missing = [table.name for table in TABLES if table.name not in there]
        for name in missing:
            self._differ(f"the table {name} is missing")
        return bool(missing)

    def _decide(self, operations: Sequence[bytes], first: int, place: str) -> None:
        facts = self._facts()
        shared = self._shared or read_shared(self._made, facts, self._spent)
        books = StoredBooks(self._made, facts, CelConditions(), shared)
        parsed = [ledger_pb2.Operation.FromString(one) for one in operations]
        known = books.prefetch(parsed)
        taken, decisions, at = [], [], shared.at
        for number, (data, operation) in enumerate(zip(operations, parsed, strict=True), start=first):
            if operation.at < at or operation.key in known:
                self._broken(f"{place}: operation {number} goes back in time, or its key was used before")
                continue
            try:
                decision = books.apply(operation)
            except Problem as problem:
                self._broken(f"{place}: operation {number} does not hold: {problem.message}")
                continue
            at = operation.at
            known[operation.key] = StoredOperation(
                number, operation.key, act_hash(operation), at, data, decision.outcome
            )
            taken.append(known[operation.key])
            decisions.append((number, decision))
        write_taken(self._made, books, taken, decisions)
        self._operations = first + len(operations)
        self._shared = books.shared(self._operations, at)

    def _close(self, close: books_pb2.EpochClose, place: str) -> None:
        epoch, facts = Epoch(close.epoch), self._facts()
        folded = fold_into(
            self._engine, self._readers, self._state, self._resources, epoch, log_size=close.log_size
        )
        credited = credit_books(self._engine, self._folder, facts, epoch, folded.released, self._files)
        attempt = Attempt(epoch, self._folder, credited)
        closed = step_books(self._engine, self._folder, credited, operated(self._made, self._closed))
        said = books_pb2.EpochClose()
        closed.put_into(said)
        if any(getattr(said, name) != getattr(close, name) for name in _OF_LEDGERS):
            self._broken(f"{place}: the ledgers of {format_epoch(epoch)} are not those of the log")
        write_closed(self._made, self._engine, facts, attempt, closed)
        self._files, self._closed, self._shared = closed.files, epoch, None

    def _broken(self, what: str) -> None:
        self.is_sound = False
        self._differ(what)

    def _facts(self) -> LogFacts:
        return LogFacts(self._state.log, self._body_of, self._parsed)

    def _body_of(self, logged: LoggedProgramme) -> bytes:
        with self._readers.begin() as connection:
            return entries.read_bodies(connection, logged.index)[0]


def _rows(connection: Connection, table: Table) -> Iterator[tuple[Any, ...]]:
    """Give a table's rows by key."""
    query = select(table).order_by(*table.primary_key.columns)
    for row in connection.execute(query).yield_per(ROWS_AT_ONCE):
        yield tuple(row)


def _key_of(table: Table) -> Callable[[tuple[Any, ...]], Any]:
    names = [column.name for column in table.columns]
    return itemgetter(*(names.index(column.name) for column in table.primary_key.columns))


def _differing(
    made: Iterator[tuple[Any, ...]],
    stored: Iterator[tuple[Any, ...]],
    key_of: Callable[[tuple[Any, ...]], Any],
) -> int:
    """Count the keys under which two ascending lists of rows do not hold the same."""
    count = 0
    one, other = next(made, None), next(stored, None)
    while one is not None and other is not None:
        if one == other:
            one, other = next(made, None), next(stored, None)
            continue
        count += 1
        key, other_key = key_of(one), key_of(other)
        if key <= other_key:
            one = next(made, None)
        if other_key <= key:
            other = next(stored, None)
    left = chain(() if one is None else (one,), () if other is None else (other,), made, stored)
    return count + sum(1 for _ in left)


def _has_erasures(readers: Engine) -> bool:
    """Say whether the log orders an erasure anywhere: the rows of every close before it are empty by now."""
    with readers.begin() as connection:
        kinds = (Kind.ERASURE_ORDER.value, Kind.HUB_ERASURE_ORDER.value)
        return any(entries.find_entries(connection, kind) for kind in kinds)
