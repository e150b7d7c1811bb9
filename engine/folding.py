"""The account fold over released files: one code at the hub and at an auditor.

Months and anchors are combined, points never meet grams; what changes to accounts moved stands beside the
files, and the links that count say which rows do.
"""

# ruff: noqa: S608  (names in the SQL are this module's own)

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from engine.released import LINK_COLUMNS, STATEMENT_COLUMNS, Released, ReleasedFiles, as_objects
from privacy.erasures import erased_account
from privacy.merkle import CompactTree
from protos.epochs import Epoch

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
_STAGED = "staged"
_FOLDED_ACCOUNTS, _FOLDED_POINTS = "folded_accounts", "folded_points"
_ACCOUNTS_AT_ONCE = 65_536
_ROWS_BYTES_AT_ONCE = 256 * ACCOUNT_LEAF_BYTES


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


def lay_out_links(engine: Engine, released: Released) -> str:
    """Name the tables of links, and give those that count, each enterprise's `erased` account for its own."""
    engine.view("link", [*released.links, *_erased_links(engine, released.files)], LINK_COLUMNS)
    gone, moved = released.moved.gone, released.moved.links
    if gone is None or moved is None:
        return "link"
    engine.view("gone", [gone], {"pseudonym": "BLOB"})
    engine.view("moved_link", [moved], LINK_COLUMNS)
    return (
        "(SELECT l.pseudonym, l.account FROM link AS l "
        "WHERE NOT EXISTS (SELECT 1 FROM gone AS g WHERE g.pseudonym = l.pseudonym) "
        "UNION ALL SELECT m.pseudonym, m.account FROM moved_link AS m)"
    )


def lay_out_months(engine: Engine, released: Released, cover: str = "cover") -> str:
    """Name the tables of statements, and give those that count: months, and anchored years by `cover`."""
    engine.view("statement", released.months, STATEMENT_COLUMNS)
    if not released.anchors:
        return "statement"
    engine.view("anchor", released.anchors, STATEMENT_COLUMNS)
    register_anchors(engine, released.files)
    return f"({anchored_sql(cover=cover)})"


def fold_accounts(engine: Engine, released: Released) -> Iterator[FoldedAccount]:
    """Fold statements into accounts, ascending by account; the engine keeps what memory does not hold."""
    text = accounts_sql(lay_out_months(engine, released), lay_out_links(engine, released))
    names = ("account", "balance_mg", "variance", "enterprises")
    for account, balance_mg, variance, enterprises in _in_batches(engine, text, _FOLDED_ACCOUNTS, names):
        yield FoldedAccount(bytes(account), balance_mg, variance_mg2(variance), enterprises)


def fold_sources(engine: Engine, released: Released) -> dict[Source, int]:
    """Give what each source has given all accounts together, in mg."""
    text = sources_sql(lay_out_months(engine, released), lay_out_links(engine, released))
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


def fold_points(engine: Engine, released: Released) -> Iterator[FoldedPoints]:
    """Fold statements of points into accounts, ascending by account."""
    engine.view("points", released.points, STATEMENT_COLUMNS)
    text = points_sql(link=lay_out_links(engine, released))
    names = ("account", "points", "variance", "enterprises")
    for account, points, variance, enterprises in _in_batches(engine, text, _FOLDED_POINTS, names):
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
