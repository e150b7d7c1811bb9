"""Makes the hub's books again from the log and its bodies alone, and compares them with what is stored.

What is stored beside the log (links, balances, closed epochs, all ledgers) is a fold over it and may be
thrown away: a rebuild gives the same rows. A difference is named before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, inspect

from engine.engine import Engine as QueryEngine
from hub.accounts import Books, Resources, fold_into, opened_engine, write_balances
from hub.intake import links_of
from hub.log import CHECKPOINT_FILE, WriterLock
from hub.rebuilt_ledgers import TABLES, RebuiltLedgers
from hub.setup import Opened
from hub.state import State
from hub.store import books, entries
from hub.store.books import ClosedEpoch, Link
from hub.store.database import open_writer, readers_of
from hub.store.dialects import wipe
from hub.store.schema import balance, closed_epoch, link, metadata, points_balance
from privacy.checkpoint import log_vkey, open_checkpoint
from privacy.envelope import Kind
from privacy.erasures import ordered_since
from privacy.merkle import CompactTree, leaf_hash
from protos.epochs import Epoch, format_epoch
from protos.problems import Problem, Unverified
from protos.v1 import books_pb2
from protos.v1.problem_pb2 import REASON_HISTORY_INCONSISTENT
from runtime.files import read_bounded

DIFFERENCES_MAX = 100
_NOTE_BYTES_MAX = 65_536
# What a fold over the log's releases and links gives, beside the ledgers.
FOLDED = (link, balance, points_balance, closed_epoch)


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild made, and where it differs from what is stored."""

    entries: int = 0
    links: list[Link] = field(default_factory=list)
    closes: list[ClosedEpoch] = field(default_factory=list)
    last: Books | None = None
    differences: list[str] = field(default_factory=list)
    # False where persons were erased: the log then gives the accounts, and no longer the ledgers.
    ledgers_compared: bool = True
    written: bool = False

    def differ(self, what: str) -> None:
        """Note a difference; beyond the first hundred only that there are more."""
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(what)

    def to_json(self) -> dict[str, Any]:
        """Give the outcome as JSON."""
        return {
            "entries": self.entries,
            "links": len(self.links),
            "closes": len(self.closes),
            "accounts": len(self.last.balances) if self.last else 0,
            "ledgers_compared": self.ledgers_compared,
            "differences": self.differences,
            "written": self.written,
        }


def rebuild(opened: Opened, *, write: bool) -> Rebuilt:
    """Rebuild and compare; with `write` put the rebuilt books in the stored ones' place; the hub is down.

    Raises Unverified HISTORY_INCONSISTENT where the log itself does not hold: then nothing is written.
    """
    with WriterLock(opened.home.lock), _remade(opened) as (made, ledgers):
        if write and made.differences:
            _write(opened, made, ledgers)
    return made


def compared(opened: Opened) -> Rebuilt:
    """Rebuild and compare, writing nothing; the caller holds the hub's lock."""
    with _remade(opened) as (made, _):
        return made


@contextmanager
def _remade(opened: Opened) -> Iterator[tuple[Rebuilt, RebuiltLedgers]]:
    """Make books and ledgers again and compare them with what is stored."""
    made = Rebuilt()
    with (
        readers_of(opened.home.database) as readers,
        Resources.of(opened).embedded().apart() as resources,
        opened_engine(resources) as engine,
    ):
        state = State(opened.settings.origin)
        ledgers = RebuiltLedgers(readers, state, resources, engine, made.differ)
        with closing(ledgers):
            for index, close in _replay(opened, readers, state, ledgers, made):
                made.last = _folded(engine, readers, state, resources, index, close, made)
            with readers.begin() as connection:
                ledgers.compare(connection)
                _compare(connection, made)
            _say_what_stays(made, ledgers)
            yield made, ledgers


def _say_what_stays(made: Rebuilt, ledgers: RebuiltLedgers) -> None:
    made.ledgers_compared = ledgers.is_whole
    if not ledgers.is_sound:
        made.differ("the log's own ledgers do not hold: they are not written; restore the newest backup")


