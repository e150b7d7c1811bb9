"""A check tells the problem it met, in Chinese as well where that is read; --json stays as it is."""

from __future__ import annotations

import json

import pytest

from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_SUSPENDED
from protos.wording import REASONS_ZH
from runtime.checks import Check, looked_at, print_checks
from runtime.languages import CHINESE, ENGLISH


def refuse() -> str:
    raise Refused(REASON_SUSPENDED, "It is suspended.", remedy="Ask why.")


def test_a_problem_met_is_told_in_both_languages() -> None:
    check = looked_at("standing", refuse)
    words = REASONS_ZH[REASON_SUSPENDED]
    english = ["FAIL standing: It is suspended.", "     remedy: Ask why."]
    assert list(check.lines(ENGLISH)) == english == str(check).splitlines()
    assert list(check.lines(CHINESE)) == [
        english[0],
        f"     错误：{words.sentence}",
        english[1],
        f"     处理：{words.remedy}",
    ]


def test_what_met_no_problem_is_told_alike() -> None:
    for check in (Check("disk", True, "9 GB"), Check("disk", False, "0 GB", "Make room.")):
        assert list(check.lines(CHINESE)) == list(check.lines(ENGLISH))


def test_json_names_what_it_always_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_checks([looked_at("standing", refuse)], as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "ok": False,
        "checks": [{"name": "standing", "ok": False, "detail": "It is suspended.", "remedy": "Ask why."}],
    }
