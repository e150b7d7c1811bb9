"""Released statements and links as tables the account fold reads: one code at the hub and at an auditor.

A release's rows become one Parquet file, named by its entry's leaf hash, so that a file of another history is
never taken; it is derived from the log's bodies and made again if lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accounting.accounts import account_leaf, accounts_sql, variance_mg2
from engine.engine import Engine
from privacy.chunks import HALF_BYTES
from privacy.laplace import variance_upper
from privacy.merkle import CompactTree
from privacy.releases import parse_statement_chunk
from protos.v1 import release_pb2

STATEMENT_COLUMNS = {
    "enterprise": "VARCHAR",
    "epoch": "INTEGER",
    "slot_row": "BIGINT",
    "pseudonym": "BLOB",
    "grams": "BIGINT",
    "variance": "BIGINT",
}
LINK_COLUMNS = {"pseudonym": "BLOB", "account": "BLOB"}

ACCOUNT_LEAF_BYTES = 40

_STAGED = "staged"


@dataclass(frozen=True, slots=True)
class ReleasedRows:
    """One release with its bodies, and the pseudonym (16 bytes) of each row in slot order."""

    leaf_hash: bytes
    message: release_pb2.Release
    bodies: Sequence[bytes]
    pseudonyms: bytes


@dataclass(frozen=True, slots=True)
class FoldedAccount:
    """One account after the fold; the variance is that of its noise, rounded up."""

    account: bytes
    balance_mg: int
    variance_mg2: int
    enterprises: int


def write_statements(engine: Engine, folder: Path, released: ReleasedRows) -> Path:
    """Write a release's rows into one file, whole or not at all."""
    path = folder / f"{released.leaf_hash.hex()}.parquet"
    if path.exists():
        return path
    message = released.message
    rows = message.active_slots
    grams, variances = _measured(message, released.bodies)
    statements = len(message.statements)
    columns = {
        "slot_row": np.tile(np.arange(rows, dtype=np.int64), statements),
        "pseudonym": np.tile(as_objects(released.pseudonyms), statements),
        "grams": grams,
        "variance": variances,
    }
    engine.register(_STAGED, columns, {name: STATEMENT_COLUMNS[name] for name in columns})
    issuer = message.header.issuer.replace("'", "''")
    engine.write_parquet(
        f"SELECT CAST('{issuer}' AS VARCHAR) AS enterprise, CAST({message.epoch} AS INTEGER) AS epoch, "  # noqa: S608
        f"slot_row, pseudonym, grams, variance FROM {_STAGED}",
        path,
    )
    return path


def fold_accounts(
    engine: Engine, statement_files: Sequence[Path], links: Iterable[tuple[bytes, bytes]]
) -> list[FoldedAccount]:
    """Fold statements into accounts, ascending by account; links are (pseudonym, account) pairs."""
    engine.view("statement", statement_files, STATEMENT_COLUMNS)
    engine.register("link", _link_columns(links), LINK_COLUMNS)
    return [
        FoldedAccount(bytes(account), balance_mg, variance_mg2(variance), enterprises)
        for account, balance_mg, variance, enterprises in engine.rows(accounts_sql())
    ]


def accounts_root(accounts: Iterable[FoldedAccount]) -> bytes:
    """Give the RFC 6962 root over accounts in ascending id."""
    tree = CompactTree()
    rows = b"".join(account_leaf(one.account, one.balance_mg, one.variance_mg2) for one in accounts)
    tree.extend_rows(rows, ACCOUNT_LEAF_BYTES)
    return tree.root()


def as_objects(halves: bytes) -> NDArray[np.object_]:
    """Cut 16-byte values lying end to end into an array of bytes."""
    cut = np.empty(len(halves) // HALF_BYTES, dtype=object)
    for row in range(len(cut)):
        cut[row] = halves[row * HALF_BYTES : (row + 1) * HALF_BYTES]
    return cut


def _link_columns(links: Iterable[tuple[bytes, bytes]]) -> dict[str, NDArray[np.object_]]:
    pairs: Iterator[tuple[bytes, bytes]] = iter(links)
    pseudonyms, accounts = [], []
    for pseudonym, account in pairs:
        pseudonyms.append(pseudonym)
        accounts.append(account)
    return {"pseudonym": _objects(pseudonyms), "account": _objects(accounts)}


def _objects(values: Sequence[bytes]) -> NDArray[np.object_]:
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        column[row] = value
    return column


def _measured(
    message: release_pb2.Release, bodies: Sequence[bytes]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give grams and variance of every row, statement after statement."""
    scales = {statement.measure_id: statement.claim.scale for statement in message.statements}
    grams: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    variances: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for body in bodies:
        chunk = parse_statement_chunk(body)
        grams.append(np.frombuffer(chunk.raw, dtype="<i8").astype(np.int64))
        variances.append(np.full(chunk.rows, variance_upper(scales[chunk.measure_id]), dtype=np.int64))
    return np.concatenate(grams), np.concatenate(variances)
