"""Whole results compared row by row, as multisets, by the embedded engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.engine import Engine


def assert_equal_rows(engine: Engine, found: Sequence[Path], expected: Sequence[Path], least: int = 1) -> int:
    """Hold that two results have the same columns, types and rows, and at least so many; give how many."""
    engine.view("found", found)
    engine.view("expected", expected)
    assert engine.rows("DESCRIBE found") == engine.rows("DESCRIBE expected")
    return assert_equal(engine, "SELECT * FROM found", "SELECT * FROM expected", least)


def assert_equal(engine: Engine, found: str, expected: str, least: int = 1) -> int:
    """Hold that two queries give the same rows; the first few that differ are shown."""
    for one, other, what in ((found, expected, "surplus"), (expected, found, "missing")):
        differing = engine.rows(f"SELECT * FROM (({one}) EXCEPT ALL ({other})) AS d LIMIT 3")
        assert not differing, f"{what}: {differing}"
    [(count,)] = engine.rows(f"SELECT COUNT(*) FROM ({expected}) AS e")
    assert count >= least
    return int(count)
