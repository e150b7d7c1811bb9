"""A close of accounts fed by three enterprises, into a store, beside the bare load of the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from accounting.ledger.chart import CLAIMS
from accounting.ledger.closing import System, claims_terms, close_system
from accounting.ledger.sources import Drawn, Source, drawn, messages
from benchmarks.books_floors import RUNS, bare_load, timed
from engine.duckdb_engine import DuckDbEngine
from engine.folding import CLAIMS_POSITION_SQL, BooksSum, fold_accounts, fold_sources
from engine.ledgers import (
    WALLET_COLUMNS,
    ClosedLedger,
    LedgerCredits,
    LedgerFiles,
    step_wallets,
    walk_credits,
    walk_wallets,
    write_credits,
)
from engine.released import Released as FoldFiles
from engine.released import ReleasedFiles
from hub.reconcile import CHECKS, Pass
from hub.store import books, bulk
from hub.store.books import Balances
from hub.store.bulk import Column
from hub.store.database import create_database, open_readers, open_writer
from hub.store.location import Location
from hub.store.reservations import put_balances
from hub.store.wallets import StoredWallet, load_credits, put_wallets
from protos.epochs import Epoch, next_epoch
from protos.v1 import books_pb2, ledger_pb2

ENTERPRISES = 3
FIRST_EPOCH = Epoch(202012)
EPOCHS = 2
MEMORY_MB = 2048
TOUCHED_EVERY = 10
ROWS_TOGETHER = 1 << 17
_STATEMENTS = """
SELECT 'enterprise-{number}' AS enterprise, CAST({epoch} AS INTEGER) AS epoch, 'rides' AS measure,
  range AS slot, unhex(md5(concat('p', range))) AS pseudonym,
  CAST(hash(range, {epoch}, {number}) % 4000 AS BIGINT) - 1500 AS grams, CAST(1960000 AS BIGINT) AS variance
FROM range({count})
"""
_LINKS = """
SELECT unhex(md5(concat('p', range))) AS pseudonym, unhex(md5(concat('a', range))) AS account
FROM range({count})
"""


@dataclass(frozen=True, slots=True)
class Close:
    """Seconds of one close's parts, and of loading rows that are ready without a key."""

    fold: float
    step: float
    load: float
    bare_load: float
    bare_statements: float
    # A whole reconciliation of what the closes left, and one scan over what they credited.
    reconcile: float
    scan: float

    @property
    def whole(self) -> float:
        """Give the seconds from released files to a store that serves the new books."""
        return self.fold + self.step + self.load


class Released:
    """Statements of a few epochs and the links of their pseudonyms, as files."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.epochs = [FIRST_EPOCH]
        while len(self.epochs) < EPOCHS:
            self.epochs.append(next_epoch(self.epochs[-1]))
        with DuckDbEngine(memory_limit_mb=MEMORY_MB) as engine:
            self.links = folder / "links.parquet"
            engine.write_parquet(_LINKS.format(count=count), self.links)
            self.files = [
                self._write(engine, number, epoch) for epoch in self.epochs for number in range(ENTERPRISES)
            ]

    def _write(self, engine: DuckDbEngine, number: int, epoch: Epoch) -> ReleasedFiles:
        path = self.folder / f"{number}-{epoch}.parquet"
        engine.write_parquet(_STATEMENTS.format(number=number, epoch=epoch, count=self.count), path)
        return ReleasedFiles(f"enterprise-{number}", epoch, path, None, None, variances={"rides": 1_960_000})

    def statements(self) -> list[Mapping[str, Column]]:
        """Give one epoch's statements as columns."""
        rows = np.arange(self.count * ENTERPRISES, dtype=np.int64)
        columns: dict[str, Column] = {"epoch": int(FIRST_EPOCH), "slot": rows, "grams": rows % 4000 - 1500}
        return list(bulk.cut(columns, ROWS_TOGETHER))


def close_all(location: Location, released: Released, folder: Path) -> Close:
    """Close every epoch into an empty store; tells of the last close, and its floors right after it."""
    create_database(location)
    writer = open_writer(location)
    try:
        return _closed(location, writer, released, folder)
    finally:
        writer.dispose()


