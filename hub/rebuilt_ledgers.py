"""The ledgers made again from the log alone, and held against what the store keeps of them.

Operations are decided again where they stand and every close is made again. Those that were answered and are
in no segment yet are the hub's own word: they are decided after the last entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine

from engine.eligibility import CelConditions
from engine.engine import Engine as QueryEngine
from engine.log_facts import LogFacts
from engine.replayed_books import ReplayedBooks
from hub.accounts import Resources, fold_into
from hub.state import State
from hub.store import entries
from hub.store.operations import read_operations
from hub.store.reservations import read_counts, read_reservations, walk_balances
from hub.store.wallets import wallets_applied
from hub.stored_books import wallet_of
from privacy.acceptance import Admission
from privacy.envelope import Kind
from privacy.journal import JournalRows
from privacy.standing import LoggedProgramme
from protos.epochs import Epoch, format_epoch
from protos.problems import Problem
from protos.v1 import books_pb2, ledger_pb2

Differ = Callable[[str], None]

# What a close says of the ledgers.
_OF_LEDGERS = ("ledgers", "sources", "system_accounts_root")


class RebuiltLedgers:
    """Follows a replay of a log in which nobody was erased; else no books before can be told apart."""

    def __init__(
        self, readers: Engine, state: State, resources: Resources, engine: QueryEngine, differ: Differ
    ) -> None:
        self._readers = readers
        self._state = state
        self._resources = resources
        self._engine = engine
        self._differ = differ
        self._is_whole = not _has_erasures(readers)
        folder = Path(resources.folder) / "rebuilt"
        self._books = ReplayedBooks(engine, folder, LogFacts(state.log, self._body_of), CelConditions())

    def take(self, admission: Admission) -> None:
        """Follow an entry that was taken."""
        if not self._is_whole:
            return
        match admission.kind:
            case Kind.JOURNAL_SEGMENT if isinstance(admission.rows, JournalRows):
                self._decide(admission.rows.operations, f"entry {admission.index}")
            case Kind.EPOCH_CLOSE if admission.message.ledgers:
                self._close(admission.message, f"entry {admission.index}")
            case _:
                pass

    def compare(self, connection: Connection) -> None:
        """Hold what is stored against what was made."""
        if not self._is_whole:
            return
        open_ones = [one.data for one in read_operations(connection, self._books.operations)]
        self._decide(open_ones, "the open segment")
        books, stored = self._books, dict(walk_balances(connection))
        for account in sorted(stored.keys() | books.balances.keys(), key=lambda one: one.id):
            if stored.get(account) != books.balances.get(account):
                self._differ(f"ledger account {account.id.hex()} is not what the log gives")
        made = {key: one for key, one in books.reservations.items() if one is not None}
        there = read_reservations(connection, made)
        self._count("reservations", [key for key, one in made.items() if there.get(key) != one])
        counts = read_counts(connection, books.counts)
        self._count("counters", [name for name, one in books.counts.items() if counts.get(name, 0) != one])
        self._compare_wallets(connection)

    def _compare_wallets(self, connection: Connection) -> None:
        """Compare the wallets touched since the last close; the others are what closes credited."""
        last = self._state.last_closed or Epoch(0)
        rows = {(one.ledger, one.account): one for one in wallets_applied(connection, last)}
        wrong = [
            place
            for place in sorted(rows.keys() | self._books.changed)
            if place not in rows or wallet_of(rows[place]) != self._books.wallet(*place)
        ]
        self._count("wallets", wrong)

    def _count(self, what: str, wrong: Sequence[object]) -> None:
        if wrong:
            self._differ(f"{len(wrong)} {what} are not what the log gives")

    def _decide(self, operations: Sequence[bytes], place: str) -> None:
        parsed = [ledger_pb2.Operation.FromString(one) for one in operations]
        self._books.prefetch(parsed)
        for operation in parsed:
            number = self._books.operations
            try:
                self._books.take(operation)
            except Problem as problem:
                self._differ(f"{place}: operation {number} does not hold: {problem.message}")

    def _close(self, close: books_pb2.EpochClose, place: str) -> None:
        epoch = Epoch(close.epoch)
        folded = fold_into(
            self._engine, self._readers, self._state, self._resources, epoch, log_size=close.log_size
        )
        made = books_pb2.EpochClose()
        self._books.close(epoch, folded.released).put_into(made)
        if any(getattr(made, name) != getattr(close, name) for name in _OF_LEDGERS):
            self._differ(f"{place}: the ledgers of {format_epoch(epoch)} are not those of the log")

    def _body_of(self, logged: LoggedProgramme) -> bytes:
        with self._readers.begin() as connection:
            return entries.read_bodies(connection, logged.index)[0]


def _has_erasures(readers: Engine) -> bool:
    """Say whether the log orders an erasure anywhere: the rows of every close before it are empty by now."""
    with readers.begin() as connection:
        kinds = (Kind.ERASURE_ORDER.value, Kind.HUB_ERASURE_ORDER.value)
        return any(entries.find_entries(connection, kind) for kind in kinds)