def _replay(
    opened: Opened,
    readers: Engine,
    state: State,
    ledgers: RebuiltLedgers,
    made: Rebuilt,
) -> list[tuple[int, books_pb2.EpochClose]]:
    """Decide on every entry again with all its bodies; give the closes with their places."""
    tree = CompactTree()
    closes: list[tuple[int, books_pb2.EpochClose]] = []
    with readers.begin() as connection:
        for entry in entries.read_entries(connection):
            bodies = entries.read_bodies(connection, entry.index)
            try:
                admission = state.check(entry.envelope, bodies, entry.index)
            except Problem as problem:
                raise _broken(f"Entry {entry.index} does not hold: {problem.message}") from None
            state.apply(admission)
            tree.append(leaf_hash(entry.envelope))
            ledgers.take(admission)
            if admission.kind is Kind.LINK_BATCH:
                made.links += links_of(admission.message, bodies, entry.index)
            elif admission.kind is Kind.EPOCH_CLOSE:
                closes.append((entry.index, admission.message))
        head = entries.tree_head(connection)
    made.entries = tree.size
    if head is not None and (head.size, head.root) != (tree.size, tree.root()):
        raise _broken("The stored root is not the root over the stored entries.")
    _check_served(opened, state)
    return closes


def _check_served(opened: Opened, state: State) -> None:
    path = opened.home.folder / CHECKPOINT_FILE
    if not path.exists():
        return
    vkey = log_vkey(opened.settings.origin, opened.log_key.verify_key)
    head = open_checkpoint(read_bounded(path, _NOTE_BYTES_MAX), vkey)
    if head.size > state.size or state.root(head.size) != head.root:
        raise _broken("The checkpoint that is served is not of this log.")


def _folded(
    engine: QueryEngine,
    readers: Engine,
    state: State,
    resources: Resources,
    index: int,
    close: books_pb2.EpochClose,
    made: Rebuilt,
) -> Books:
    """Fold a close again and hold it against what was signed; after a later erasure, its total alone."""
    folded = fold_into(engine, readers, state, resources, Epoch(close.epoch), log_size=close.log_size)
    total = folded.total
    is_whole = ordered_since(state.erasures, close.log_size) == 0
    signed = (close.accounts, close.accounts_in_two_or_more, close.accounts_root)
    if total.total_mg != close.total_mg or (
        is_whole and (total.accounts, total.in_two_or_more, total.root()) != signed
    ):
        made.differ(f"entry {index}: the close of {format_epoch(Epoch(close.epoch))} is not that of the log")
    said = total if is_whole else close
    in_two = total.in_two_or_more if is_whole else close.accounts_in_two_or_more
    made.closes.append(ClosedEpoch(close.epoch, index, said.accounts, in_two, total.total_mg))
    return folded


def _compare(connection: Connection, made: Rebuilt) -> None:
    """Hold the stored books against the rebuilt ones, row by row."""
    there = set(inspect(connection).get_table_names())
    balances = set(made.last.balances) if made.last is not None else set()
    points = set(made.last.points) if made.last is not None else set()
    for table, what, read, rebuilt in (
        (link, "link", books.linked_pseudonyms, {one.pseudonym for one in made.links}),
        (closed_epoch, "closed epoch", books.closed_epochs, set(made.closes)),
        (balance, "account", books.walk_balances, balances),
        (points_balance, "points of account", books.walk_points, points),
    ):
        if table.name in there:
            _differ(made, what, set(read(connection)), rebuilt)
        else:
            made.differ(f"the table {table.name} is missing")


def _differ(made: Rebuilt, what: str, stored: set[Any], rebuilt: set[Any]) -> None:
    for one in _named(stored - rebuilt):
        made.differ(f"{what} {one} is stored; the log does not give it")
    for one in _named(rebuilt - stored):
        made.differ(f"{what} {one} follows from the log; it is not stored")


def _named(rows: Iterable[Any]) -> list[str]:
    """Name rows without what they hold: an account by its id, an epoch by its number, a link by nothing."""
    names = []
    for row in rows:
        match row:
            case bytes():
                names.append("of a pseudonym")
            case ClosedEpoch():
                names.append(format_epoch(Epoch(row.epoch)))
            case _:
                names.append(row.account.hex())
    return sorted(names)


def _write(opened: Opened, made: Rebuilt, ledgers: RebuiltLedgers) -> None:
    """Make the tables anew and fill them, in one transaction."""
    with_ledgers = ledgers.is_whole and ledgers.is_sound
    tables = [*FOLDED, *(TABLES if with_ledgers else ())]
    engine = open_writer(opened.home.database)
    try:
        with engine.begin() as connection:
            wipe(connection, metadata, tables)
            metadata.create_all(connection, tables)
            books.add_links(connection, made.links)
            if made.last is not None:
                write_balances(connection, made.last)
            for closed in made.closes:
                books.add_closed_epoch(connection, closed)
            if with_ledgers:
                ledgers.write(connection)
    finally:
        engine.dispose()
    made.written = True


def _broken(message: str) -> Unverified:
    return Unverified(
        REASON_HISTORY_INCONSISTENT,
        message,
        remedy="Nothing was written. Restore the newest backup of the home folder, or ask the auditors.",
    )
