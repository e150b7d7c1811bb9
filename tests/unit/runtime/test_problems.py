"""One table from reason to gRPC status, HTTP status and exit code; programs end by it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tomllib
from http import HTTPStatus
from pathlib import Path

import click
import grpc
import pytest

from protos import problems
from protos.problems import InvariantBroken, Malformed, Problem, Refused, Unavailable
from protos.v1.problem_pb2 import (
    REASON_BUDGET_EXCEEDED,
    REASON_BUSY,
    REASON_INVARIANT_BROKEN,
    REASON_MALFORMED_MESSAGE,
    REASON_NOT_FOUND,
    REASON_PEER_UNREACHABLE,
    Reason,
)
from protos.v1.problem_pb2 import Problem as WireProblem
from protos.wording import REASONS_ZH
from runtime.console import json_option
from runtime.languages import CHINESE
from runtime.problems import EXTRAS, OUTCOMES, from_http, http_body, outcome, reason_name, run_cli


def test_every_reason_has_its_row() -> None:
    assert set(OUTCOMES) == set(Reason.values())


@pytest.mark.parametrize("reason", Reason.values())
def test_row_is_a_real_status_of_its_kind(reason: Reason.ValueType) -> None:
    row = outcome(reason)
    assert grpc.StatusCode[row.grpc_status] is not grpc.StatusCode.OK
    assert HTTPStatus(row.http_status) >= 400
    assert row.exit_code == (reason // 100 * 10 or 90)


def test_number_of_a_later_version_looks_like_its_group() -> None:
    later = from_http(409, b'{"reason": 399, "message": "A new rule.", "remedy": ""}')
    assert isinstance(later, Refused) and later.message == "A new rule."
    assert outcome(later.reason).exit_code == 30
    assert reason_name(later.reason) == "399"


def test_number_of_no_group_is_a_broken_invariant_here_and_unavailable_from_there() -> None:
    assert outcome(4711) == OUTCOMES[REASON_INVARIANT_BROKEN]  # type: ignore[arg-type]
    for number in (0, 99, 600, 4711):
        body = json.dumps({"reason": number, "message": "?", "remedy": ""}).encode()
        assert isinstance(from_http(409, body), Unavailable)


@pytest.mark.parametrize("reason", sorted(set(Reason.values()) - {0, REASON_INVARIANT_BROKEN}))
def test_http_carries_the_problem(reason: Reason.ValueType) -> None:
    problem = problems.from_wire(WireProblem(reason=reason, message="What came.", remedy="Do this."))
    back = from_http(outcome(reason).http_status, json.dumps(http_body(problem)).encode())
    assert (type(back), back.reason, back.message, back.remedy) == (
        type(problem),
        reason,
        "What came.",
        "Do this.",
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, REASON_NOT_FOUND),
        (503, REASON_BUSY),
        (500, REASON_PEER_UNREACHABLE),
        (400, REASON_MALFORMED_MESSAGE),
    ],
)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"reason": "x", "message": 1, "remedy": ""}', b"[" * 200_000],
    ids=["empty", "html", "list", "types", "deep"],
)
def test_http_without_a_problem_says_what_it_can(status: int, reason: int, body: bytes) -> None:
    assert from_http(status, body).reason == reason


def test_broken_invariant_is_not_told_and_not_taken_over() -> None:
    body = http_body(InvariantBroken(REASON_INVARIANT_BROKEN, "a secret"))
    assert "a secret" not in json.dumps(body)
    assert isinstance(from_http(500, json.dumps(body).encode()), Unavailable)


def test_peer_words_are_bounded_and_printable() -> None:
    told = {"reason": 400, "message": "\x1b[31m" + "x" * 5000, "remedy": ""}
    message = from_http(409, json.dumps(told).encode()).message
    assert len(message) == 1000 and message.isprintable()


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


@pytest.mark.parametrize("reason", Reason.values())
def test_http_title_follows_the_language_and_nothing_else_does(reason: Reason.ValueType) -> None:
    problem = Problem(reason, "What came.", remedy="Do this.")
    english, chinese = http_body(problem), http_body(problem, CHINESE)
    words = REASONS_ZH[reason]
    assert english["title"].isascii()
    assert (chinese.pop("title"), chinese.pop("remedy_zh")) == (words.sentence, words.remedy)
    del english["title"]
    assert chinese == english


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
    assert "RuntimeError at test_problems.py:" in said
    assert "13812345678" not in said


@pytest.mark.parametrize(("what", "code"), [("well", 0), ("file", 50), ("abort", 130)])
def test_other_ends(what: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("fail", what) == code


def test_usage_errors_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("nothing") == 2
    assert ended("fail") == 2
    assert ended("--help") == 0


def test_kinds_of_problems_keep_their_reasons() -> None:
    assert issubclass(Malformed, Problem)
    assert Malformed(REASON_MALFORMED_MESSAGE, "x").to_wire().reason == REASON_MALFORMED_MESSAGE
