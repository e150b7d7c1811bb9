"""What an opened sample says: findings by check, the draws they hit, what overstatement is excluded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any

from auditor.findings import Verdict
from privacy.sampling import Challenge, draws_needed, excluded_share
from protos.epochs import format_epoch


class SampleCheck(StrEnum):
    """What is looked at, in the order of a report."""

    COMMITMENT = "commitment"
    PATHS = "paths"
    STATEMENTS = "statements"
    RECORDS = "records"
    PACKS = "packs"
    SELECTION = "selection"


MEANINGS: dict[SampleCheck, tuple[str, str]] = {
    SampleCheck.COMMITMENT: ("root and total are those logged before the draw", "根与总量即抽样前入日志者"),
    SampleCheck.PATHS: (
        "every draw falls into an opened leaf, by its path's sums",
        "每次抽样均落入已打开的叶",
    ),
    SampleCheck.STATEMENTS: ("a slot's net sum is its statement before noise", "登记位净和等于加噪前结单"),
    SampleCheck.RECORDS: ("the raw records are those committed to", "原始记录即所承诺者"),
    SampleCheck.PACKS: ("the packs give the leaf's amounts again", "方法学重算与叶一致"),
    SampleCheck.SELECTION: ("what others record was left out", "已遵守来源选择"),
}
# Of these the enterprise is asked to account for by a larger sample; the others end the matter.
_DISCREPANCIES = frozenset({SampleCheck.RECORDS, SampleCheck.PACKS, SampleCheck.SELECTION})


@dataclass(slots=True)
class Outcome:
    """What a sample says; no person's data is in it."""

    challenge: Challenge
    leaves: int = 0
    late_leaves: int = 0
    findings: list[tuple[SampleCheck, str]] = field(default_factory=list)
    discrepant: set[int] = field(default_factory=set)
    unchecked: list[str] = field(default_factory=list)
    # The stretch of the total amount that each opened leaf covers, by its number.
    stretches: dict[int, tuple[int, int]] = field(default_factory=dict)
    # Draws that hit a discrepant leaf.
    hits: int = 0

    @property
    def verdict(self) -> Verdict:
        """Give the verdict; without the exact figures behind the release the statements are unchecked."""
        if self.findings:
            return Verdict.FINDINGS
        return Verdict.UNCHECKED if self.unchecked else Verdict.PASS

    @property
    def is_sound(self) -> bool:
        """Say whether commitment, paths and statements hold, so that the sample says something."""
        return all(check in _DISCREPANCIES for check, _ in self.findings)

    @property
    def excluded(self) -> Fraction | None:
        """Give the smallest overstated share of all amounts that this outcome excludes."""
        if not self.is_sound:
            return None
        return excluded_share(len(self.challenge.draws), self.hits, self.challenge.confidence)

    @property
    def more(self) -> int:
        """Count the draws of the larger sample that discrepancies ask for; 0 for none."""
        if not self.hits or not self.is_sound:
            return 0
        return draws_needed(self.challenge.detect, self.challenge.confidence, self.hits)

    def find(self, check: SampleCheck, message: str, *leaves: int) -> None:
        """Record a finding, with the leaves it makes discrepant."""
        self.findings.append((check, message))
        self.discrepant.update(leaves)

    def to_json(self) -> dict[str, Any]:
        """Give the outcome as JSON."""
        challenge = self.challenge
        return {
            "verdict": self.verdict.value,
            "enterprise_id": challenge.enterprise_id,
            "epoch": format_epoch(challenge.epoch),
            "draws": len(challenge.draws),
            "leaves": self.leaves,
            "late_leaves": self.late_leaves,
            "discrepant_draws": self.hits,
            "confidence": str(challenge.confidence),
            "excluded_share": None if self.excluded is None else str(self.excluded),
            "draws_needed": self.more,
            "findings": [{"check": check.value, "message": message} for check, message in self.findings],
            "unchecked": self.unchecked,
        }

    def lines(self) -> Iterator[str]:
        """Give the outcome as text, Chinese beside English."""
        challenge = self.challenge
        yield (
            f"{self.verdict.value}  {challenge.enterprise_id} {format_epoch(challenge.epoch)}: "
            f"{len(challenge.draws)} draws 次抽样, {self.leaves} leaves 叶, "
            f"{self.hits} discrepant draws 次不符"
        )
        for check in SampleCheck:
            wrong = [message for found, message in self.findings if found is check]
            english, chinese = MEANINGS[check]
            yield f"  {'FINDINGS' if wrong else 'ok':<9} {check.value:<11} {english} {chinese}"
            yield from (f"    ! {message}" for message in wrong)
        yield from (f"  not checked 未核验: {why}" for why in self.unchecked)
        if self.excluded is not None:
            yield (
                f"  Overstatement of {float(self.excluded):.3%} of all amounts or more is excluded with "
                f"{float(challenge.confidence):.2%} confidence. 以该置信度排除不低于此比例的高报。"
            )
        if self.more:
            yield (
                f"  Expand to {self.more} draws: a discrepancy asks for a larger sample. "
                f"发现不符，须扩大样本至 {self.more} 次。"
            )
