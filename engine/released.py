"""Released statements and links as tables the account fold reads: one code at the hub and at an auditor.

A release's rows become one Parquet file, named by its entry's leaf hash, so that a file of another history is
never taken; it is derived from the log's bodies and made again if lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accounting.accounts import account_leaf, accounts_sql, variance_mg2
from engine.engine import Engine
from privacy.chunks import HALF_BYTES
from privacy.laplace import variance_upper
from privacy.links import LinkRows
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
_FOLDED = "folded"
_ACCOUNTS_AT_ONCE = 65_536
_ROWS_BYTES_AT_ONCE = 256 * ACCOUNT_LEAF_BYTES


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


def write_links(engine: Engine, folder: Path, leaf_hash: bytes, links: LinkRows) -> Path:
    """Write one link batch's rows into one file."""
    path = folder / f"{leaf_hash.hex()}.parquet"
    if not path.exists():
        columns = {"pseudonym": as_objects(links.pseudonyms), "account": as_objects(links.accounts)}
        engine.register(_STAGED, columns, LINK_COLUMNS)
        engine.write_parquet(f"SELECT pseudonym, account FROM {_STAGED}", path)  # noqa: S608
    return path


def fold_accounts(
    engine: Engine, statement_files: Sequence[Path], link_files: Sequence[Path]
) -> Iterator[FoldedAccount]:
    """Fold statements into accounts, ascending by account; the engine keeps what memory does not hold."""
    engine.view("statement", statement_files, STATEMENT_COLUMNS)
    engine.view("link", link_files, LINK_COLUMNS)
    folded = f"SELECT row_number() OVER (ORDER BY account) AS number, * FROM ({accounts_sql()}) AS folded"  # noqa: S608
    engine.execute(f"CREATE OR REPLACE TABLE {_FOLDED} AS {folded}")
    [[count]] = engine.rows(f"SELECT COUNT(*) FROM {_FOLDED}")  # noqa: S608
    for first in range(1, count + 1, _ACCOUNTS_AT_ONCE):
        batch = (
            f"SELECT account, balance_mg, variance, enterprises FROM {_FOLDED} "  # noqa: S608
            f"WHERE number >= {first} AND number < {first + _ACCOUNTS_AT_ONCE} ORDER BY number"
        )
        for account, balance_mg, variance, enterprises in engine.rows(batch):
            yield FoldedAccount(bytes(account), balance_mg, variance_mg2(variance), enterprises)


class BooksSum:
    """What an epoch's close says of its accounts, added up one account after the other."""

    def __init__(self) -> None:
        self.accounts = 0
        self.in_two_or_more = 0
        self.total_mg = 0
        self._tree = CompactTree()
        self._rows = bytearray()

    def add(self, account: FoldedAccount) -> None:
        """Add the next account, ascending."""
        self.accounts += 1
        self.in_two_or_more += account.enterprises >= 2
        self.total_mg += account.balance_mg
        self._rows += account_leaf(account.account, account.balance_mg, account.variance_mg2)
        if len(self._rows) >= _ROWS_BYTES_AT_ONCE:
            self._hash_rows()

    def root(self) -> bytes:
        """Give the RFC 6962 root over the accounts."""
        self._hash_rows()
        return self._tree.root()

    def _hash_rows(self) -> None:
        self._tree.extend_rows(self._rows, ACCOUNT_LEAF_BYTES)
        self._rows.clear()


def as_objects(halves: bytes) -> NDArray[np.object_]:
    """Cut 16-byte values lying end to end into an array of bytes."""
    cut = np.empty(len(halves) // HALF_BYTES, dtype=object)
    for row in range(len(cut)):
        cut[row] = halves[row * HALF_BYTES : (row + 1) * HALF_BYTES]
    return cut


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
