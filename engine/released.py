"""Released statements and links as tables the account fold reads: one code at the hub and at an auditor.

A release's rows become Parquet files, named by its entry's leaf hash, so that a file of another history is
never taken; they are derived from the log's bodies and made again if lost. Months, anchors and points lie
apart: months and anchors are combined, points never meet grams. Rows of erased slots carry the `erased`
account of their enterprise in the pseudonym's place; a file written before an erasure has another name.
"""

# ruff: noqa: S608  (names in the SQL are this module's own; quotes of an issuer are doubled)

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.engine import Engine
from privacy import erasures
from privacy.chunks import HALF_BYTES, STATEMENT_ROWS_MAX, chunk_count
from privacy.erasures import ERASED, erased_account
from privacy.laplace import variance_upper
from privacy.links import LinkRows
from privacy.releases import parse_statement_chunk
from privacy.series import MeasureKind
from protos.v1 import release_pb2

STATEMENT_COLUMNS = {
    "enterprise": "VARCHAR",
    "epoch": "INTEGER",
    "measure": "VARCHAR",
    "slot": "BIGINT",
    "pseudonym": "BLOB",
    "grams": "BIGINT",
    "variance": "BIGINT",
}
LINK_COLUMNS = {"pseudonym": "BLOB", "account": "BLOB"}

_MONTHS, _ANCHORS, _POINTS = "months", "anchors", "points"
_STAGED = "staged"


@dataclass(frozen=True, slots=True)
class ReleasedRows:
    """One release with its bodies; slot and pseudonym (16 bytes, zero if erased) of each row, in order."""

    leaf_hash: bytes
    message: release_pb2.Release
    bodies: Sequence[bytes]
    pseudonyms: bytes
    slots: Sequence[int]


