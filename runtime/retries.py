"""Bounded repetition with jitter of what is Unavailable; every wait says for what and until when."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from protos.problems import Problem, Unavailable
from protos.v1.problem_pb2 import REASON_BODIES_MISSING, REASON_NOT_FOUND, REASON_RATE_EXCEEDED
from runtime.problems import problem_from_rpc_error, reason_name

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of repetition; waits are drawn below a ceiling that doubles up to `wait_seconds_max`."""

    attempts_max: int = 6
    first_seconds: float = 0.2
    wait_seconds_max: float = 15.0
    total_seconds_max: float = 120.0


DEFAULT_POLICY = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait between two attempts."""

    what: str
    attempt: int
    attempts_max: int
    seconds: float
    problem: Problem

    def __str__(self) -> str:
        return (
            f"Waiting {self.seconds:.1f} s for {self.what} "
            f"(attempt {self.attempt} of {self.attempts_max} failed): {self.problem.message}"
        )


def log_wait(wait: Wait) -> None:
    """Write the wait to the log."""
    logger.warning(
        "waiting",
        extra={
            "waiting_for": wait.what,
            "attempt": wait.attempt,
            "attempts_max": wait.attempts_max,
            "wait_seconds": round(wait.seconds, 3),
            "reason": reason_name(wait.problem.reason),
        },
    )


def is_retryable(problem: Problem) -> bool:
    """Say whether the same call may succeed later without anybody changing it."""
    if problem.reason == REASON_RATE_EXCEEDED:
        return True
    return isinstance(problem, Unavailable) and problem.reason not in (
        REASON_NOT_FOUND,
        REASON_BODIES_MISSING,
    )


def retry(
    call: Callable[[], Result],
    *,
    what: str,
    policy: RetryPolicy = DEFAULT_POLICY,
    on_wait: Callable[[Wait], None] = log_wait,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Result:
    """Call until it succeeds; gRPC errors are turned into problems first. Raises the last problem."""
    deadline = clock() + policy.total_seconds_max
    ceiling = policy.first_seconds
    for attempt in range(1, policy.attempts_max + 1):
        try:
            return unary(call)
        except Problem as problem:
            seconds = uniform(ceiling / 2, ceiling)
            is_last = attempt == policy.attempts_max or clock() + seconds > deadline
            if is_last or not is_retryable(problem):
                raise
            on_wait(Wait(what, attempt, policy.attempts_max, seconds, problem))
        sleep(seconds)
        ceiling = min(2 * ceiling, policy.wait_seconds_max)
    raise AssertionError("the last attempt returns or raises")


def unary(call: Callable[[], Result]) -> Result:
    """Make one gRPC call; its failure is raised as the problem it carries."""
    import grpc

    try:
        return call()
    except grpc.RpcError as error:
        raise problem_from_rpc_error(error) from None
