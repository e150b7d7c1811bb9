"""Repetition is bounded, waits say what they wait for, and only what may pass is repeated."""

from __future__ import annotations

import logging

import pytest

from protos.problems import Malformed, Problem, Refused, Unavailable
from protos.v1.problem_pb2 import (
    REASON_BUSY,
    REASON_MALFORMED_MESSAGE,
    REASON_NOT_FOUND,
    REASON_PEER_UNREACHABLE,
    REASON_RATE_EXCEEDED,
)
from runtime.retries import RetryPolicy, Wait, is_retryable, log_wait, retry


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[Wait] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run(self, failures: list[Problem], policy: RetryPolicy) -> str:
        def call() -> str:
            if failures:
                raise failures.pop(0)
            return "done"

        return retry(
            call,
            what="the hub",
            policy=policy,
            on_wait=self.waits.append,
            sleep=self.sleep,
            clock=lambda: self.now,
            uniform=lambda low, high: high,
        )


def busy(count: int) -> list[Problem]:
    return [Unavailable(REASON_BUSY, f"Busy {number}.") for number in range(count)]


def test_success_after_waits_that_double() -> None:
    clock = Clock()
    assert clock.run(busy(4), RetryPolicy(first_seconds=1, wait_seconds_max=3)) == "done"
    assert [wait.seconds for wait in clock.waits] == [1, 2, 3, 3]
    assert str(clock.waits[0]) == "Waiting 1.0 s for the hub (attempt 1 of 6 failed): Busy 0."


def test_last_problem_is_raised_when_attempts_end() -> None:
    with pytest.raises(Unavailable, match=r"Busy 2\."):
        Clock().run(busy(9), RetryPolicy(attempts_max=3))


def test_total_time_is_bounded() -> None:
    clock = Clock()
    with pytest.raises(Unavailable):
        clock.run(
            busy(99), RetryPolicy(attempts_max=99, first_seconds=1, wait_seconds_max=4, total_seconds_max=10)
        )
    assert clock.now <= 10


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Unavailable(REASON_PEER_UNREACHABLE, ""), True),
        (Refused(REASON_RATE_EXCEEDED, ""), True),
        (Unavailable(REASON_NOT_FOUND, ""), False),
        (Malformed(REASON_MALFORMED_MESSAGE, ""), False),
    ],
)
def test_only_what_may_pass_is_repeated(problem: Problem, expected: bool) -> None:
    assert is_retryable(problem) is expected
    clock = Clock()
    if not expected:
        with pytest.raises(type(problem)):
            clock.run([problem], RetryPolicy())
        assert clock.waits == []


def test_wait_is_logged_with_fields_that_may_be(caplog: pytest.LogCaptureFixture) -> None:
    from runtime.logs import is_allowed

    with caplog.at_level(logging.WARNING):
        log_wait(Wait("the hub", 1, 6, 0.5, busy(1)[0]))
    record = vars(caplog.records[0])
    assert all(
        is_allowed(name, record[name]) for name in ("waiting_for", "attempts_max", "wait_seconds", "reason")
    )
