"""Statements and links as changes to accounts leave them, in files that any fold reads like the first ones.

A pseudonym whose statements go elsewhere from an epoch on is called by another name in that epoch's rows,
with a link of its own; a household's row becomes one for each person, in whole grams by largest remainder. An
anchor counts only for a pseudonym that nothing happened to in the epochs it totals.
"""

# ruff: noqa: S608  (SQL is what this module makes; names are its own tables, values are numbers)

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.engine import Columns, Engine
from engine.released import LINK_COLUMNS, STATEMENT_COLUMNS, ReleasedFiles
from privacy.holdings import ALWAYS, Holding, holdings, touched
from privacy.ownership import BASIS_POINTS, Move

NAME_BYTES = 16
_TAG = b"cgsp moved pseudonym v1\0"
_HELD = "held"
_HELD_COLUMNS = {
    "pseudonym": "BLOB",
    "since": "INTEGER",
    "until": "INTEGER",
    "name": "BLOB",
    "points": "BIGINT",
    "account": "BLOB",
}
_MERGED = "merged"
_MERGED_COLUMNS = {"account": "BLOB", "stays": "BLOB"}
_ARRAYS = {"BLOB": np.object_, "INTEGER": np.int32, "BIGINT": np.int64}
_FIRST_LINK, _FIRST_ROW = "first_link", "first_row"


def apply_moves(
    engine: Engine,
    folder: Path,
    released: Sequence[ReleasedFiles],
    links: Sequence[Path],
    moves: Sequence[Move],
) -> tuple[list[ReleasedFiles], list[Path]]:
    """Give the files of a fold after the changes that act on it, the same ones where none does."""
    if not moves:
        return list(released), list(links)
    engine.view(_FIRST_LINK, links, LINK_COLUMNS)
    found = holdings(moves, _links_of(engine, *touched(moves)))
    changed = [one for one in found.holdings if _is_change(one)]
    rows = list(_held_rows(found.holdings))
    _register(engine, _HELD, _HELD_COLUMNS, rows)
    _register(engine, _MERGED, _MERGED_COLUMNS, sorted((found.merged_into or {}).items()))
    mark = hashlib.sha256(repr((rows, sorted((found.merged_into or {}).items()))).encode()).hexdigest()[:24]
    moved = [_moved(engine, folder, one, changed, mark) for one in released]
    return moved, [_moved_links(engine, folder, links, mark)]


def moved_name(pseudonym: bytes, account: bytes, since: int) -> bytes:
    """Name a pseudonym's statements that go to an account from an epoch on."""
    return hashlib.sha256(_TAG + pseudonym + account + since.to_bytes(4, "big")).digest()[:NAME_BYTES]


