"""One table from reason to gRPC status, HTTP status and exit code."""

from __future__ import annotations

import json
from http import HTTPStatus

import grpc
import pytest

from protos import problems
from protos.problems import InvariantBroken, Malformed, Problem, Refused, Unavailable
from protos.v1.problem_pb2 import (
    REASON_BUSY,
    REASON_INVARIANT_BROKEN,
    REASON_MALFORMED_MESSAGE,
    REASON_NOT_FOUND,
    REASON_PEER_UNREACHABLE,
    Reason,
)
from protos.v1.problem_pb2 import Problem as WireProblem
from protos.wording import REASONS_ZH
from runtime.languages import CHINESE
from runtime.problems import OUTCOMES, from_http, http_body, outcome, reason_name


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


@pytest.mark.parametrize("reason", Reason.values())
def test_http_title_follows_the_language_and_nothing_else_does(reason: Reason.ValueType) -> None:
    problem = Problem(reason, "What came.", remedy="Do this.")
    english, chinese = http_body(problem), http_body(problem, CHINESE)
    words = REASONS_ZH[reason]
    assert english["title"].isascii()
    assert (chinese.pop("title"), chinese.pop("remedy_zh")) == (words.sentence, words.remedy)
    del english["title"]
    assert chinese == english


def test_kinds_of_problems_keep_their_reasons() -> None:
    assert issubclass(Malformed, Problem)
    assert Malformed(REASON_MALFORMED_MESSAGE, "x").to_wire().reason == REASON_MALFORMED_MESSAGE
