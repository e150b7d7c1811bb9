"""Results are text for people, JSON with --json."""

from __future__ import annotations

import json

import pytest

from runtime.console import print_result


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"name": "碳", "rows": [1]}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"name": "碳", "rows": [1]}


def test_people_get_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"name": "碳", "rows": [1]}, as_json=False)
    print_result({"name": "x"}, as_json=False, lines=["One line."])
    assert capsys.readouterr().out == "name: 碳\nrows: [1]\nOne line.\n"
