"""The ledgers replayed: operations decided again where they stand, closes made again, roots compared.

Transfers are not in the log: they follow from operations, so one that the rules refuse shows by itself.
Whoever begins after an erasure cannot tell the books before it apart any more, and holds the closes' totals
alone; whoever had followed until then goes on.
"""

from __future__ import annotations

from typing import Any

from accounting.ledger import sources
from accounting.ledger.chart import CLAIMS
from auditor.findings import Result
from auditor.statements import StatementFiles
from engine.closing import ClosedBooks
from engine.eligibility import CelConditions
from engine.folding import BooksSum
from engine.log_facts import LogFacts
from engine.released import Released
from engine.replayed_books import ReplayedBooks
from privacy.asked import is_emptied, ticket_of
from privacy.journal import JournalRows
from protos.epochs import Epoch, format_epoch
from protos.problems import Problem
from protos.v1 import books_pb2, ledger_pb2

FOLDER = "ledgers"


class LedgerReplay:
    """What a replay knows of the ledgers; it can be kept and gone on with."""

    def __init__(self) -> None:
        self._books: ReplayedBooks | None = None
        self._files: StatementFiles | None = None
        self._whole = True
        self._erased = False
        # What closes since the first with ledgers have given to claims, all persons added.
        self._claims_total = 0

    def __getstate__(self) -> dict[str, Any]:
        return {name: None if name == "_files" else one for name, one in vars(self).items()}

    def bind(self, files: StatementFiles, facts: LogFacts) -> None:
        """Begin, or go on, over the files of an audit and the state of its log."""
        folder, self._files = files.folder / FOLDER, files
        if self._books is None:
            self._books = ReplayedBooks(files.engine, folder, facts, CelConditions())
        else:
            self._books.bind(files.engine, folder, facts, CelConditions())

    def balances(self) -> dict[str, dict[str, int]] | None:
        """Give the balances of what is nobody's wallet, by ledger and path; None if replayed in parts."""
        if not self._whole or self._books is None:
            return None
        found: dict[str, dict[str, int]] = {}
        for account, balance in sorted(self._books.balances.items(), key=lambda one: one[0].path):
            found.setdefault(account.ledger, {})[account.path] = balance.of(account)
        return found

    def leave_parts(self, *, erased: bool) -> None:
        """Go on with totals alone: bodies are missing, or somebody was erased."""
        self._whole = False
        self._erased |= erased

    def decide(self, index: int, rows: JournalRows, result: Result) -> None:
        """Decide a segment's operations again."""
        if not self._whole:
            if self._erased:
                result.unchecked.append(
                    f"entry {index}: its {len(rows.operations)} operations cannot be decided again, since "
                    "persons were erased"
                )
            return
        books = self._bound()
        operations = [ledger_pb2.Operation.FromString(one) for one in rows.operations]
        if any(is_emptied(ticket_of(one)) for one in operations):
            self.leave_parts(erased=True)
            self.decide(index, rows, result)
            return
        books.prefetch(operations)
        for number, operation in enumerate(operations, start=rows.first):
            result.examined += 1
            try:
                books.take(operation)
            except Problem as problem:
                result.find_problem(f"entry {index}, operation {number}", problem)

    def close(
        self,
        index: int,
        close: books_pb2.EpochClose,
        stated: Released,
        result: Result,
    ) -> bool:
        """Close again and compare; True where the accounts of the close were found right as well."""
        if not close.ledgers:
            return False
        place = f"entry {index}"
        if not self._whole:
            self._compare_total(close, place, result)
            return False
        books, files = self._bound(), self._files
        assert files is not None
        total = BooksSum()
        for account in files.fold(stated):
            total.add(account)
        try:
            closed = books.close(Epoch(close.epoch), stated)
        except Problem as problem:
            result.find_problem(place, problem)
            self.leave_parts(erased=False)
            return False
        self._compare_total(close, place, result)
        _compare(close, closed, place, result)
        said = (close.accounts, close.accounts_in_two_or_more, close.accounts_root, close.total_mg)
        return (total.accounts, total.in_two_or_more, total.root(), total.total_mg) == said

    def _compare_total(self, close: books_pb2.EpochClose, place: str, result: Result) -> None:
        """What closes have given to claims adds up to the accounts' total, also after an erasure."""
        result.examined += 1
        for one in close.ledgers:
            if one.ledger == CLAIMS:
                self._claims_total += int(one.credited) - int(one.clawed_back)
        if self._claims_total != close.total_mg:
            result.find(
                place, f"Its claims add up to {self._claims_total} mg, its accounts to {close.total_mg} mg."
            )
        if self._erased:
            result.remarks.append(
                f"{place}: persons were erased; the totals of {format_epoch(Epoch(close.epoch))} hold, its "
                "ledgers can no longer be told apart"
            )

    def _bound(self) -> ReplayedBooks:
        assert self._books is not None
        return self._books


def _compare(close: books_pb2.EpochClose, closed: ClosedBooks, place: str, result: Result) -> None:
    """Hold each ledger and all other accounts against what the close says."""
    made = {one.ledger: one for one in closed.messages()}
    said = {one.ledger: one for one in close.ledgers}
    for ledger in sorted(made.keys() | said.keys()):
        result.examined += 1
        there, here = said.get(ledger), made.get(ledger)
        if there is None or here is None:
            result.find(place, f"Ledger {ledger} is {'not in the close' if there is None else 'no ledger'}.")
            continue
        for field in there.DESCRIPTOR.fields:
            logged, replayed = getattr(there, field.name), getattr(here, field.name)
            if logged != replayed:
                result.find(
                    place,
                    f"The close says {field.name} of {ledger} is {_shown(logged)}; replayed it is "
                    f"{_shown(replayed)}.",
                )
    said_of, made_of = sources.from_messages(close.sources), closed.drawn
    for source in sorted(said_of.keys() | made_of.keys()):
        result.examined += 1
        logged, replayed = said_of.get(source, 0), made_of.get(source, 0)
        if logged != replayed:
            result.find(
                place,
                f"The close draws {logged} mg from {source.account.path}; replayed it is {replayed} mg.",
            )
    if close.system_accounts_root != closed.system_root:
        result.find(place, "The root over all other ledger accounts is not the one replayed.")


def _shown(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
