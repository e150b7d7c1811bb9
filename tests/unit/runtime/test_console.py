"""Results are text for people, JSON with --json."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from runtime.console import CommandGroup, print_result


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"name": "碳", "rows": [1]}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"name": "碳", "rows": [1]}


def test_people_get_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"name": "碳", "rows": [1]}, as_json=False)
    print_result({"name": "x"}, as_json=False, lines=["One line."])
    assert capsys.readouterr().out == "name: 碳\nrows: [1]\nOne line.\n"


def test_a_list_of_commands_cuts_no_sentence() -> None:
    sentence = "Say " + "one thing and then another, " * 6 + "and end."

    @click.group(cls=CommandGroup)
    def program() -> None:
        """Do things."""

    @program.command(help=f"{sentence} 做事。")
    def act() -> None:
        pass

    shown = " ".join(CliRunner().invoke(program, ["--help"]).output.split())
    assert sentence.removesuffix(".") in shown
