"""What changes to accounts make of statements and links: small files beside those released.

A pseudonym whose statements go elsewhere from an epoch on is called by another name in that epoch's rows,
with a link of its own; a household's row becomes one for each person, in whole grams by largest remainder. An
anchor counts only for a pseudonym that nothing happened to in the epochs it totals. Rows under first names
stay where they are: they are nobody's once the name has no link.
"""

# ruff: noqa: S608  (SQL is what this module makes; names are its own tables, values are numbers)

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.engine import Columns, Engine
from engine.released import LINK_COLUMNS, STATEMENT_COLUMNS, MovedFiles, Released, ReleasedFiles
from privacy.holdings import Holding, holdings, touched
from privacy.ownership import BASIS_POINTS, Move

NAME_BYTES = 16
_TAG = b"cgsp moved pseudonym v1\0"
_HELD_COLUMNS = {
    "pseudonym": "BLOB",
    "since": "INTEGER",
    "until": "INTEGER",
    "name": "BLOB",
    "points": "BIGINT",
    "account": "BLOB",
}
_MERGED_COLUMNS = {"account": "BLOB", "stays": "BLOB"}
_YEAR_COLUMNS = {
    "enterprise": "VARCHAR",
    "measure": "VARCHAR",
    "anchor": "INTEGER",
    "first": "INTEGER",
    "last": "INTEGER",
}
_ARRAYS = {"BLOB": np.object_, "INTEGER": np.int32, "BIGINT": np.int64}
_FIRST_LINK, _FIRST_ROW = "first_link", "first_row"
_HELD, _MERGED, _YEAR = "held", "merged", "anchored_year"
_WITHIN = "h.pseudonym = s.pseudonym AND s.epoch >= h.since AND s.epoch < h.until"
_WHERE = "s.enterprise, s.epoch, s.measure, s.slot"

# Whose first link counts no longer, and the links that do instead.
_GONE = (
    f"SELECT DISTINCT h.pseudonym FROM {_HELD} AS h UNION "
    f"SELECT l.pseudonym FROM {_FIRST_LINK} AS l JOIN {_MERGED} AS m ON m.account = l.account"
)
_LINKS = (
    f"SELECT h.name AS pseudonym, h.account FROM {_HELD} AS h WHERE h.points > 0 UNION ALL "
    f"SELECT l.pseudonym, m.stays AS account FROM {_FIRST_LINK} AS l JOIN {_MERGED} AS m "
    f"ON m.account = l.account WHERE NOT EXISTS "
    f"(SELECT 1 FROM {_HELD} AS h WHERE h.pseudonym = l.pseudonym)"
)

# A row for each account that gets a part of one, in whole grams by largest remainder; the noise by squares.
_FLOOR = (
    f"CASE WHEN s.grams >= 0 THEN (s.grams * h.points) // {BASIS_POINTS} "
    f"ELSE -((-s.grams * h.points + {BASIS_POINTS - 1}) // {BASIS_POINTS}) END"
)
_SHARED = (
    f"SELECT {_WHERE}, s.pseudonym, h.name, h.account, h.points, s.grams, s.variance, {_FLOOR} AS part "
    f"FROM {_FIRST_ROW} AS s JOIN {_HELD} AS h ON {_WITHIN} WHERE h.points > 0"
)
_PLACE = "enterprise, epoch, measure, slot, pseudonym"
_RANKED = (
    f"SELECT p.*, SUM(part) OVER (PARTITION BY {_PLACE}) AS given, "
    f"ROW_NUMBER() OVER (PARTITION BY {_PLACE} "
    f"ORDER BY grams * points - part * {BASIS_POINTS} DESC, account) AS place FROM ({_SHARED}) AS p"
)
_SQUARE = BASIS_POINTS * BASIS_POINTS
_REST = f"((variance % {_SQUARE}) * points * points + {_SQUARE - 1}) // {_SQUARE}"
_PARTS = (
    "SELECT enterprise, epoch, measure, slot, name AS pseudonym, "
    "CAST(part + CASE WHEN place <= grams - given THEN 1 ELSE 0 END AS BIGINT) AS grams, "
    f"CAST((variance // {_SQUARE}) * points * points + {_REST} AS BIGINT) AS variance FROM ({_RANKED}) AS r"
)

