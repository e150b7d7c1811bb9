"""What participants did, as the replay counts it: selections, choices, changes to accounts and their tickets.

The rules themselves were run when each entry was decided; here is only what was looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from auditor.findings import Check, Results
from privacy.acceptance import Admission
from privacy.envelope import Kind


@dataclass(slots=True)
class Participation:
    """How many of each the log holds."""

    selections: int = 0
    left_out: int = 0
    pooled: int = 0
    choices: int = 0
    account_changes: int = 0

    def take(self, admission: Admission, bodies: Sequence[bytes] | None, results: Results) -> None:
        """Count one entry that was decided."""
        message = admission.message
        match admission.kind:
            case Kind.RESERVATION:
                # Whether the selection it stands under is the log's was decided with it.
                results[Check.SELECTIONS].examined += 1
            case Kind.SELECTION:
                self.selections += 1
                self.left_out += message.excluded
                self.pooled += message.pooled
            case Kind.CHOICE_BATCH:
                self.choices += message.count
                results[Check.TICKETS].examined += message.count
            case Kind.ACCOUNT_CHANGE:
                self.account_changes += 1
                results[Check.TICKETS].examined += max(len(bodies or ()) - 1, 0)
            case _:
                pass

    def to_json(self) -> dict[str, Any]:
        """Give the figures as JSON."""
        return asdict(self)