def _links_of(engine: Engine, pseudonyms: frozenset[bytes], accounts: frozenset[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for column, names in (("pseudonym", pseudonyms), ("account", accounts)):
        if names:
            _register(engine, "wanted", {"name": "BLOB"}, [(name,) for name in sorted(names)])
            sql = f"SELECT pseudonym, account FROM {_FIRST_LINK} AS l JOIN wanted AS w ON l.{column} = w.name"
            found.update((bytes(pseudonym), bytes(account)) for pseudonym, account in engine.rows(sql))
    return found


def _is_change(one: Holding) -> bool:
    return one.since != ALWAYS


def _held_rows(found: Sequence[Holding]) -> Iterator[tuple[Any, ...]]:
    """Give a row for each account that gets something; one of no points stands for nobody."""
    for one in found:
        span = (one.pseudonym, one.since, one.until)
        if not one.parts:
            yield (*span, moved_name(one.pseudonym, b"", one.since), 0, b"")
        for account, points in one.parts:
            yield (*span, moved_name(one.pseudonym, account, one.since), points, account)


def _moved(
    engine: Engine, folder: Path, one: ReleasedFiles, changed: Sequence[Holding], mark: str
) -> ReleasedFiles:
    months = _moved_file(engine, folder, one.months, mark)
    points = None if one.points is None else _moved_file(engine, folder, one.points, mark)
    anchors = None if one.anchors is None else _unbroken(engine, folder, one, changed, mark)
    return replace(one, months=months, points=points, anchors=anchors)


def _moved_file(engine: Engine, folder: Path, path: Path, mark: str) -> Path:
    """Write a file's rows again under the names they go by now."""
    target = folder / f"{path.stem}-{mark}.parquet"
    if target.exists():
        return target
    engine.view(_FIRST_ROW, [path], STATEMENT_COLUMNS)
    within = "h.pseudonym = s.pseudonym AND s.epoch >= h.since AND s.epoch < h.until"
    columns = "s.enterprise, s.epoch, s.measure, s.slot"
    untouched = f"SELECT {columns}, s.pseudonym, s.grams, s.variance FROM {_FIRST_ROW} AS s WHERE NOT EXISTS "
    untouched += f"(SELECT 1 FROM {_HELD} AS h WHERE {within})"
    floor = (
        f"CASE WHEN s.grams >= 0 THEN (s.grams * h.points) // {BASIS_POINTS} "
        f"ELSE -((-s.grams * h.points + {BASIS_POINTS - 1}) // {BASIS_POINTS}) END"
    )
    shared = (
        f"SELECT {columns}, s.pseudonym, h.name, h.account, h.points, s.grams, s.variance, {floor} AS part "
        f"FROM {_FIRST_ROW} AS s JOIN {_HELD} AS h ON {within} WHERE h.points > 0"
    )
    place = "enterprise, epoch, measure, slot, pseudonym"
    ranked = (
        f"SELECT p.*, SUM(part) OVER (PARTITION BY {place}) AS given, "
        f"ROW_NUMBER() OVER (PARTITION BY {place} "
        f"ORDER BY grams * points - part * {BASIS_POINTS} DESC, account) AS place FROM ({shared}) AS p"
    )
    square = BASIS_POINTS * BASIS_POINTS
    rest = f"((variance % {square}) * points * points + {square - 1}) // {square}"
    parts = (
        "SELECT enterprise, epoch, measure, slot, name AS pseudonym, "
        "CAST(part + CASE WHEN place <= grams - given THEN 1 ELSE 0 END AS BIGINT) AS grams, "
        f"CAST((variance // {square}) * points * points + {rest} AS BIGINT) AS variance "
        f"FROM ({ranked}) AS r"
    )
    engine.write_parquet(f"{untouched} UNION ALL {parts}", target)
    return target


def _unbroken(
    engine: Engine, folder: Path, one: ReleasedFiles, changed: Sequence[Holding], mark: str
) -> Path:
    """Write a release's anchors without those of years in which something changed, under their new names."""
    assert one.anchors is not None
    broken = {
        (measure, holding.pseudonym)
        for measure, (_, epochs) in one.anchored.items()
        for holding in changed
        if epochs[0] < holding.since <= epochs[-1]
    } | {
        (measure, holding.pseudonym)
        for measure in one.anchored
        for holding in changed
        if len(holding.parts) != 1 and holding.since <= one.epoch < holding.until
    }
    target = folder / f"{one.anchors.stem}-{mark}.parquet"
    if target.exists():
        return target
    _register(engine, "broken", {"measure": "VARCHAR", "pseudonym": "BLOB"}, sorted(broken))
    engine.view(_FIRST_ROW, [one.anchors], STATEMENT_COLUMNS)
    within = "h.pseudonym = s.pseudonym AND s.epoch >= h.since AND s.epoch < h.until"
    engine.write_parquet(
        "SELECT s.enterprise, s.epoch, s.measure, s.slot, COALESCE(h.name, s.pseudonym) AS pseudonym, "
        f"s.grams, s.variance FROM {_FIRST_ROW} AS s LEFT JOIN {_HELD} AS h ON {within} WHERE NOT EXISTS "
        "(SELECT 1 FROM broken AS b WHERE b.measure = s.measure AND b.pseudonym = s.pseudonym)",
        target,
    )
    return target


def _moved_links(engine: Engine, folder: Path, links: Sequence[Path], mark: str) -> Path:
    """Write all links again: merged accounts are those that stand for them, new names have their own."""
    names = hashlib.sha256("\0".join(path.name for path in links).encode()).hexdigest()[:24]
    target = folder / f"links-{names}-{mark}.parquet"
    if not target.exists():
        first = (
            "SELECT l.pseudonym, COALESCE(m.stays, l.account) AS account "
            f"FROM {_FIRST_LINK} AS l LEFT JOIN {_MERGED} AS m ON m.account = l.account"
        )
        own = f"SELECT name AS pseudonym, account FROM {_HELD} WHERE points > 0"
        engine.write_parquet(f"{first} UNION ALL {own}", target)
    return target


def _register(engine: Engine, name: str, schema: dict[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
    columns: Columns = {}
    for position, (column, kind) in enumerate(schema.items()):
        array: NDArray[Any] = np.empty(len(rows), dtype=_ARRAYS.get(kind, np.object_))
        for number, row in enumerate(rows):
            array[number] = row[position]
        columns[column] = array
    engine.register(name, columns, schema)
