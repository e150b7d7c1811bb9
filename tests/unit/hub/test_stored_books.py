"""Lazily applied wallets are those of the closes, whoever is touched when, by what, and merged into whom."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy import Engine as Store

from accounting.ledger.chart import CLAIMS
from accounting.ledger.wallets import Wallet
from accounting.programmes.programme import Programme
from accounting.programmes.versions import Span
from engine.closing import ClosedBooks, CreditedBooks, terms_of
from engine.duckdb_engine import DuckDbEngine
from engine.ledgers import LedgerCredits, LedgerFiles, step_wallets, walk_wallets, write_credits
from engine.log_facts import LogFacts
from hub.closing import Attempt, operated, write_closed
from hub.store.database import create_database, open_writer
from hub.store.location import SqliteFile
from hub.store.operations import received_rows
from hub.store.reservations import reservation_rows
from hub.store.rows import write
from hub.store.wallets import put_wallets
from hub.stored_books import Shared, Stepped, StoredBooks
from privacy.spent_tickets import SpentTickets
from protos.epochs import Epoch, next_epoch
from protos.problems import Problem
from protos.v1 import ledger_pb2
from tests.unit.engine.simulated_facts import SimulatedFacts
from tests.unit.engine.story_books import CONDITIONS, FIRST, PERSONS, rules_of
from tests.unit.engine.test_ledgers import position_sql

PERSON = st.integers(0, len(PERSONS) - 1)
MERGES = [{}, {PERSONS[3]: PERSONS[0]}, {PERSONS[3]: PERSONS[1], PERSONS[2]: PERSONS[1]}]
# Between two closes: who spends, collects, gives or gives back how much, in this order.
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "cancel", "confirm", "collect", "gift"]),
        PERSON,
        st.integers(1, 30),
    ),
    min_size=2,
    max_size=6,
)
EPOCHS = st.lists(
    st.tuples(st.dictionaries(st.sampled_from(PERSONS), st.integers(-40, 90), min_size=2), ACTS),
    min_size=3,
    max_size=5,
)


@dataclass
class LoggedFacts(SimulatedFacts):
    """Also says what a log says of closes and merges."""

    closes: list[Epoch] = field(default_factory=list)
    merged_from: Epoch = FIRST

    def closed_epochs(self) -> list[Epoch]:
        """List the closes so far."""
        return self.closes

    def programmes(self) -> list[str]:
        """Name the one programme."""
        return [self.rules.id]

    def begun(self, epoch: Epoch) -> dict[str, tuple[Span, ...]]:
        """Give the one programme."""
        return {self.rules.id: (Span(self.rules, self.rules.first, None),)}

    def merged(self, epoch: Epoch) -> dict[bytes, bytes]:
        """Give the merges in force."""
        return dict(self.merges) if epoch >= self.merged_from else {}


class Story:
    """A hub's ledgers of claims and points: closes by the set, wallets in the store as they are touched."""

    def __init__(
        self, connection: Connection, engine: DuckDbEngine, folder: Path, facts: LoggedFacts
    ) -> None:
        self.connection, self.engine, self.folder, self.made_up = connection, engine, folder, facts
        self.facts = cast("LogFacts", facts)
        self.ledgers = (CLAIMS, facts.rules.ledger)
        self.files: dict[str, LedgerFiles] = defaultdict(LedgerFiles)
        self.positions: dict[bytes, int] = defaultdict(int)
        self.keys: list[bytes] = []
        self.number = 0
        self.shared = self._read({})

    def _read(self, balances: Mapping[Any, Any]) -> Shared:
        return Shared(dict(balances), [], {}, Stepped(), SpentTickets(), self.number, 0)

    def close(self, moved: Mapping[bytes, int]) -> None:
        """Close the open epoch as the hub does, over positions that moved."""
        epoch = self.made_up.epoch
        into = self.made_up.merged(epoch)
        for person, amount in moved.items():
            self.positions[into.get(person, person)] += amount
        before = operated(self.connection, self.made_up.closes[-1] if self.made_up.closes else Epoch(0))
        credited, closed = [], []
        for ledger in self.ledgers:
            terms = terms_of(self.facts, ledger, epoch)
            assert terms is not None
            cap = 0 if ledger == CLAIMS else self.made_up.rules.caps.epoch_points
            text = position_sql(self.engine, self.positions)
            made = LedgerCredits(ledger, terms, text, self.files[ledger], cap, into)
            credited.append(write_credits(self.engine, self.folder, made))
            touched = {account: one for (of, account), one in before.changed.items() if of == ledger}
            gifts = [one for one in before.received if one.ledger == ledger]
            closed.append(step_wallets(self.engine, self.folder, credited[-1], touched, gifts))
            self.files[ledger] = closed[-1].files
        self.made_up.closes.append(epoch)
        attempt = Attempt(epoch, self.folder, CreditedBooks(tuple(credited), {}))
        made_of = ClosedBooks(tuple(closed), {}, {})
        write_closed(self.connection, self.engine, self.facts, attempt, made_of)
        self.made_up.epoch = next_epoch(epoch)
        self.shared = self._read(self.shared.balances)

    def act(self, name: str, person: int, amount: int) -> None:
        """Do one thing, if the rules let it be done."""
        self.number += 1
        operation = ledger_pb2.Operation(key=self.number.to_bytes(16, "big"), at=self.number)
        accounts = [one for one in PERSONS if one not in self.made_up.merges]
        account, other = accounts[person % len(accounts)], accounts[(person + 1) % len(accounts)]
        match name:
            case "reserve":
                operation.reserve.CopyFrom(
                    ledger_pb2.Reserve(
                        programme="city",
                        programme_version=1,
                        reward="pool" if amount % 2 else "bus",
                        account=account,
                        quantity=1 + amount % 3,
                    )
                )
            case "collect":
                operation.collect.CopyFrom(ledger_pb2.Collect(programme="city", account=account))
            case "gift":
                operation.gift.CopyFrom(
                    ledger_pb2.Gift(programme="city", from_account=account, to_account=other, points=amount)
                )
            case _ if self.keys:
                getattr(operation, name).reserve_key = self.keys[amount % len(self.keys)]
            case _:
                return
        self._take(operation)

    def _take(self, operation: ledger_pb2.Operation) -> None:
        books = StoredBooks(self.connection, self.facts, CONDITIONS, self.shared)
        books.prefetch([operation])
        try:
            decision = books.apply(operation)
        except Problem:
            return
        put_wallets(self.connection, books.written())
        write(self.connection, reservation_rows([decision.reservation] if decision.reservation else []))
        write(self.connection, received_rows([(self.number, one) for one in decision.received]))
        self.shared = books.shared(self.number, operation.at)
        if operation.HasField("reserve"):
            self.keys.append(operation.key)

    def eager(self) -> dict[tuple[str, bytes], Wallet]:
        """Give everybody's wallets as the last close left them."""
        found = {}
        for ledger in self.ledgers:
            path = self.files[ledger].wallets
            assert path is not None
            for columns in walk_wallets(self.engine, path):
                for account, *parts in zip(*(one.tolist() for one in columns.values()), strict=True):
                    found[ledger, bytes(account)] = Wallet(*parts)
        return found

    def lazy(self) -> dict[tuple[str, bytes], Wallet]:
        """Give everybody's wallets as whoever touches them now would find them; nothing is written."""
        books = StoredBooks(self.connection, self.facts, CONDITIONS, self._read({}))
        return {(ledger, one): books.wallet(ledger, one) for one in PERSONS for ledger in self.ledgers}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    location = SqliteFile(tmp_path_factory.mktemp("store") / "hub.sqlite")
    create_database(location)
    writer = open_writer(location)
    yield writer
    writer.dispose()


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as opened:
        yield opened


