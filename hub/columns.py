"""Released statements as columnar files: derived from the log's bodies, made again if lost.

Each file is named by its entry's leaf hash, so a file left over from another history is never taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.engine import Engine
from hub.store.books import Link
from privacy.chunks import HALF_BYTES
from privacy.laplace import variance_upper
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

_STAGED = "staged"


@dataclass(frozen=True, slots=True)
class ReleasedRows:
    """One release with its bodies, and the pseudonym (16 bytes) of each row in slot order."""

    leaf_hash: bytes
    message: release_pb2.Release
    bodies: Sequence[bytes]
    pseudonyms: bytes


def statement_file(folder: Path, leaf_hash: bytes) -> Path:
    """Give where a release's rows lie or will lie."""
    return folder / f"{leaf_hash.hex()}.parquet"


def write_statements(engine: Engine, folder: Path, released: ReleasedRows) -> Path:
    """Write a release's rows into one file, whole or not at all."""
    path = statement_file(folder, released.leaf_hash)
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


def link_columns(links: Iterator[Link]) -> dict[str, NDArray[np.object_]]:
    """Give the links as columns."""
    pairs = [(link.pseudonym, link.account) for link in links]
    pseudonyms = np.empty(len(pairs), dtype=object)
    accounts = np.empty(len(pairs), dtype=object)
    for row, (pseudonym, account) in enumerate(pairs):
        pseudonyms[row], accounts[row] = pseudonym, account
    return {"pseudonym": pseudonyms, "account": accounts}


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
