"""The close of all persons' wallets at once: the same SQL at the hub, at an auditor and in a rebuild.

What a close leaves is files: of each ledger the wallets after it, in account order with a number each, and
what it credited. They follow from the log and are made again if lost.
"""

# ruff: noqa: S608  (every name in the SQL is this module's own)

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accounting.ledger.books import Received
from accounting.ledger.closing import WALLET_LEAF_BYTES
from accounting.ledger.wallets import (
    Moves,
    Terms,
    Wallet,
    credit_sql,
    merged_sql,
    recent_sql,
    step_sql,
)
from engine.engine import Columns, Engine
from privacy.merkle import CompactTree
from protos.epochs import Epoch

ROWS_AT_ONCE = 1 << 18

WALLET_COLUMNS = {
    "account": "BLOB",
    "available": "BIGINT",
    "claimable": "BIGINT",
    "pending": "BIGINT",
    "deficit": "BIGINT",
    "deficit_since": "BIGINT",
}
CREDIT_COLUMNS = {
    "account": "BLOB",
    "epoch": "INTEGER",
    "delta": "BIGINT",
    "capped": "BIGINT",
    "variance": "BIGINT",
}
_RECEIVED_COLUMNS = {"account": "BLOB", "epoch": "INTEGER", "points": "BIGINT"}
_MERGED_COLUMNS = {"account": "BLOB", "target": "BLOB"}
_ACCOUNT_COLUMNS = {"account": "BLOB"}
_ARRAYS = {"BLOB": np.object_, "INTEGER": np.int32, "BIGINT": np.int64}
_FIELDS = ("available", "claimable", "pending", "deficit")


class LedgerFiles(NamedTuple):
    """What the closes so far have left of one ledger: the wallets, and each close's credits."""

    wallets: Path | None = None
    credits: tuple[Path, ...] = ()


NO_FILES = LedgerFiles()


@dataclass(frozen=True, slots=True)
class LedgerCredits:
    """What a close credits in one ledger; nothing that operations do changes it.

    `position_sql` gives (account, position, variance); `merged` are accounts that became part of another.
    """

    ledger: str
    terms: Terms
    position_sql: str
    before: LedgerFiles = NO_FILES
    epoch_points_max: int = 0
    merged: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreditedLedger:
    """A ledger whose credits are written; its wallets are still to be stepped."""

    ledger: str
    terms: Terms
    before: LedgerFiles
    credits: Path
    merged: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class ClosedLedger:
    """One ledger after a close: `wallets` rows give `root`; the files are the next close's `before`.

    `persons` is what all wallets have, their parts added, deficits taken off.
    """

    ledger: str
    wallets: int
    root: bytes
    moves: Moves
    persons: int
    files: LedgerFiles


class Found(NamedTuple):
    """One person's part of a ledger, the variance of the noise in it, and what closes credited in all."""

    wallet: Wallet
    variance: int = 0
    lifetime: int = 0


def credits_file(folder: Path, ledger: str, epoch: Epoch) -> Path:
    """Say where a close's credits of a ledger lie."""
    return folder / f"{ledger.replace(':', '-')}-{epoch}-credits.parquet"


def wallets_file(folder: Path, ledger: str, epoch: Epoch) -> Path:
    """Say where a ledger's wallets after a close lie."""
    return folder / f"{ledger.replace(':', '-')}-{epoch}-wallets.parquet"


def write_credits(engine: Engine, folder: Path, made: LedgerCredits) -> CreditedLedger:
    """Write what a close credits; the folder must not hold this ledger's close of the epoch yet."""
    path = credits_file(folder, made.ledger, made.terms.epoch)
    _register(engine, "merged", _MERGED_COLUMNS, sorted(made.merged.items()))
    engine.view("earlier_credits", made.before.credits, CREDIT_COLUMNS)
    given = "(SELECT account, epoch, delta + capped AS given FROM earlier_credits)"
    before = (
        "(SELECT account, CAST(SUM(given) AS BIGINT) AS position "
        f"FROM {_merged(given, 'given', made.merged)} AS g GROUP BY account)"
    )
    text = credit_sql(_positions(made), before, epoch_points=made.epoch_points_max)
    engine.write_numbered(
        f"SELECT account, CAST({made.terms.epoch} AS INTEGER) AS epoch, delta, capped, variance "
        f"FROM ({text}) AS c",
        path,
        "account",
    )
    return CreditedLedger(made.ledger, made.terms, made.before, path, made.merged)