# Anchors of years in which nothing changed, where one account gets all of it.
_BROKEN = (
    f"SELECT 1 FROM {_HELD} AS c JOIN {_YEAR} AS y ON y.first < c.since AND c.since <= y.last "
    "WHERE c.pseudonym = s.pseudonym AND y.enterprise = s.enterprise AND y.measure = s.measure "
    "AND y.anchor = s.epoch"
)
_UNBROKEN = (
    f"SELECT {_WHERE}, h.name AS pseudonym, s.grams, s.variance FROM {_FIRST_ROW} AS s "
    f"JOIN {_HELD} AS h ON {_WITHIN} WHERE h.points = {BASIS_POINTS} AND NOT EXISTS ({_BROKEN})"
)


def apply_moves(engine: Engine, folder: Path, released: Released, moves: Sequence[Move]) -> Released:
    """Give what a fold stands on after the changes that act on it; no file of it is written again."""
    if not moves:
        return released
    engine.view(_FIRST_LINK, released.links, LINK_COLUMNS)
    found = holdings(moves, _links_of(engine, *touched(moves)))
    held, merged = list(_held_rows(found.holdings)), sorted((found.merged_into or {}).items())
    _register(engine, _HELD, _HELD_COLUMNS, held)
    _register(engine, _MERGED, _MERGED_COLUMNS, merged)
    # The same changes to the same files give the same rows.
    files = [one.name for one in (*released.months, *released.anchors, *released.points, *released.links)]
    mark = hashlib.sha256(repr((held, merged, files)).encode()).hexdigest()[:32]

    def written(part: str, sql: str) -> Path:
        path = folder / f"moved-{mark}-{part}.parquet"
        if not path.exists():
            engine.write_parquet(sql, path)
        return path

    moved = MovedFiles(gone=written("gone", _GONE), links=written("links", _LINKS))
    return replace(released, moved=_with_statements(engine, released, moved, written) if held else moved)


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


def _held_rows(found: Sequence[Holding]) -> Iterator[tuple[Any, ...]]:
    """Give a row for each account that gets something; one of no points stands for nobody."""
    for one in found:
        span = (one.pseudonym, one.since, one.until)
        if not one.parts:
            yield (*span, moved_name(one.pseudonym, b"", one.since), 0, b"")
        for account, points in one.parts:
            yield (*span, moved_name(one.pseudonym, account, one.since), points, account)


def _with_statements(
    engine: Engine, released: Released, moved: MovedFiles, written: Callable[[str, str], Path]
) -> MovedFiles:
    """Write the rows of pseudonyms that are held by others than their links' accounts."""
    engine.view(_FIRST_ROW, released.months, STATEMENT_COLUMNS)
    moved = replace(moved, months=written("months", _PARTS))
    if released.points:
        engine.view(_FIRST_ROW, released.points, STATEMENT_COLUMNS)
        moved = replace(moved, points=written("points", _PARTS))
    if released.anchors:
        engine.view(_FIRST_ROW, released.anchors, STATEMENT_COLUMNS)
        _register(engine, _YEAR, _YEAR_COLUMNS, list(_years(released.files)))
        moved = replace(moved, anchors=written("anchors", _UNBROKEN))
    return moved


def _years(files: Sequence[ReleasedFiles]) -> Iterator[tuple[Any, ...]]:
    """Give the first and the last of the epochs that each anchor totals."""
    for one in files:
        for measure, (_, epochs) in one.anchored.items():
            yield one.enterprise, measure, one.epoch, epochs[0], epochs[-1]


def _register(engine: Engine, name: str, schema: dict[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
    columns: Columns = {}
    for position, (column, kind) in enumerate(schema.items()):
        array: NDArray[Any] = np.empty(len(rows), dtype=_ARRAYS.get(kind, np.object_))
        for number, row in enumerate(rows):
            array[number] = row[position]
        columns[column] = array
    engine.register(name, columns, schema)
