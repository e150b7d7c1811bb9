"""Five programmes from behaviour through node and hub to a reward, against the rules that were published."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.programmes.stories import CASES, Case, load, node_statements


@pytest.fixture(params=CASES, ids=lambda folder: folder.name)
def case(request: pytest.FixtureRequest) -> Case:
    return load(request.param)


def test_a_nodes_statements_are_what_the_rules_give(case: Case, tmp_path: Path) -> None:
    found = node_statements(case, tmp_path / "node")
    assert found == [[person["statements"][at] for person in case.persons] for at in range(len(case.epochs))]


def test_every_case_says_why() -> None:
    assert len(CASES) == 5
    assert all((folder / "README.md").read_text(encoding="utf-8").strip() for folder in CASES)