def restore_credits(
    engine: Engine, folder: Path, made: LedgerCredits, rows: Sequence[tuple[bytes, int, int, int]]
) -> CreditedLedger:
    """Write the credits of a close that is past: (account, delta, capped, variance), ascending by account."""
    path, epoch = credits_file(folder, made.ledger, made.terms.epoch), made.terms.epoch
    numbered = [(account, epoch, delta, capped, variance) for account, delta, capped, variance in rows]
    _register(engine, "restored", CREDIT_COLUMNS, numbered)
    engine.write_numbered("SELECT account, epoch, delta, capped, variance FROM restored", path, "account")
    return CreditedLedger(made.ledger, made.terms, made.before, path, made.merged)


def step_wallets(
    engine: Engine,
    folder: Path,
    credited: CreditedLedger,
    touched: Mapping[bytes, Wallet],
    received: Sequence[Received],
) -> ClosedLedger:
    """Step every wallet of a ledger, those first put right that operations changed since the close before."""
    path = wallets_file(folder, credited.ledger, credited.terms.epoch)
    merged, all_credits = credited.merged, (*credited.before.credits, credited.credits)
    _register(engine, "merged", _MERGED_COLUMNS, sorted(merged.items()))
    _register(engine, "received", _RECEIVED_COLUMNS, [one[1:] for one in received])
    _register_touched(engine, touched)
    engine.view("left_over", [credited.before.wallets] if credited.before.wallets else [], WALLET_COLUMNS)
    engine.view("all_credits", all_credits, CREDIT_COLUMNS)
    engine.view("this_credit", [credited.credits], CREDIT_COLUMNS)
    recent = recent_sql(
        _merged("all_credits", "delta", merged), _merged("received", "points", merged), credited.terms
    )
    text = step_sql(_laid_out(merged), "this_credit", recent, credited.terms)
    engine.write_numbered(text, path, "account")
    engine.view("stepped", [path], {})
    files = LedgerFiles(path, all_credits)
    return ClosedLedger(credited.ledger, *_root(engine), *_moves(engine), files)


def find_wallets(engine: Engine, files: LedgerFiles, accounts: Iterable[bytes]) -> dict[bytes, Found]:
    """Find the wallets of a few accounts as the last close left them; whoever has none is not in it."""
    _register(engine, "wanted", _ACCOUNT_COLUMNS, [(one,) for one in sorted(set(accounts))])
    engine.view("held", [files.wallets] if files.wallets else [], WALLET_COLUMNS)
    engine.view("credited", files.credits, CREDIT_COLUMNS)
    history = (
        "SELECT c.account, CAST(SUM(delta) AS BIGINT) AS lifetime, "
        "CAST(MAX(epoch) AS INTEGER) AS epoch FROM credited AS c "
        "JOIN wanted AS w ON w.account = c.account GROUP BY c.account"
    )
    text = (
        "SELECT h.account, available, claimable, pending, deficit, deficit_since, "
        "coalesce(l.variance, 0) AS variance, coalesce(y.lifetime, 0) AS lifetime "
        "FROM held AS h JOIN wanted AS w ON w.account = h.account "
        f"LEFT JOIN ({history}) AS y ON y.account = h.account "
        "LEFT JOIN credited AS l ON l.account = h.account AND l.epoch = y.epoch"
    )
    return {bytes(row[0]): Found(Wallet(*row[1:6]), row[6], row[7]) for row in engine.rows(text)}


def walk_credits(engine: Engine, path: Path) -> Iterator[Columns]:
    """Give a close's credits, as columns, ascending by account, without holding them all."""
    yield from _in_batches(engine, path, ("account", "epoch", "delta", "capped", "variance"))