@dataclass(frozen=True, slots=True)
class ReleasedFiles:
    """Where a release's rows lie, and what its statements say of their noise and of the epochs they total."""

    enterprise: str
    epoch: int
    months: Path
    anchors: Path | None
    points: Path | None
    # Variance of one row of a month's statement in grams, by measure.
    variances: Mapping[str, int] = field(default_factory=dict)
    # Variance of one row of an anchor and the epochs it totals, by measure.
    anchored: Mapping[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MovedFiles:
    """What changes to accounts have made of a fold's rows, beside its files and none of them changed.

    Statements of pseudonyms whose rows go elsewhere stand under names of their own, their links in `links`.
    Whoever is named in `gone` has no other link than there: its first rows are nobody's.
    """

    months: Path | None = None
    anchors: Path | None = None
    points: Path | None = None
    gone: Path | None = None
    links: Path | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """What a fold stands on: releases up to an epoch and links, as files, and what was moved among them."""

    files: Sequence[ReleasedFiles]
    links: Sequence[Path]
    moved: MovedFiles = MovedFiles()

    @property
    def months(self) -> list[Path]:
        """Give the files of monthly statements."""
        return _present([*(one.months for one in self.files), self.moved.months])

    @property
    def anchors(self) -> list[Path]:
        """Give the files of anchors."""
        return _present([*(one.anchors for one in self.files), self.moved.anchors])

    @property
    def points(self) -> list[Path]:
        """Give the files of points."""
        return _present([*(one.points for one in self.files), self.moved.points])


def write_statements(engine: Engine, folder: Path, released: ReleasedRows) -> ReleasedFiles:
    """Write a release's rows into files, each whole or not at all."""
    message = released.message
    split = _split(message, released.bodies)
    paths = {
        part: _write_part(engine, folder, part, released, chosen)
        for part, chosen in split.items()
        if chosen or part == _MONTHS
    }
    return ReleasedFiles(
        enterprise=message.header.issuer,
        epoch=message.epoch,
        months=paths[_MONTHS],
        anchors=paths.get(_ANCHORS),
        points=paths.get(_POINTS),
        variances={one.measure_id: variance_upper(one.claim.scale) for one, _ in split[_MONTHS]},
        anchored={
            one.measure_id: (variance_upper(one.claim.scale), tuple(one.epochs)) for one, _ in split[_ANCHORS]
        },
    )


def write_links(engine: Engine, folder: Path, leaf_hash: bytes, links: LinkRows) -> Path:
    """Write one link batch's rows into one file, without those erased."""
    path = folder / f"{leaf_hash.hex()}{_mark(links.pseudonyms)}.parquet"
    if not path.exists():
        pseudonyms, accounts = as_objects(links.pseudonyms), as_objects(links.accounts)
        kept = ~_erased_rows(pseudonyms)
        engine.register(_STAGED, {"pseudonym": pseudonyms[kept], "account": accounts[kept]}, LINK_COLUMNS)
        engine.write_parquet(f"SELECT pseudonym, account FROM {_STAGED}", path)
    return path


def _erased_rows(names: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Find the erased rows; NumPy's own comparison would drop trailing zero bytes."""
    return np.fromiter((name == ERASED for name in names), dtype=np.bool_, count=len(names))


def _mark(pseudonyms: bytes) -> str:
    """Give what tells a file with erased rows from the one before them; nothing where none is erased."""
    return f"-{hashlib.sha256(pseudonyms).hexdigest()[:16]}" if erasures.holds(pseudonyms, ERASED) else ""


def as_objects(halves: bytes) -> NDArray[np.object_]:
    """Cut 16-byte values lying end to end into an array of bytes."""
    cut = np.empty(len(halves) // HALF_BYTES, dtype=object)
    for row in range(len(cut)):
        cut[row] = halves[row * HALF_BYTES : (row + 1) * HALF_BYTES]
    return cut


def _present(paths: Sequence[Path | None]) -> list[Path]:
    return [one for one in paths if one is not None]


def _split(
    message: release_pb2.Release, bodies: Sequence[bytes]
) -> dict[str, list[tuple[release_pb2.Statement, Sequence[bytes]]]]:
    """Put each statement with its bodies where its rows belong."""
    split: dict[str, list[tuple[release_pb2.Statement, Sequence[bytes]]]] = {
        part: [] for part in (_MONTHS, _ANCHORS, _POINTS)
    }
    position = 0
    for statement in message.statements:
        end = position + chunk_count(statement.rows, STATEMENT_ROWS_MAX)
        is_points = int(statement.kind) == MeasureKind.POINTS
        part = _POINTS if is_points else _ANCHORS if statement.epochs else _MONTHS
        split[part].append((statement, bodies[position:end]))
        position = end
    return split


def _write_part(
    engine: Engine,
    folder: Path,
    part: str,
    released: ReleasedRows,
    chosen: Sequence[tuple[release_pb2.Statement, Sequence[bytes]]],
) -> Path:
    path = folder / f"{released.leaf_hash.hex()}-{part}{_mark(released.pseudonyms)}.parquet"
    if path.exists():
        return path
    names = as_objects(released.pseudonyms)
    names[_erased_rows(names)] = erased_account(released.message.header.issuer)
    message, statements = released.message, [statement for statement, _ in chosen]
    rows = message.active_slots
    grams = [_values(body) for _, bodies in chosen for body in bodies]
    columns = {
        "measure": np.repeat(np.array([one.measure_id for one in statements], dtype=object), rows),
        "slot": np.tile(np.asarray(released.slots, dtype=np.int64), len(statements)),
        "pseudonym": np.tile(names, len(statements)),
        "grams": np.concatenate([np.empty(0, dtype=np.int64), *grams]),
        "variance": np.repeat(
            np.array([variance_upper(one.claim.scale) for one in statements], dtype=np.int64), rows
        ),
    }
    engine.register(_STAGED, columns, {name: STATEMENT_COLUMNS[name] for name in columns})
    issuer = message.header.issuer.replace("'", "''")
    engine.write_parquet(
        f"SELECT CAST('{issuer}' AS VARCHAR) AS enterprise, CAST({message.epoch} AS INTEGER) AS epoch, "
        f"measure, slot, pseudonym, grams, variance FROM {_STAGED}",
        path,
    )
    return path


def _values(body: bytes) -> NDArray[np.int64]:
    return np.frombuffer(parse_statement_chunk(body).raw, dtype="<i8").astype(np.int64)
