"""Released statements and links as tables the account fold reads: one code at the hub and at an auditor.

A release's rows become Parquet files, named by its entry's leaf hash, so that a file of another history is
never taken; they are derived from the log's bodies and made again if lost. Months, anchors and points lie
apart: months and anchors are combined, points never meet grams. Rows of erased slots carry the `erased`
account of their enterprise in the pseudonym's place; a file written before an erasure has another name.
"""

# ruff: noqa: S608  (names in the SQL are this module's own; quotes of an issuer are doubled)

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accounting.accounts import (
    MG2_PER_GRAM2,
    account_leaf,
    accounts_sql,
    anchor_weight,
    anchored_sql,
    points_sql,
    sources_sql,
    variance_mg2,
)
from accounting.ledger.sources import Source
from engine.engine import Engine
from privacy import erasures
from privacy.chunks import HALF_BYTES, STATEMENT_ROWS_MAX, chunk_count
from privacy.erasures import ERASED, erased_account
from privacy.laplace import variance_upper
from privacy.links import LinkRows
from privacy.merkle import CompactTree
from privacy.releases import parse_statement_chunk
from privacy.series import MeasureKind
from protos.epochs import Epoch
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

ACCOUNT_LEAF_BYTES = 40
VARIANCE_GRAMS2_MAX = 9 * 10**12

_COVER_COLUMNS = {"enterprise": "VARCHAR", "measure": "VARCHAR", "anchor": "INTEGER", "epoch": "INTEGER"}
_WEIGHT_COLUMNS = {
    "enterprise": "VARCHAR",
    "measure": "VARCHAR",
    "anchor": "INTEGER",
    "months": "BIGINT",
    "share": "BIGINT",
    "whole": "BIGINT",
    "variance": "BIGINT",
}
_ARRAYS = {"VARCHAR": np.object_, "INTEGER": np.int32, "BIGINT": np.int64}
_MONTHS, _ANCHORS, _POINTS = "months", "anchors", "points"
_STAGED = "staged"
_FOLDED_ACCOUNTS, _FOLDED_POINTS = "folded_accounts", "folded_points"
_ACCOUNTS_AT_ONCE = 65_536
_ROWS_BYTES_AT_ONCE = 256 * ACCOUNT_LEAF_BYTES


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
class FoldedAccount:
    """One account after the fold; the variance is that of its noise, rounded up."""

    account: bytes
    balance_mg: int
    variance_mg2: int
    enterprises: int


@dataclass(frozen=True, slots=True)
class FoldedPoints:
    """One account's points of node-evaluated tariffs after the fold."""

    account: bytes
    points: int
    variance: int
    enterprises: int


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


def view_links(engine: Engine, released: Sequence[ReleasedFiles], link_files: Sequence[Path]) -> None:
    """Name `link`: the links of the files, and beside them each enterprise's `erased` account for its own."""
    engine.view("link", [*link_files, *_erased_links(engine, released)], LINK_COLUMNS)


def fold_accounts(
    engine: Engine, released: Sequence[ReleasedFiles], link_files: Sequence[Path]
) -> Iterator[FoldedAccount]:
    """Fold statements into accounts, ascending by account; the engine keeps what memory does not hold."""
    text = accounts_sql(_lay_out(engine, released, link_files))
    names = ("account", "balance_mg", "variance", "enterprises")
    for account, balance_mg, variance, enterprises in _in_batches(engine, text, _FOLDED_ACCOUNTS, names):
        yield FoldedAccount(bytes(account), balance_mg, variance_mg2(variance), enterprises)


def fold_sources(
    engine: Engine, released: Sequence[ReleasedFiles], link_files: Sequence[Path]
) -> dict[Source, int]:
    """Give what each source has given all accounts together, in mg."""
    text = sources_sql(_lay_out(engine, released, link_files))
    return {
        Source(enterprise, measure, Epoch(epoch)): position
        for enterprise, measure, epoch, position in engine.rows(text)
    }


def sum_statements(engine: Engine, released: Sequence[ReleasedFiles]) -> dict[tuple[str, int, str], int]:
    """Add up the grams of months by (enterprise, epoch, measure), those no account takes among them."""
    engine.view("statement", [one.months for one in released], STATEMENT_COLUMNS)
    rows = engine.rows(
        "SELECT enterprise, epoch, measure, CAST(SUM(grams) AS BIGINT) FROM statement "
        "GROUP BY enterprise, epoch, measure"
    )
    return {(enterprise, epoch, measure): grams for enterprise, epoch, measure, grams in rows}