def funded(rules: Programme, connection: Connection, engine: DuckDbEngine, folder: Path) -> Story:
    """Begin a story whose fund can pay."""
    story = Story(connection, engine, folder, LoggedFacts(rules, FIRST))
    deposit = ledger_pb2.Deposit(programme="city", fund="city", source="government", fen=10_000)
    story._take(ledger_pb2.Operation(key=bytes(16), deposit=deposit))
    return story


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(EPOCHS, st.integers(0, 1), st.sampled_from([0, 1, 2, 2]), st.sampled_from(MERGES), st.integers(0, 3))
def test_lazy_wallets_are_the_closes_own(
    store: Store,
    engine: DuckDbEngine,
    epochs: list[Any],
    window: int,
    expiry: int,
    merges: dict[bytes, bytes],
    merged_after: int,
) -> None:
    """Stepped when touched, through however many closes, each wallet is what every close's SQL left of it."""
    with store.connect() as connection, tempfile.TemporaryDirectory() as folder:
        story = funded(rules_of(window, expiry), connection, engine, Path(folder))
        for number, (moved, acts) in enumerate(epochs):
            if number == merged_after:
                story.made_up.merges, story.made_up.merged_from = merges, story.made_up.epoch
            story.close(moved)
            eager, lazy = story.eager(), story.lazy()
            assert {place: eager.get(place, Wallet()) for place in lazy} == lazy
            for act in acts:
                story.act(*act)
        connection.rollback()
