"""What a doctor or a reconciliation says of each thing it looked at."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from protos.problems import Problem
from runtime.console import print_result
from runtime.languages import ENGLISH, lines_beside, terminal_language

if TYPE_CHECKING:
    import datetime

    from runtime.identity import Identity


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    is_good: bool
    detail: str
    remedy: str = ""
    # The reason of the problem met, where there was one: its words in Chinese follow from it.
    reason: int | None = None

    @classmethod
    def failed(cls, name: str, problem: Problem) -> Self:
        """Say of one thing that looking at it met a problem."""
        return cls(name, False, problem.message, problem.remedy, problem.reason)

    def __str__(self) -> str:
        return "\n".join(self.lines(ENGLISH))

    def lines(self, language: str) -> Iterator[str]:
        """Give the check for people; in Chinese the words of its problem beside the English."""
        told, advice = ("", "") if self.reason is None else lines_beside(self.reason, language)
        yield f"{'ok  ' if self.is_good else 'FAIL'} {self.name}: {self.detail}"
        remedy = f"remedy: {self.remedy}" if self.remedy else ""
        yield from (f"     {line}" for line in (told, remedy, advice) if line)

    def as_json(self) -> dict[str, Any]:
        """Give the check for --json."""
        return {"name": self.name, "ok": self.is_good, "detail": self.detail, "remedy": self.remedy}


def looked_at(name: str, look: Callable[[], str]) -> Check:
    """Look at one thing: what it says of itself, or the problem it raised and what to do about it."""
    try:
        return Check(name, True, look())
    except Problem as problem:
        return Check.failed(name, problem)
    except OSError as failure:
        return Check(name, False, f"{type(failure).__name__}: {failure.strerror}")


def certificate_check(load: Callable[[], Identity], now: datetime.datetime) -> Check:
    """Look at a TLS identity; one whose certificate must be renewed soon is not good."""
    check = looked_at("certificate", lambda: f"valid until {load().not_after:%Y-%m-%d %H:%M} UTC")
    note = load().renewal_note(now) if check.is_good else ""
    return Check(check.name, False, check.detail, note) if note else check


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """Give what was looked at as lines for standard output."""
    language = terminal_language(sys.stdout, os.environ)
    return (line for one in checks for line in one.lines(language))


def print_checks(checks: Sequence[Check], *, as_json: bool) -> int:
    """Print what was looked at, for people or machines; give the exit code, 0 if all is good."""
    is_good = all(one.is_good for one in checks)
    result = {"ok": is_good, "checks": [one.as_json() for one in checks]}
    print_result(result, as_json=as_json, lines=check_lines(checks))
    return 0 if is_good else 1
