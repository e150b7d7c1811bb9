"""An account's wallets as a past close left them, from that close's files; the hub need not run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from engine.duckdb_engine import DuckDbEngine
from engine.ledgers import LedgerFiles, find_wallets, wallets_file
from hub.accounts import Resources
from hub.setup import Opened
from hub.store import entries
from hub.store.database import readers_of, told
from hub.store.entries import StoredEntry
from privacy import envelope
from privacy.envelope import Kind
from protos.epochs import Epoch, format_epoch
from protos.problems import Unavailable
from protos.v1 import books_pb2
from protos.v1.problem_pb2 import REASON_NOT_FOUND


def wallets_after(opened: Opened, account: bytes, epoch: Epoch) -> dict[str, Any]:
    """Give an account's wallets by ledger right after an epoch's close; raises Unavailable without one."""
    entry, close = _close_of(opened, epoch)
    folder = Resources.of(opened).ledgers / entry.leaf_hash.hex()
    found: dict[str, Any] = {}
    with DuckDbEngine(threads=1) as engine:
        for ledger in [one.ledger for one in close.ledgers]:
            path = wallets_file(folder, ledger, epoch)
            if not path.exists():
                raise Unavailable(
                    REASON_NOT_FOUND,
                    f"The files of the close of {format_epoch(epoch)} are missing.",
                    remedy="The next close makes them again; they follow from the log.",
                )
            for holder, one in find_wallets(engine, LedgerFiles(path), [account]).items():
                assert holder == account
                found[ledger] = asdict(one.wallet)
    return {"account": account.hex(), "after": format_epoch(epoch), "entry": entry.index, "wallets": found}


def _close_of(opened: Opened, epoch: Epoch) -> tuple[StoredEntry, books_pb2.EpochClose]:
    def read(connection: Connection) -> tuple[StoredEntry, books_pb2.EpochClose] | None:
        for entry in entries.find_entries(connection, Kind.EPOCH_CLOSE.value):
            close = envelope.open_envelope(entry.envelope).parse(books_pb2.EpochClose)
            if close.epoch == epoch:
                return entry, close
        return None

    with readers_of(opened.home.database) as readers, told(), readers.begin() as connection:
        found = read(connection)
    if found is None:
        raise Unavailable(REASON_NOT_FOUND, f"{format_epoch(epoch)} is not closed.")
    return found
