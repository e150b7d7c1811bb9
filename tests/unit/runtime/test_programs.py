"""Programs end by the table of reasons: what they say, in which language, and with which code."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from protos.problems import Refused
from protos.v1.problem_pb2 import (
    REASON_BUDGET_EXCEEDED,
)
from protos.wording import REASONS_ZH
from runtime.console import json_option
from runtime.programs import EXTRAS, run_cli


@click.group()
def program() -> None:
    """Do things."""


@program.command()
@json_option
@click.argument("what")
def fail(what: str, as_json: bool) -> None:
    """Fail."""
    match what:
        case "refused":
            raise Refused(REASON_BUDGET_EXCEEDED, "2 is more than 1.", remedy="Wait for the next epoch.")
        case "bug":
            raise RuntimeError("13812345678")
        case "file":
            Path("/nowhere/at/all").read_bytes()
        case "abort":
            raise click.Abort
    click.echo("well")


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run_cli(program, arguments)
    return int(caught.value.code or 0)


def test_problem_is_told_with_remedy_and_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("fail", "refused") == 30
    said = capsys.readouterr()
    assert said.err == "error: 2 is more than 1. [BUDGET_EXCEEDED]\nremedy: Wait for the next epoch.\n"
    assert said.out == ""


def test_problem_is_json_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("fail", "refused", "--json") == 30
    error = json.loads(capsys.readouterr().err)["error"]
    assert error == {
        "reason": 306,
        "name": "BUDGET_EXCEEDED",
        "message": "2 is more than 1.",
        "remedy": "Wait for the next epoch.",
        "exit_code": 30,
    }


def ended_on_chinese_terminal(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    """Run on a real terminal of a Chinese locale; give the exit code and what stands there."""
    master, slave = os.openpty()
    with monkeypatch.context() as changed, os.fdopen(slave, "w", encoding="utf-8") as stream:
        for name in ("LC_ALL", "LC_MESSAGES"):
            changed.delenv(name, raising=False)
        changed.setenv("LANG", "zh_CN.UTF-8")
        changed.setattr(sys, "stderr", stream)
        code = ended(*arguments)
    shown = bytearray()
    # A terminal whose other end is closed ends with an error once all is read.
    with contextlib.suppress(OSError):
        while part := os.read(master, 4096):
            shown += part
    os.close(master)
    return code, shown.decode().replace("\r\n", "\n")


def test_a_chinese_terminal_is_told_in_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    words = REASONS_ZH[REASON_BUDGET_EXCEEDED]
    assert ended_on_chinese_terminal(monkeypatch, "fail", "refused") == (
        30,
        f"error: 2 is more than 1. [BUDGET_EXCEEDED]\n错误：{words.sentence}\n"
        f"remedy: Wait for the next epoch.\n处理：{words.remedy}\n",
    )


def test_json_is_the_same_in_every_locale(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ended_on_chinese_terminal(monkeypatch, "fail", "refused", "--json")
    assert there == (ended("fail", "refused", "--json"), capsys.readouterr().err)


def test_what_is_no_terminal_is_told_in_english(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert ended("fail", "refused") == 30
    assert capsys.readouterr().err.isascii()


@pytest.mark.parametrize("name", [*EXTRAS, "another"])
@pytest.mark.parametrize("missing", ["duckdb", "google.protobuf", "hub.store", ""])
def test_a_part_not_installed_is_named_and_how_to_install_it(
    capsys: pytest.CaptureFixture[str], name: str, missing: str
) -> None:
    @click.command(name=name)
    def asks() -> None:
        raise ModuleNotFoundError("no such module", name=missing)

    with pytest.raises(SystemExit) as caught:
        run_cli(asks, [])
    said = capsys.readouterr().err
    if name in EXTRAS and missing in ("duckdb", "google.protobuf"):
        assert caught.value.code == 50
        assert f"{name} needs the library {missing.partition('.')[0]}," in said
        assert f"pip install '.[{EXTRAS[name]}]'" in said
    else:
        assert caught.value.code == 90


def test_every_program_names_a_part_that_can_be_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(project["scripts"])
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])


def test_bug_shows_its_place_and_not_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("fail", "bug") == 90
    said = capsys.readouterr().err
    assert "RuntimeError at test_programs.py:" in said
    assert "13812345678" not in said


@pytest.mark.parametrize(("what", "code"), [("well", 0), ("file", 50), ("abort", 130)])
def test_other_ends(what: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("fail", what) == code


def test_usage_errors_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("nothing") == 2
    assert ended("fail") == 2
    assert ended("--help") == 0


def test_no_program_leaves_a_core_behind() -> None:
    """A limit cannot be raised again: it is taken in a process of its own."""
    told = (
        "import click, resource\n"
        "from runtime.programs import run_cli\n"
        "tell = lambda: print(resource.getrlimit(resource.RLIMIT_CORE))\n"
        "run_cli(click.Command('tell', callback=tell), [])\n"
    )
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "(0, 0)"
