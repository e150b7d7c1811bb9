"""Rows that cannot be taken are quarantined with file, line, column and reason; the rest goes on."""

from __future__ import annotations

import shutil
import string
import tomllib
from pathlib import Path
from typing import Any

import pytest

from enterprise_node.workspace import Workspace, open_workspace

CASES = sorted(path for path in Path(__file__).parent.iterdir() if (path / "expected.toml").exists())
PACKS = Path(__file__).parents[3] / "packs"
ROWS_MAX = 100


def prepared(case: Path, home: Path) -> Path:
    shutil.copytree(case, home)
    home.chmod(0o700)
    template = string.Template((home / "node.toml").read_text(encoding="utf-8"))
    (home / "node.toml").write_text(template.substitute(packs=PACKS), encoding="utf-8")
    return home


def expected(case: Path) -> dict[str, Any]:
    return tomllib.loads((case / "expected.toml").read_text(encoding="utf-8"))


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


def ingested(case: Path, home: Path) -> tuple[Workspace, int]:
    workspace = open_workspace(prepared(case, home))
    outcomes = [report.outcome for report in workspace.ingest().run()]
    return workspace, sum(outcome.taken for outcome in outcomes if outcome is not None)


def test_bad_rows_are_placed_and_good_ones_taken(case: Path, tmp_path: Path) -> None:
    workspace, taken = ingested(case, tmp_path / "home")
    rows = [(row.line, row.column, row.reason) for row in workspace.quarantine.rows(ROWS_MAX)]
    total = workspace.quarantine.total()
    workspace.close()
    wanted = expected(case)
    assert taken == wanted["taken"]
    assert rows == [(row["line"], row["column"], row["reason"]) for row in wanted.get("quarantined", [])]
    assert total == len(rows)


def test_second_reading_counts_nothing_twice(case: Path, tmp_path: Path) -> None:
    workspace, _ = ingested(case, tmp_path / "home")
    before = workspace.quarantine.counts(), workspace.activities.counts()
    assert all(report.outcome is None for report in workspace.ingest().run())
    assert (workspace.quarantine.counts(), workspace.activities.counts()) == before
    workspace.close()


def test_case_says_why() -> None:
    assert len(CASES) >= 9
    for path in CASES:
        assert (path / "README.md").read_text(encoding="utf-8").strip()
        assert path.name.endswith("_fail") == bool(expected(path).get("quarantined"))