def _lay_out(engine: Engine, released: Sequence[ReleasedFiles], link_files: Sequence[Path]) -> str:
    """Name the tables of a fold, and give the statements that count: months and anchored years."""
    engine.view("statement", [one.months for one in released], STATEMENT_COLUMNS)
    view_links(engine, released, link_files)
    anchors = [one.anchors for one in released if one.anchors is not None]
    if not anchors:
        return "statement"
    engine.view("anchor", anchors, STATEMENT_COLUMNS)
    register_anchors(engine, released)
    return f"({anchored_sql()})"


def fold_points(
    engine: Engine, released: Sequence[ReleasedFiles], link_files: Sequence[Path]
) -> Iterator[FoldedPoints]:
    """Fold statements of points into accounts, ascending by account."""
    engine.view("points", [one.points for one in released if one.points is not None], STATEMENT_COLUMNS)
    view_links(engine, released, link_files)
    names = ("account", "points", "variance", "enterprises")
    for account, points, variance, enterprises in _in_batches(engine, points_sql(), _FOLDED_POINTS, names):
        yield FoldedPoints(bytes(account), points, variance, enterprises)


def _erased_links(engine: Engine, released: Sequence[ReleasedFiles]) -> list[Path]:
    """Write the accounts that take what erased slots were released, beside the files concerned."""
    if not released:
        return []
    accounts = b"".join(map(erased_account, sorted({one.enterprise for one in released})))
    path = released[0].months.parent / f"erased-{hashlib.sha256(accounts).hexdigest()}.parquet"
    if not path.exists():
        cut = as_objects(accounts)
        engine.register(_STAGED, {"pseudonym": cut, "account": cut}, LINK_COLUMNS)
        engine.write_parquet(f"SELECT pseudonym, account FROM {_STAGED}", path)
    return [path]


def _erased_rows(names: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Find the erased rows; NumPy's own comparison would drop trailing zero bytes."""
    return np.fromiter((name == ERASED for name in names), dtype=np.bool_, count=len(names))


def _mark(pseudonyms: bytes) -> str:
    """Give what tells a file with erased rows from the one before them; nothing where none is erased."""
    return f"-{hashlib.sha256(pseudonyms).hexdigest()[:16]}" if erasures.holds(pseudonyms, ERASED) else ""


def _in_batches(engine: Engine, text: str, table: str, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a fold without holding them all."""
    engine.keep_numbered(table, text, "account")
    for columns in engine.walk(table, names, _ACCOUNTS_AT_ONCE):
        yield from zip(*(columns[name].tolist() for name in names), strict=True)


def register_anchors(engine: Engine, released: Sequence[ReleasedFiles]) -> None:
    """Lay out which epochs each anchor totals, and its weight beside the last n of them, for every n.

    A slot that is active at the anchor's epoch has a row in each covered epoch since it was given, so the
    months released to it are always the last n.
    """
    variances = {(one.enterprise, one.epoch): one.variances for one in released}
    covers: list[tuple[Any, ...]] = []
    weights: list[tuple[Any, ...]] = []
    for one in released:
        for measure, (variance, epochs) in one.anchored.items():
            place = (one.enterprise, measure, one.epoch)
            covers += [(*place, epoch) for epoch in epochs]
            for months in range(1, len(epochs) + 1):
                mine = [variances[one.enterprise, epoch][measure] for epoch in epochs[-months:]]
                weights.append((*place, months, *anchor_weight(mine, variance)))
    for name, schema, rows in (("cover", _COVER_COLUMNS, covers), ("weight", _WEIGHT_COLUMNS, weights)):
        columns: dict[str, NDArray[Any]] = {
            column: np.array([row[position] for row in rows], dtype=_ARRAYS[kind])
            for position, (column, kind) in enumerate(schema.items())
        }
        engine.register(name, columns, schema)


# Positions in claims, from the accounts folded last. Nobody spends by a variance as large as the bound.
CLAIMS_POSITION_SQL = (
    "SELECT account, balance_mg AS position, "
    f"CAST(LEAST(variance, {VARIANCE_GRAMS2_MAX}) * {MG2_PER_GRAM2} AS BIGINT) AS variance "
    f"FROM {_FOLDED_ACCOUNTS}"
)


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
