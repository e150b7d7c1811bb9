"""What a doctor or a reconciliation says of each thing it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
