"""What an audit says: named checks, findings that name their object, and one verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from protos.problems import Problem, Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND, Reason


class Verdict(StrEnum):
    """How an audit ends; what could not be checked is never a pass."""

    PASS = "PASS"  # noqa: S105 (a verdict, not a password)
    FINDINGS = "FINDINGS"
    UNCHECKED = "UNCHECKED"

    @property
    def exit_code(self) -> int:
        """Give the program's exit code."""
        return {Verdict.PASS: 0, Verdict.FINDINGS: 1, Verdict.UNCHECKED: 3}[self]


class Check(StrEnum):
    """The named checks, in the order in which they stand in a report."""

    TRUST_ROOT = "trust-root"
    CHECKPOINT = "checkpoint"
    TREE = "tree"
    RECEIPTS = "receipts"
    DEPOSITS = "deposits"
    ENTRIES = "entries"
    BODIES = "bodies"
    PACKS = "packs"
    PROGRAMMES = "programmes"
    COMPLETENESS = "completeness"
    BUDGETS = "budgets"
    COMMITMENTS = "commitments"
    BEACONS = "beacons"
    PSEUDONYMS = "pseudonyms"
    SELECTIONS = "selections"
    TICKETS = "tickets"
    ERASURES = "erasures"
    ACCOUNTS = "accounts"
    LEDGERS = "ledgers"
    ISSUANCES = "issuances"
    POPULATION = "population"
    DIFFERENCES = "differences"


MEANINGS: dict[Check, str] = {
    Check.TRUST_ROOT: "the trust root is the one handed over, every change signed by enough of its keys",
    Check.CHECKPOINT: "the log's key signed the checkpoint, and its witnesses did",
    Check.TREE: "entries alone give the signed root, and every tile served is part of that tree",
    Check.RECEIPTS: "what the hub promised in receipts stands in the log, where and when it promised",
    Check.DEPOSITS: "nobody is called missing whose answer a witness had seen in time",
    Check.ENTRIES: "every signature, sequence, policy, claim, budget and roster rule held when it was logged",
    Check.BODIES: "every body hashes to what its signed entry says",
    Check.PACKS: "the policies' reach is no smaller than what the methodology packs prove",
    Check.PROGRAMMES: "every programme in the log is what its record says, and its conditions can be asked",
    Check.COMPLETENESS: "enterprises answered for every closed epoch, and with custodians by their deadlines",
    Check.BUDGETS: "charges recomputed and summed stay within the policy's allowance",
    Check.COMMITMENTS: "releases stand on commitments where the policy asks, each before its deadline",
    Check.BEACONS: "each epoch committed to has its beacon in time, one, proven, over every commitment",
    Check.PSEUDONYMS: "custodians' counts match the enrolments",
    Check.ERASURES: "rows erased are exactly those that signed orders name, and links went with them",
    Check.SELECTIONS: "who records an overlap class follows from rosters, links and choices",
    Check.TICKETS: "choices and account changes rest on link tickets of their persons, each used once",
    Check.ACCOUNTS: "accounts replayed from the statements equal the hub's, to the gram",
    Check.LEDGERS: "operations decided again and ledgers closed again give the roots of the closes",
    Check.ISSUANCES: "issued tonnes follow from pooled cells and the rule of their programme, none twice",
    Check.POPULATION: "population totals follow from the released cells, with their intervals",
    Check.DIFFERENCES: "an enterprise's cells and statements differ by noise and what the policy agrees to",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that could not be confirmed: which check, which object, what is wrong."""

    check: Check
    place: str
    message: str
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the finding as JSON."""
        return {
            "check": self.check.value,
            "object": self.place,
            "message": self.message,
            "reason": self.reason,
        }


@dataclass(slots=True)
class Result:
    """One check's outcome: how many things were looked at, findings, and what was not checked and why."""

    check: Check
    examined: int = 0
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    # What a reader of the verdict should know although nothing is wrong.
    remarks: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """Give this check's own verdict."""
        if self.findings:
            return Verdict.FINDINGS
        return Verdict.UNCHECKED if self.unchecked else Verdict.PASS

    def find(self, place: str, message: str, *, reason: str = "") -> None:
        """Record a finding."""
        self.findings.append(Finding(self.check, place, message, reason))

    def find_problem(self, place: str, problem: Problem) -> None:
        """Record a rule's refusal as a finding; what could not be reached is unchecked, nobody's fault."""
        if isinstance(problem, Unavailable) and problem.reason != REASON_NOT_FOUND:
            self.unchecked.append(f"{place}: {problem.message}")
            return
        name = Reason.Name(problem.reason).removeprefix("REASON_")
        self.find(place, problem.message, reason=f"{name} ({problem.reason})")

    def to_json(self) -> dict[str, Any]:
        """Give the result as JSON."""
        return {
            "check": self.check.value,
            "verdict": self.verdict.value,
            "examined": self.examined,
            "findings": len(self.findings),
            "unchecked": self.unchecked,
            "remarks": self.remarks,
        }


class Results:
    """All checks of one audit."""

    def __init__(self) -> None:
        self._results = {check: Result(check) for check in Check}

    def __getitem__(self, check: Check) -> Result:
        return self._results[check]

    def forget(self, check: Check) -> None:
        """Forget what a check looked at and found: it is made again."""
        self._results[check] = Result(check)

    def keep(self, result: Result) -> None:
        """Take over what a check looked at and found before."""
        self._results[result.check] = result

    def include(self, other: Results) -> None:
        """Add what another part of the audit looked at and found."""
        for mine, its in zip(self.all(), other.all(), strict=True):
            mine.examined += its.examined
            mine.findings += its.findings
            mine.unchecked += its.unchecked
            mine.remarks += its.remarks

    def all(self) -> tuple[Result, ...]:
        """Give the results in report order."""
        return tuple(self._results.values())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Give all findings in report order."""
        return tuple(finding for result in self.all() for finding in result.findings)

    @property
    def verdict(self) -> Verdict:
        """Give the verdict: findings weigh most, then what was not checked."""
        verdicts = {result.verdict for result in self.all()}
        for worst in (Verdict.FINDINGS, Verdict.UNCHECKED):
            if worst in verdicts:
                return worst
        return Verdict.PASS

    def leave_unchecked(self, checks: Iterable[Check], why: str) -> None:
        """Say of the checks why they could not be made."""
        for check in checks:
            self._results[check].unchecked.append(why)
