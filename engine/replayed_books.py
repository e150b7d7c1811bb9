"""The ledgers replayed from a log alone: operations decided again, closes made again, nothing believed.

Memory holds what operations touched since the last close and the accounts that are nobody's wallet; persons'
wallets lie in the files of the last close.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from accounting.ledger.decide import accounts_of, act_hash, reservation_of
from accounting.programmes.eligibility import Conditions
from engine.closing import ClosedBooks, Operated, credit_books, step_books
from engine.engine import Engine
from engine.kept_books import EMPTY, KeptBooks
from engine.ledgers import Found, LedgerFiles, find_wallets
from engine.log_facts import LogFacts
from engine.released import Released
from protos.epochs import Epoch
from protos.problems import Conflict, Unverified
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_HISTORY_INCONSISTENT, REASON_IDEMPOTENCY_CONFLICT

# What a process has of its own.
_NOT_KEPT = frozenset({"facts", "_conditions", "_engine", "_folder", "_log"})


class ReplayedBooks(KeptBooks):
    """Implements Books over the files of the last close; `folder` takes those of the next."""

    def __init__(self, engine: Engine, folder: Path, facts: LogFacts, conditions: Conditions) -> None:
        super().__init__(facts, conditions)
        self._bind(engine, folder, facts)
        self.files: dict[str, LedgerFiles] = {}
        self.operations = 0
        self._at = 0
        self._acts: dict[bytes, bytes] = {}
        self._read: set[bytes] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {name: one for name, one in vars(self).items() if name not in _NOT_KEPT}

    def bind(self, engine: Engine, folder: Path, facts: LogFacts, conditions: Conditions) -> None:
        """Go on, after having been kept, with another engine over the same folder and log."""
        self.facts = facts
        self._conditions = conditions
        self._bind(engine, folder, facts)

    def _bind(self, engine: Engine, folder: Path, facts: LogFacts) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._engine = engine
        self._folder = folder
        self._log = facts

    def find_wallet(self, ledger: str, account: bytes) -> Found:
        """Read an account's wallets from the last close's files."""
        if account in self._read:
            return EMPTY
        self._load([account])
        return self.wallets.get((ledger, account), EMPTY)

    def prefetch(self, operations: Iterable[ledger_pb2.Operation]) -> None:
        """Read at once what decisions on these operations will read."""
        accounts: set[bytes] = set()
        for one in operations:
            accounts.update(accounts_of(one))
            made = self.reservations.get(reservation_of(one) or b"")
            if made is not None:
                accounts.add(made.account)
        self._load(accounts)

    def take(self, operation: ledger_pb2.Operation) -> None:
        """Decide the next operation again; raises the Problem that would have refused it."""
        if operation.at < self._at:
            raise Unverified(REASON_HISTORY_INCONSISTENT, "The operation is older than the one before it.")
        if operation.key in self._acts:
            raise Conflict(REASON_IDEMPOTENCY_CONFLICT, "The operation's key was used before.")
        self.apply(operation)
        self._at = operation.at
        self._acts[operation.key] = act_hash(operation)
        self.operations += 1

    def close(self, epoch: Epoch, released: Released) -> ClosedBooks:
        """Close every ledger; its accounts must be what was folded last in the engine."""
        credited = credit_books(self._engine, self._folder, self._log, epoch, released, self.files)
        changed = {place: self.wallets[place].wallet for place in self.changed}
        operated = Operated(changed, self.received, self.balances)
        closed = step_books(self._engine, self._folder, credited, operated)
        self.files = closed.files
        self.balances = dict(closed.balances)
        self.wallets.clear()
        self.changed.clear()
        self._read.clear()
        return closed

    def _load(self, accounts: Iterable[bytes]) -> None:
        fresh = sorted(set(accounts) - self._read)
        if not fresh:
            return
        self._read.update(fresh)
        for ledger, files in self.files.items():
            for account, found in find_wallets(self._engine, files, fresh).items():
                self.wallets.setdefault((ledger, account), found)
