"""Bounded repetition with jitter of what is Unavailable; every wait says for what and until when."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from protos.problems import Problem, Unavailable

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of repetition; waits double from `first_seconds` up to `wait_seconds_max`, each with full jitter."""

    attempts_max: int = 6
    first_seconds: float = 0.2
    wait_seconds_max: float = 15.0
    total_seconds_max: float = 120.0


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
            f"(attempt {self.attempt} of {self.attempts_max}): {self.problem.message}"
        )


def log_wait(wait: Wait) -> None:
    """Write the wait to the log."""
    raise NotImplementedError


def is_retryable(problem: Problem) -> bool:
    """Say whether the same call may succeed later without anybody changing it."""
    raise NotImplementedError


def retry(
    call: Callable[[], Result],
    *,
    what: str,
    policy: RetryPolicy = RetryPolicy(),
    on_wait: Callable[[Wait], None] = log_wait,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Result:
    """Call until it succeeds; gRPC errors are turned into problems first. Raises the last problem."""
    raise NotImplementedError(Unavailable)


def unary(call: Callable[[], Result]) -> Result:
    """Make one gRPC call; its failure is raised as the problem it carries."""
    raise NotImplementedError
