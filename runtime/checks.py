"""What a doctor or a reconciliation says of each thing it looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protos.problems import Problem
from runtime.console import print_result

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

    def __str__(self) -> str:
        line = f"{'ok  ' if self.is_good else 'FAIL'} {self.name}: {self.detail}"
        return f"{line}\n     remedy: {self.remedy}" if self.remedy else line

    def as_json(self) -> dict[str, Any]:
        """Give the check for --json."""
        return {"name": self.name, "ok": self.is_good, "detail": self.detail, "remedy": self.remedy}


def looked_at(name: str, look: Callable[[], str]) -> Check:
    """Look at one thing: what it says of itself, or the problem it raised and what to do about it."""
    try:
        return Check(name, True, look())
    except Problem as problem:
        return Check(name, False, problem.message, problem.remedy)
    except OSError as failure:
        return Check(name, False, f"{type(failure).__name__}: {failure.strerror}")


def certificate_check(load: Callable[[], Identity], now: datetime.datetime) -> Check:
    """Look at a TLS identity; one whose certificate must be renewed soon is not good."""
    check = looked_at("certificate", lambda: f"valid until {load().not_after:%Y-%m-%d %H:%M} UTC")
    note = load().renewal_note(now) if check.is_good else ""
    return Check(check.name, False, check.detail, note) if note else check


def print_checks(checks: Sequence[Check], *, as_json: bool) -> int:
    """Print what was looked at, for people or machines; give the exit code, 0 if all is good."""
    is_good = all(one.is_good for one in checks)
    result = {"ok": is_good, "checks": [one.as_json() for one in checks]}
    print_result(result, as_json=as_json, lines=[str(one) for one in checks])
    return 0 if is_good else 1
