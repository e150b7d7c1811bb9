"""Closes an epoch: new pseudonyms get accounts, released statements are folded, the books are signed.

The books are a function of the log's entries up to the close's log_size and of nothing else. Each step is one
durable write and finds what an earlier attempt left, so a close may be cut anywhere and asked for again.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine

from engine.closing import ClosedBooks
from engine.engine import OWN_FOLDER
from engine.engine import Engine as QueryEngine
from engine.folding import BooksSum, fold_accounts, fold_points
from engine.moved import apply_moves
from engine.released import Released, ReleasedRows, write_links, write_statements
from hub.closing import LEDGER_FOLDER, Attempt, LedgerCloser
from hub.erasures import remove_folded
from hub.intake import Intake, Own, Step, following
from hub.setup import Opened
from hub.state import State
from hub.store import books, entries
from hub.store.books import Balances, ClosedEpoch, PointsBalance
from hub.store.entries import StoredEntry
from hub.store.writer import Writer
from privacy import envelope
from privacy.chunks import HALF_BYTES
from privacy.envelope import Kind
from privacy.links import LinkRows, build_links, check_bodies
from protos.epochs import Epoch, format_epoch
from protos.problems import Refused
from protos.v1 import books_pb2, envelope_pb2, release_pb2
from protos.v1.problem_pb2 import REASON_EPOCH_NOT_READY
from runtime.configuration import open_home
from runtime.engines import EngineSettings

logger = logging.getLogger(__name__)

LINKS_PER_BATCH_MAX = 1 << 20
FOLDS_MAX = 10
CLOSE_WRITE_SECONDS_MAX = 3600.0


@dataclass(frozen=True, slots=True)
class Books:
    """All accounts after an epoch, and what the close says of them."""

    epoch: Epoch
    balances: Balances
    points: list[PointsBalance]
    total: BooksSum
    released: Released


@dataclass(frozen=True, slots=True)
class Resources:
    """What a fold may use; `folder` takes its files."""

    folder: Path
    engine: EngineSettings

    @classmethod
    def of(cls, opened: Opened) -> Self:
        """Give what a hub's configuration lets its closes use."""
        close = opened.settings.close
        return cls(Path(close.folder) if close.folder else opened.home.work, close.engine)

    @property
    def ledgers(self) -> Path:
        """Give the folder of what closes left of ledgers, one for each close."""
        return self.folder / LEDGER_FOLDER

    def embedded(self) -> Self:
        """Give the same for the engine inside this process: another than the one that closed, maybe."""
        return replace(self, engine=self.engine.embedded())

    @contextmanager
    def apart(self) -> Iterator[Self]:
        """Give the same with a folder of its own for a while, so that no file made before is taken."""
        folder = open_home(self.folder, create=True)
        with tempfile.TemporaryDirectory(prefix=OWN_FOLDER, dir=folder) as fresh:
            yield replace(self, folder=Path(fresh))