def walk_wallets(engine: Engine, path: Path) -> Iterator[Columns]:
    """Give the wallets after a close, as columns, ascending by account, without holding them all."""
    yield from _in_batches(engine, path, tuple(WALLET_COLUMNS))


def _positions(made: LedgerCredits) -> str:
    if not made.merged:
        return f"({made.position_sql})"
    return (
        "(SELECT coalesce(m.target, p.account) AS account, CAST(SUM(p.position) AS BIGINT) AS position, "
        f"CAST(SUM(p.variance) AS BIGINT) AS variance FROM ({made.position_sql}) AS p "
        "LEFT JOIN merged AS m ON m.account = p.account GROUP BY coalesce(m.target, p.account))"
    )


def _register_touched(engine: Engine, touched: Mapping[bytes, Wallet]) -> None:
    rows = [
        (account, one.available, one.claimable, one.pending, one.deficit, one.deficit_since)
        for account, one in sorted(touched.items())
    ]
    _register(engine, "touched", WALLET_COLUMNS, rows)


def _laid_out(merged: Mapping[bytes, bytes]) -> str:
    """Put what operations have changed over what the last close left, merged accounts as one."""
    columns = ", ".join(WALLET_COLUMNS)
    text = (
        f"(SELECT {columns} FROM touched UNION ALL SELECT {columns} FROM left_over AS l "
        "WHERE NOT EXISTS (SELECT 1 FROM touched AS t WHERE t.account = l.account))"
    )
    return f"({merged_sql(text, 'merged')})" if merged else text


def _merged(relation: str, amount: str, merged: Mapping[bytes, bytes]) -> str:
    """Give (account, epoch, amount, ...) of a relation under the accounts they are part of now."""
    if not merged:
        return relation
    return (
        f"(SELECT coalesce(m.target, r.account) AS account, r.epoch, r.{amount} FROM {relation} AS r "
        "LEFT JOIN merged AS m ON m.account = r.account)"
    )


def _moves(engine: Engine) -> tuple[Moves, int]:
    """Add up what the close moved, and what all wallets have after it."""
    summed = (*Moves._fields, "available + claimable + pending - deficit")
    sums = ", ".join(f"CAST(COALESCE(SUM({one}), 0) AS BIGINT)" for one in summed)
    [[*moves, persons]] = engine.rows(f"SELECT {sums} FROM stepped")
    return Moves(*moves), persons


def _root(engine: Engine) -> tuple[int, bytes]:
    """Hash the wallets: id (16) || available, claimable, pending, deficit (i64 be each)."""
    tree = CompactTree()
    for columns in engine.walk("stepped", ("account", *_FIELDS), ROWS_AT_ONCE):
        tree.extend_rows(_leaves(columns), WALLET_LEAF_BYTES)
    return tree.size, tree.root()


def _leaves(columns: Columns) -> bytes:
    accounts = columns["account"]
    rows = np.empty((len(accounts), WALLET_LEAF_BYTES), dtype=np.uint8)
    rows[:, :16] = np.frombuffer(b"".join(accounts), dtype=np.uint8).reshape(-1, 16)
    figures = np.stack([columns[name] for name in _FIELDS], axis=1).astype(">i8")
    rows[:, 16:] = figures.view(np.uint8).reshape(len(accounts), 32)
    return rows.tobytes()


def _in_batches(engine: Engine, path: Path, names: Sequence[str]) -> Iterator[Columns]:
    engine.view("walked", [path], {})
    yield from engine.walk("walked", names, ROWS_AT_ONCE)


def _register(engine: Engine, name: str, schema: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
    columns: dict[str, NDArray[Any]] = {}
    for at, (column, kind) in enumerate(schema.items()):
        array: NDArray[Any] = np.empty(len(rows), dtype=_ARRAYS[kind])
        array[:] = [row[at] for row in rows]
        columns[column] = array
    engine.register(name, columns, schema)
