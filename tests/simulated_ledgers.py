"""The ledgers of a simulated federation: segments and closes as a hub logs them, or as a test has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accounting.ledger.chart import CLAIMS
from engine.duckdb_engine import DuckDbEngine
from engine.eligibility import CelConditions
from engine.folding import fold_accounts
from engine.log_facts import LogFacts
from engine.released import Released, ReleasedRows, write_links, write_statements
from engine.replayed_books import ReplayedBooks
from privacy import codec, envelope
from privacy.envelope import Kind
from privacy.journal import build_segment
from privacy.links import LinkRows
from privacy.standing import HUB_ID, LoggedProgramme, Role
from protos.epochs import Epoch
from protos.v1 import books_pb2, ledger_pb2, release_pb2
from tests.simulator import EPOCH, ISSUED_AT, Federation


def unchanged(message: Any) -> None:
    """Leave a message as it is."""


class SimulatedLedgers:
    """Decides operations and closes epochs over a federation's log, in a folder of its own."""

    def __init__(self, federation: Federation, engine: DuckDbEngine, folder: Path) -> None:
        self.federation = federation
        self._engine = engine
        self._folder = folder
        facts = LogFacts(federation.state, self._body_of)
        self.books = ReplayedBooks(engine, folder / "ledgers", facts, CelConditions())

    def operate(self, *operations: ledger_pb2.Operation) -> None:
        """Decide operations and log them in a segment."""
        for one in operations:
            one.at = ISSUED_AT
            self.books.take(one)
        self.journal([codec.encode(one) for one in operations])

    def journal(self, operations: Sequence[bytes], first: int | None = None) -> None:
        """Log a segment of operations, decided or not."""
        federation = self.federation
        at = federation.state.operations if first is None else first
        built = build_segment(federation.header(Role.HUB, HUB_ID), at, operations)
        data = federation.signed(Kind.JOURNAL_SEGMENT, built.message, HUB_ID)
        federation.append(data, built.bodies)

    def close(
        self, epoch: Epoch = EPOCH, change: Callable[[books_pb2.EpochClose], None] = unchanged
    ) -> books_pb2.EpochClose:
        """Close an epoch with its ledgers, after a change to what the hub signs."""
        federation = self.federation
        released = self._released(epoch)
        for _ in fold_accounts(self._engine, released):
            pass
        closed = self.books.close(epoch, released)
        message = federation.close_message(epoch)
        message.operations = federation.state.operations
        closed.put_into(message)
        change(message)
        federation.append(federation.signed(Kind.EPOCH_CLOSE, message, HUB_ID))
        return message

    def richest(self, ledger: str = CLAIMS) -> bytes:
        """Give the account that may spend most."""
        accounts = {account for account, _ in self.federation.linked.values()}
        return max(sorted(accounts), key=lambda one: self.books.wallet(ledger, one).available)

    def _released(self, epoch: Epoch) -> Released:
        federation, files = self.federation, []
        for data, bodies in federation.entries:
            opened = envelope.open_envelope(data)
            if opened.kind is not Kind.RELEASE:
                continue
            message = opened.parse(release_pb2.Release)
            issuer = message.header.issuer
            slots = federation.state.roster(issuer).active_slots(Epoch(message.epoch))
            names = b"".join(federation.rows[issuer][slot] for slot in slots)
            if message.epoch <= epoch:
                rows = ReleasedRows(opened.envelope_hash, message, tuple(bodies), names, slots)
                files.append(write_statements(self._engine, self._folder, rows))
        held = sorted((name, account) for name, (account, _) in federation.linked.items())
        links = LinkRows(b"".join(name for name, _ in held), b"".join(account for _, account in held))
        return Released(files, [write_links(self._engine, self._folder, bytes(32), links)])

    def _body_of(self, logged: LoggedProgramme) -> bytes:
        return self.federation.entries[logged.index].bodies[0]