class Closer:
    """Closes epochs, one at a time and in order."""

    def __init__(
        self,
        state: State,
        intake: Intake,
        writer: Writer,
        readers: Engine,
        resources: Resources,
        *,
        random: Callable[[int], bytes],
        step: Step,
        ledgers: LedgerCloser,
        wait_witnessed: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._state = state
        self._intake = intake
        self._writer = writer
        self._readers = readers
        self._resources = resources
        self._random = random
        self._step = step
        self._ledgers = ledgers
        self._wait_witnessed = wait_witnessed
        self._lock = threading.Lock()
        self._log_missing: Callable[[], int] = lambda: 0
        self._took: Callable[[float], object] = lambda seconds: None

    def log_missing_with(self, log_missing: Callable[[], int]) -> None:
        """Say who logs, before a close, whose deadline has passed."""
        self._log_missing = log_missing

    def measure(self, took: Callable[[float], object]) -> None:
        """Tell the seconds of each close."""
        self._took = took

    def close(self, epoch: Epoch, *, allow_missing: bool) -> tuple[bytes, bytes]:
        """Give the close's envelope and receipt, the first ones if the epoch is closed already."""
        with self._lock:
            stored = self._stored(epoch)
            if stored is None:
                began = time.monotonic()
                self._check_ready(epoch, allow_missing=allow_missing)
                self._link(epoch)
                stored = self._fold_and_close(epoch)
                self._took(time.monotonic() - began)
                logger.info("epoch closed", extra={"epoch": format_epoch(epoch), "index": stored.index})
            return stored.envelope, stored.receipt

    def forget_erased(self) -> None:
        """Remove the files that folds were made from, and fold the last closed epoch's balances again.

        Until the next close they are the same books, what erased slots had on their enterprise's account.
        """
        with self._lock:
            remove_folded(self._resources.folder)
            epoch = self._state.last_closed
            if epoch is None:
                return
            folded = fold_books(self._readers, self._state, self._resources, epoch)
            self._writer.call(
                lambda connection: write_balances(connection, folded),
                timeout_seconds=CLOSE_WRITE_SECONDS_MAX,
            )

    def _stored(self, epoch: Epoch) -> StoredEntry | None:
        index = self._state.close_index(epoch)
        if index is None:
            return None
        with self._readers.begin() as connection:
            return entries.read_entry(connection, index)

    def _check_ready(self, epoch: Epoch, *, allow_missing: bool) -> None:
        if self._state.trust_root is None:
            raise _not_ready("the log has no trust root yet", "Publish the trust root first.")
        if self._state.is_closed(epoch):
            raise _not_ready("a later epoch is closed already", "Epochs are closed in order.")
        earlier = self._state.open_before(epoch)
        if earlier:
            raise _not_ready(f"{format_epoch(earlier[0])} is open", "Epochs are closed in order.")
        waits = self._state.waits(epoch)
        if waits and not allow_missing:
            raise _not_ready("; ".join(waits), "Wait, or close with --allow-missing.")
        self._log_missing()
        if early := self._state.unstated(epoch):
            raise _not_ready(
                f"{', '.join(early)} may still answer", "Nobody is missing before the policy's deadline."
            )

    def _link(self, epoch: Epoch) -> None:
        """Log accounts for the new pseudonyms of releases since the last close, late ones among them."""
        fresh = self._unlinked(epoch)
        for start in range(0, len(fresh), LINKS_PER_BATCH_MAX):
            self._link_batch(epoch, fresh[start : start + LINKS_PER_BATCH_MAX])
            self._step("linked")

    def _unlinked(self, epoch: Epoch) -> list[bytes]:
        found: set[bytes] = set()
        for enterprise, released in self._state.released_since_close(epoch):
            rows = self._state.active_pseudonyms(enterprise, released)
            found.update(rows[at : at + HALF_BYTES] for at in range(0, len(rows), HALF_BYTES))
        found.discard(bytes(HALF_BYTES))
        with self._readers.begin() as connection:
            return sorted(found - books.linked_pseudonyms(connection))

    def _link_batch(self, epoch: Epoch, pseudonyms: list[bytes]) -> None:
        """Draw account ids and salts; rows stand in account order, which says nothing of their persons.

        After a rotation of the key a pseudonym inherits its account, read by the one writer.
        """
        drawn = self._random(2 * HALF_BYTES * len(pseudonyms))

        def build(header: envelope_pb2.Header) -> Own:
            inherited = self._state.inherited(pseudonyms)
            rows = sorted(
                (
                    inherited.get(pseudonym, drawn[at : at + HALF_BYTES]),
                    drawn[at + HALF_BYTES : at + 2 * HALF_BYTES],
                    pseudonym,
                )
                for at, pseudonym in zip(range(0, len(drawn), 2 * HALF_BYTES), pseudonyms, strict=True)
            )
            built = build_links(
                header,
                effective=epoch,
                salts=b"".join(salt for _, salt, _ in rows),
                pseudonyms=b"".join(pseudonym for _, _, pseudonym in rows),
                accounts=b"".join(account for account, _, _ in rows),
            )
            return Own(Kind.LINK_BATCH, built.message, built.bodies)

        self._writer.call(
            lambda connection: self._intake.append_own(connection, build),
            timeout_seconds=CLOSE_WRITE_SECONDS_MAX,
        )

    def _fold_and_close(self, epoch: Epoch) -> StoredEntry:
        """Fold what is logged, then close in one transaction, unless something came meanwhile."""
        for _ in range(FOLDS_MAX):
            seen = self._state.last_change(epoch)
            # Nobody is paid from entries that the trust root's witnesses have not seen.
            self._wait_witnessed(self._state.size)
            with opened_engine(self._resources) as engine:
                stored = self._attempt(engine, epoch, seen)
            if stored is not None:
                return stored
            self._link(epoch)
        raise _not_ready("answers keep coming", "Close again.")

    def _attempt(self, engine: QueryEngine, epoch: Epoch, seen: int) -> StoredEntry | None:
        """Fold, credit, and close in the writer's turn: operations wait only while wallets are stepped."""
        folded = fold_into(engine, self._readers, self._state, self._resources, epoch)
        self._step("folded")
        credited = self._ledgers.credit(engine, epoch, folded.released)
        self._step("credited")
        stored = self._writer.call(
            lambda connection: self._write(connection, engine, folded, credited, seen),
            timeout_seconds=CLOSE_WRITE_SECONDS_MAX,
        )
        if stored is not None:
            self._ledgers.keep(credited, stored.leaf_hash)
        return stored

    def _write(
        self, connection: Connection, engine: QueryEngine, folded: Books, credited: Attempt, seen: int
    ) -> StoredEntry | None:
        """Append the close and store what it changes; None if something it stands on came after the fold."""
        if self._state.last_change(folded.epoch) != seen:
            return None
        closed_books = self._ledgers.step(connection, engine, credited)
        self._ledgers.seal(connection)
        with following("the operations before it"):
            stored = self._intake.append_own(
                connection, lambda header: self._close_message(header, folded, closed_books)
            )
            write_balances(connection, folded)
            self._ledgers.write(connection, engine, credited, closed_books)
            total = folded.total
            closed = ClosedEpoch(
                folded.epoch, stored.index, total.accounts, total.in_two_or_more, total.total_mg
            )
            books.add_closed_epoch(connection, closed)
            self._step("closed")
        return stored

    def _close_message(self, header: envelope_pb2.Header, folded: Books, closed_books: ClosedBooks) -> Own:
        size = self._state.size
        message = books_pb2.EpochClose(
            header=header,
            epoch=folded.epoch,
            log_size=size,
            log_root=self._state.root(size),
            accounts=folded.total.accounts,
            accounts_in_two_or_more=folded.total.in_two_or_more,
            accounts_root=folded.total.root(),
            total_mg=folded.total.total_mg,
            missing=self._state.silent(folded.epoch),
            operations=self._state.log.operations,
        )
        closed_books.put_into(message)
        return Own(Kind.EPOCH_CLOSE, message)


def opened_engine(resources: Resources) -> QueryEngine:
    """Open the engine a fold may use; what one that was killed has left in the folder goes."""
    folder = open_home(resources.folder, create=True)
    for left in folder.glob(f"{OWN_FOLDER}*"):
        shutil.rmtree(left, ignore_errors=True)
    return resources.engine.open(folder)


def fold_books(
    readers: Engine, state: State, resources: Resources, epoch: Epoch, *, log_size: int | None = None
) -> Books:
    """Run the account fold over every release up to the epoch, in the log's first entries or all of it."""
    with opened_engine(resources) as engine:
        return fold_into(engine, readers, state, resources, epoch, log_size=log_size)


def fold_into(
    engine: QueryEngine,
    readers: Engine,
    state: State,
    resources: Resources,
    epoch: Epoch,
    *,
    log_size: int | None = None,
) -> Books:
    """Run the account fold in an engine, which then holds the accounts folded."""
    with readers.begin() as connection:
        statements = [
            write_statements(engine, resources.folder, released)
            for released in released_rows(connection, state, epoch, log_size)
        ]
        links = [
            write_links(engine, resources.folder, leaf_hash, rows)
            for leaf_hash, rows in linked_rows(connection, epoch, log_size)
        ]
    moves = state.moves(epoch, log_size)
    released = apply_moves(engine, resources.folder, Released(statements, links), moves)
    points = [
        PointsBalance(one.account, one.points, one.variance, one.enterprises, epoch)
        for one in fold_points(engine, released)
    ]
    balances, total = Balances(epoch), BooksSum()
    for two in fold_accounts(engine, released):
        total.add(two)
        balances.add(two.account, two.balance_mg, two.variance_mg2, two.enterprises)
    return Books(epoch, balances, points, total, released)


def write_balances(connection: Connection, folded: Books) -> None:
    """Swap all accounts' balances and points for those folded."""
    books.replace_balances(connection, folded.balances)
    books.replace_points(connection, folded.points)


def released_rows(
    connection: Connection, state: State, epoch: Epoch, log_size: int | None = None
) -> Iterator[ReleasedRows]:
    """Give the releases up to an epoch with their bodies, in the log's order."""
    for entry in entries.find_entries(connection, Kind.RELEASE.value):
        if entry.epoch > epoch or (log_size is not None and entry.index >= log_size):
            continue
        message = envelope.open_envelope(entry.envelope).parse(release_pb2.Release)
        yield ReleasedRows(
            entry.leaf_hash,
            message,
            entries.read_bodies(connection, entry.index),
            state.active_pseudonyms(entry.issuer, Epoch(entry.epoch)),
            state.active_slots(entry.issuer, Epoch(entry.epoch)),
        )


def linked_rows(
    connection: Connection, epoch: Epoch, log_size: int | None = None
) -> Iterator[tuple[bytes, LinkRows]]:
    """Give the link batches in force in an epoch, as the log holds them."""
    for entry in entries.find_entries(connection, Kind.LINK_BATCH.value):
        if log_size is not None and entry.index >= log_size:
            break
        message = envelope.open_envelope(entry.envelope).parse(books_pb2.LinkBatch)
        if message.effective_epoch <= epoch:
            bodies = entries.read_bodies(connection, entry.index)
            yield entry.leaf_hash, check_bodies(message, bodies, erasure_allowed=True)


def _not_ready(what: str, remedy: str) -> Refused:
    return Refused(REASON_EPOCH_NOT_READY, f"The epoch cannot be closed: {what}.", remedy=remedy)