def _closed(location: Location, writer: Engine, released: Released, folder: Path) -> Close:
    files, told, closes = LedgerFiles(), None, list[books_pb2.EpochClose]()
    system: System = {}
    for epoch in released.epochs:
        place = folder / f"{writer.dialect.name}-{epoch}"
        place.mkdir()
        with DuckDbEngine(memory_limit_mb=MEMORY_MB) as engine:
            (balances, given), fold = timed(partial(_fold, engine, released, epoch))
            closed, step = timed(partial(_step, engine, place, epoch, files))
            files = closed.files
            _, load = timed(partial(_load, writer, engine, epoch, balances, closed))
            told = fold, step, load
        moved = drawn(system, given)
        closes.append(_message(epoch, closed, moved))
        system = close_system(system, CLAIMS, closed.moves, moved)
    assert told is not None
    with DuckDbEngine(memory_limit_mb=MEMORY_MB) as engine:
        rows = [
            {**one, "epoch": int(epoch), "ledger": CLAIMS} for one in walk_credits(engine, files.credits[-1])
        ]
        _touch(writer, engine, files, system, epoch)
    _settle(writer)
    reconcile, scan = _reconcile(location, closes)
    bare = bare_load(writer, rows) + bare_load(writer, list(balances.columns()))
    return Close(*told, bare, bare_load(writer, released.statements()), reconcile, scan)


def _fold(engine: DuckDbEngine, released: Released, epoch: Epoch) -> tuple[Balances, dict[Source, int]]:
    """Fold statements into accounts and their root, and into sources, as the hub's closer does."""
    total, balances = BooksSum(), Balances(epoch)
    files = [one for one in released.files if one.epoch <= epoch]
    until = FoldFiles(files, [released.links])
    for one in fold_accounts(engine, until):
        total.add(one)
        balances.add(one.account, one.balance_mg, one.variance_mg2, one.enterprises)
    total.root()
    return balances, fold_sources(engine, until)


def _step(engine: DuckDbEngine, place: Path, epoch: Epoch, before: LedgerFiles) -> ClosedLedger:
    """Step every wallet of claims, with the root over all."""
    credits = LedgerCredits(CLAIMS, claims_terms(epoch), CLAIMS_POSITION_SQL, before)
    return step_wallets(engine, place, write_credits(engine, place, credits), {}, [])


def _load(
    writer: Engine, engine: DuckDbEngine, epoch: Epoch, balances: Balances, closed: ClosedLedger
) -> None:
    """Store the close as the hub does, in one durable transaction."""
    with writer.begin() as connection:
        books.replace_balances(connection, balances)
        load_credits(connection, epoch, {CLAIMS: walk_credits(engine, closed.files.credits[-1])})


def _message(epoch: Epoch, closed: ClosedLedger, moved: Drawn) -> books_pb2.EpochClose:
    """Say what a close moved, as its entry does."""
    return books_pb2.EpochClose(
        epoch=epoch,
        ledgers=[ledger_pb2.LedgerClose(ledger=CLAIMS, **closed.moves._asdict())],
        sources=messages(moved),
    )


def _touch(writer: Engine, engine: DuckDbEngine, files: LedgerFiles, system: System, epoch: Epoch) -> None:
    """Write every tenth wallet, as if its person had looked at it, and the balances behind all of them."""
    assert files.wallets is not None
    with writer.begin() as connection:
        put_balances(connection, system)
        for columns in walk_wallets(engine, files.wallets):
            rows = zip(*(columns[name].tolist()[::TOUCHED_EVERY] for name in WALLET_COLUMNS), strict=True)
            put_wallets(
                connection,
                [
                    StoredWallet(bytes(account), CLAIMS, *parts, parts[0] - parts[3], applied_epoch=epoch)
                    for account, *parts in rows
                ],
            )


def _settle(writer: Engine) -> None:
    """Do at once what a server does by itself some minutes after a close."""
    if writer.dialect.name == "postgresql":
        with writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("vacuum analyze credit, wallet")


def _reconcile(location: Location, closes: list[books_pb2.EpochClose]) -> tuple[float, float]:
    readers = open_readers(location)
    with readers.begin() as connection:
        read_once = Pass(connection, closes)
        found, seconds = timed(lambda: [name for name, check in CHECKS.items() if list(check(read_once))])
        scanned = "select count(*), sum(delta) from credit"
        scan = min(timed(lambda: connection.exec_driver_sql(scanned).all())[1] for _ in range(RUNS))
    readers.dispose()
    if found:
        raise SystemExit(f"the books do not reconcile: {', '.join(found)}")
    return seconds, scan
