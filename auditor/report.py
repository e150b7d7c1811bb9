"""An audit's outcome for people (text, Chinese and English) and for machines (JSON)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from auditor.findings import MEANINGS, Results, Verdict
from privacy.charges import cost_line

FINDINGS_SHOWN_MAX = 20

_HEADLINES = {
    Verdict.PASS: "PASS  everything checked holds 全部核验通过",
    Verdict.FINDINGS: "FINDINGS  something could not be confirmed 发现问题",
    Verdict.UNCHECKED: "UNCHECKED  something could not be checked, so this is no pass 未能完成核验",
}
_MARKS = {Verdict.PASS: "ok", Verdict.FINDINGS: "FINDING", Verdict.UNCHECKED: "unchecked"}


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit checked and found, with the figures it recomputed on its way."""

    source: str
    origin: str
    size: int
    root: bytes
    witnesses: str
    results: Results
    figures: dict[str, Any]

    @property
    def verdict(self) -> Verdict:
        """Give the verdict."""
        return self.results.verdict

    def to_json(self) -> dict[str, Any]:
        """Give the report as JSON."""
        return {
            "verdict": self.verdict.value,
            "source": self.source,
            "log": {"origin": self.origin, "size": self.size, "root": self.root.hex()},
            "witnesses": self.witnesses,
            "checks": [result.to_json() for result in self.results.all()],
            "findings": [finding.to_json() for finding in self.results.findings],
            "figures": self.figures,
        }

    def lines(self) -> Iterator[str]:
        """Give the report as text: findings first, then what was checked and how."""
        yield _HEADLINES[self.verdict]
        findings = self.results.findings
        for finding in findings[:FINDINGS_SHOWN_MAX]:
            reason = f" [{finding.reason}]" if finding.reason else ""
            yield f"  ! {finding.check.value}: {finding.place}: {finding.message}{reason}"
        if len(findings) > FINDINGS_SHOWN_MAX:
            yield f"  … and {len(findings) - FINDINGS_SHOWN_MAX} more (all of them with --json)"
        yield f"log 日志 {self.origin or 'unknown'}: {self.size} entries, root {self.root.hex() or 'unknown'}"
        yield f"witnesses 见证方 {self.witnesses}"
        for result in self.results.all():
            mark, meaning = _MARKS[result.verdict], MEANINGS[result.check]
            yield f"  {mark:<9} {result.check.value:<13} {result.examined:>8}  {meaning}"
            for why in dict.fromkeys(result.unchecked):
                yield f"            not checked: {why}"
            for remark in result.remarks:
                yield f"            {remark}"
        for name, cost in (self.figures.get("cost") or {}).items():
            yield f"whole cost 总隐私成本 {name}: {cost_line(cost)}"
