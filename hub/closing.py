"""The close of the ledgers in the hub: credits beside the running business, wallets in the writer's turn.

Files of a close lie in a folder named by its entry's leaf hash, so that those of another attempt or another
history are never taken; what is missing is made again from the log.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine

from engine.closing import (
    ClosedBooks,
    CreditedBooks,
    Operated,
    credit_books,
    step_books,
    terms_of,
)
from engine.engine import Engine as QueryEngine
from engine.ledgers import (
    Found,
    LedgerCredits,
    LedgerFiles,
    credits_file,
    find_wallets,
    restore_credits,
    step_wallets,
    walk_credits,
    wallets_file,
)
from engine.log_facts import LogFacts
from engine.released import Released
from hub.ledger import Ledger
from hub.state import State
from hub.store import entries
from hub.store.operations import all_received
from hub.store.reservations import put_balances, walk_balances
from hub.store.wallets import (
    StoredWallet,
    all_credits,
    load_credits,
    put_wallets,
    wallets_applied,
)
from hub.stored_books import wallet_of
from privacy import envelope
from privacy.envelope import Kind
from protos.epochs import Epoch
from protos.problems import InvariantBroken
from protos.v1 import books_pb2
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

logger = logging.getLogger(__name__)

LEDGER_FOLDER = "ledgers"
_ATTEMPT = "attempt"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A close whose credits are written; its wallets wait for the last operation before it."""

    epoch: Epoch
    folder: Path
    credited: CreditedBooks


class LedgerCloser:
    """Closes the ledgers, and knows the files that the next close stands on."""

    def __init__(self, state: State, ledger: Ledger, readers: Engine, folder: Path) -> None:
        self._state = state
        self._ledger = ledger
        self._readers = readers
        self._folder = folder

    def credit(self, engine: QueryEngine, epoch: Epoch, released: Released) -> Attempt:
        """Write what a close credits; its accounts must be what was folded last in the engine."""
        folder = self._folder / _ATTEMPT
        with self._readers.begin() as connection:
            before = self._files(connection)
            if any(
                not path.exists() for one in before.values() for path in (one.wallets, *one.credits) if path
            ):
                self._restore(connection, engine)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, mode=0o700)
            facts = self._ledger.facts(connection)
            credited = credit_books(engine, folder, facts, epoch, released, before)
        return Attempt(epoch, folder, credited)

    def _restore(self, connection: Connection, engine: QueryEngine) -> None:
        """Make the files of past closes again from what they credited and from the wallets as they are.

        A wallet's row is as operations left it after the close it was stepped to; laid over that close it
        goes on with the later ones. What it was before does not matter to the next close.
        """
        logger.warning("files of past closes are missing and are made again")
        facts, files, last = self._ledger.facts(connection), dict[str, LedgerFiles](), Epoch(0)
        received = all_received(connection)
        for folder, message in self._closes(connection):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, mode=0o700)
            epoch = Epoch(message.epoch)
            touched = {one: wallet_of(one) for one in wallets_applied(connection, last)}
            for ledger in [one.ledger for one in message.ledgers]:
                terms = terms_of(facts, ledger, epoch)
                if terms is None:
                    raise InvariantBroken(REASON_INVARIANT_BROKEN, f"Ledger {ledger} closed before it began.")
                made = LedgerCredits(
                    ledger, terms, "", files.get(ledger, LedgerFiles()), merged=facts.merged(epoch)
                )
                credited = restore_credits(engine, folder, made, all_credits(connection, ledger, epoch))
                mine = {row.account: wallet for row, wallet in touched.items() if row.ledger == ledger}
                gifts = [one for one in received if one.ledger == ledger]
                files[ledger] = step_wallets(engine, folder, credited, mine, gifts).files
            last = epoch

    def _files(self, connection: Connection) -> dict[str, LedgerFiles]:
        """Give what the closes in the log have left of each ledger."""
        found: dict[str, LedgerFiles] = {}
        for folder, message in self._closes(connection):
            for one in message.ledgers:
                epoch = Epoch(message.epoch)
                before = found.get(one.ledger, LedgerFiles())
                found[one.ledger] = LedgerFiles(
                    wallets_file(folder, one.ledger, epoch),
                    (*before.credits, credits_file(folder, one.ledger, epoch)),
                )
        return found

    def step(self, connection: Connection, engine: QueryEngine, attempt: Attempt) -> ClosedBooks:
        """Step every wallet as the last operation has left it; in the writer's turn, before the close."""
        last = self._state.last_closed
        return step_books(engine, attempt.folder, attempt.credited, operated(connection, last or Epoch(0)))

    def seal(self, connection: Connection) -> None:
        """Seal the open segment: from here on memory is ahead of the database, and the close must follow."""
        self._ledger.seal(connection)

    def write(
        self, connection: Connection, engine: QueryEngine, attempt: Attempt, closed: ClosedBooks
    ) -> None:
        """Store what the close credited and moved; in the transaction of its entry."""
        write_closed(connection, engine, self._ledger.facts(connection), attempt, closed)
        self._ledger.forget()

    def keep(self, attempt: Attempt, leaf_hash: bytes) -> None:
        """Let the files of a close that is durable stand under its name."""
        target = self._folder / leaf_hash.hex()
        shutil.rmtree(target, ignore_errors=True)
        attempt.folder.rename(target)

    def _closes(self, connection: Connection) -> Iterator[tuple[Path, books_pb2.EpochClose]]:
        for entry in entries.find_entries(connection, Kind.EPOCH_CLOSE.value):
            message = envelope.open_envelope(entry.envelope).parse(books_pb2.EpochClose)
            yield self._folder / entry.leaf_hash.hex(), message


def operated(connection: Connection, last: Epoch) -> Operated:
    """Read what operations have left since the close of the epoch closed last; 0 before the first."""
    return Operated(
        {(one.ledger, one.account): wallet_of(one) for one in wallets_applied(connection, last)},
        all_received(connection),
        dict(walk_balances(connection)),
    )


def write_closed(
    connection: Connection, engine: QueryEngine, facts: LogFacts, attempt: Attempt, closed: ClosedBooks
) -> None:
    """Write what a close credited and moved into the tables."""
    credits = {one.ledger: walk_credits(engine, one.credits) for one in attempt.credited.ledgers}
    load_credits(connection, attempt.epoch, credits)
    put_balances(connection, closed.balances)
    put_wallets(connection, _merged(engine, facts, attempt.epoch, closed))


def _merged(engine: QueryEngine, facts: LogFacts, epoch: Epoch, closed: ClosedBooks) -> list[StoredWallet]:
    """Give the wallets of accounts that became one with this close, and empty ones where they were.

    Nobody need have touched an account before: its credits would still be found without an empty wallet.
    """
    epochs = [one for one in facts.closed_epochs() if one < epoch]
    before = facts.merged(epochs[-1]) if epochs else {}
    fresh = {one: to for one, to in facts.merged(epoch).items() if before.get(one) != to}
    found: list[StoredWallet] = []
    for ledger in closed.ledgers if fresh else ():
        targets = find_wallets(engine, ledger.files, fresh.values())
        found += [_row(ledger.ledger, account, one, epoch) for account, one in targets.items()]
        found += [StoredWallet(account, ledger.ledger, applied_epoch=epoch) for account in sorted(fresh)]
    return found


def _row(ledger: str, account: bytes, found: Found, epoch: Epoch) -> StoredWallet:
    return StoredWallet(
        account,
        ledger,
        **asdict(found.wallet),
        credited=found.lifetime,
        variance=found.variance,
        applied_epoch=epoch,
    )
