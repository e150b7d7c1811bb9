"""A problem is told as a page or as problem+json, in the language asked for, and never more than it may."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from hub.problem_answers import MEDIA_TYPE, problem_answer
from protos.problems import InvariantBroken, Problem, Refused
from protos.v1.problem_pb2 import REASON_BUDGET_EXCEEDED, REASON_INVARIANT_BROKEN
from protos.wording import REASONS_ZH

PROBLEM = Refused(REASON_BUDGET_EXCEEDED, "2 is more than 1.", remedy="Wait.")
SENTENCE = REASONS_ZH[REASON_BUDGET_EXCEEDED].sentence
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def answer(path: str, problem: Problem = PROBLEM, *, query: str = "", **headers: str) -> Response:
    """Tell a problem to who asks for a path with these headers."""
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": given}
    return problem_answer(Request(scope | {"query_string": query.encode(), "server": ("h", 1)}), problem)


@pytest.mark.parametrize(
    ("accepted", "tag", "title"),
    [
        ("zh-CN,en;q=0.5", "zh-CN", SENTENCE),
        ("en,zh;q=0.5", "en", "Budget exceeded"),
        ("", "en", "Budget exceeded"),
    ],
)
def test_programs_get_a_title_in_their_language(accepted: str, tag: str, title: str) -> None:
    told = answer("/v1/status", accept_language=accepted)
    assert told.status_code == 403
    assert told.headers["content-type"] == MEDIA_TYPE
    assert told.headers["content-language"] == tag
    assert "Accept-Language" in told.headers["vary"]
    body = json.loads(bytes(told.body))
    assert (body["title"], body["reason"], body["message"]) == (title, 306, "2 is more than 1.")


@given(st.text(st.characters(codec="latin-1")))
def test_no_header_is_refused_for_its_language(accepted: str) -> None:
    scope = {"type": "http", "method": "GET", "path": "/v1/x", "query_string": b"", "server": ("h", 1)}
    headers = [(b"accept-language", accepted.encode("latin-1"))]
    assert problem_answer(Request(scope | {"headers": headers}), PROBLEM).status_code == 403


@pytest.mark.parametrize(
    ("path", "accept", "is_page"),
    [
        ("/", "*/*", True),
        ("/books/government", "*/*", True),
        ("/programmes/none", "application/json", True),
        ("/nothing", BROWSER, True),
        ("/nothing", "*/*", False),
        ("/v1/status", BROWSER, False),
        ("/tile/0/000", BROWSER, False),
    ],
)
def test_people_get_a_page(path: str, accept: str, *, is_page: bool) -> None:
    told = answer(path, accept=accept, accept_language="zh")
    assert told.headers["content-type"].startswith("text/html" if is_page else MEDIA_TYPE)
    assert SENTENCE in bytes(told.body).decode()


def test_the_language_chosen_on_a_page_outweighs_the_browsers() -> None:
    told = answer("/programmes", query="lang=en", accept_language="zh")
    assert SENTENCE not in bytes(told.body).decode()
    assert told.headers["content-language"] == "en"


@pytest.mark.parametrize("path", ["/", "/v1/status"])
@pytest.mark.parametrize("accepted", ["zh", "en"])
def test_a_broken_promise_keeps_its_words_to_itself(path: str, accepted: str) -> None:
    broken = InvariantBroken(REASON_INVARIANT_BROKEN, "a secret", remedy="a secret")
    told = answer(path, broken, accept_language=accepted)
    assert told.status_code == 500
    assert b"a secret" not in bytes(told.body)
