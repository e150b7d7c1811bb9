"""The close of a ledger: the same wallets, moves and root on either engine, whatever came between closes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from accounting.ledger.books import Received
from accounting.ledger.wallets import Terms, Wallet
from engine.engine import Engine
from engine.ledgers import ClosedLedger, LedgerCredits, LedgerFiles, find_wallets, step_wallets, write_credits
from engine.released import as_objects
from protos.epochs import Epoch

ACCOUNTS = 3_000
EPOCHS = (Epoch(202011), Epoch(202012), Epoch(202101))
LEDGER = "P:city"
POSITION_COLUMNS = {"account": "BLOB", "position": "BIGINT", "variance": "BIGINT"}


def accounts() -> np.ndarray:
    """Draw ids whose bytes take all values, so that a signed order would show."""
    return as_objects(np.random.default_rng(3).bytes(16 * ACCOUNTS))


def closes(engine: Engine, folder: Path) -> list[ClosedLedger]:
    """Close three epochs with gains and losses, a merge, gifts and wallets that operations touched."""
    names, random, files = accounts(), np.random.default_rng(4), LedgerFiles()
    position, found = np.zeros(ACCOUNTS, dtype=np.int64), []
    merged = {bytes(names[0]): bytes(names[1]), bytes(names[2]): bytes(names[1])}
    for number, epoch in enumerate(EPOCHS):
        position = position + random.integers(-60, 100, ACCOUNTS)
        columns = {"account": names, "position": position, "variance": np.full(ACCOUNTS, 9, np.int64)}
        engine.register("position", columns, POSITION_COLUMNS)
        terms = Terms(
            epoch, True, EPOCHS[0] if number == 2 else None, EPOCHS[0] if number else None, EPOCHS[0]
        )
        made = LedgerCredits(
            LEDGER, terms, "SELECT * FROM position", files, 70, merged if number == 2 else {}
        )
        touched = {bytes(one): Wallet(5, 7, 3) for one in names[:40]} if number else {}
        gifts = [Received(LEDGER, bytes(one), epoch, 11) for one in names[20:30]]
        closed = step_wallets(engine, folder, write_credits(engine, folder, made), touched, gifts)
        files = closed.files
        found.append(closed)
    return found


def test_closes_of_a_ledger_are_the_same_on_either_engine(
    spark: Engine, duckdb: Engine, tmp_path: Path
) -> None:
    (tmp_path / "spark").mkdir()
    (tmp_path / "duckdb").mkdir()
    mine, theirs = closes(spark, tmp_path / "spark"), closes(duckdb, tmp_path / "duckdb")
    assert [(one.wallets, one.root, one.moves) for one in mine] == [
        (one.wallets, one.root, one.moves) for one in theirs
    ]
    assert mine[-1].wallets == ACCOUNTS - 2
    some = [bytes(one) for one in accounts()[:50]]
    assert find_wallets(spark, mine[-1].files, some) == find_wallets(duckdb, theirs[-1].files, some)
