"""Who may have a reward: a condition in CEL over a few whole numbers of the books, evaluated by one engine.

The text is data of the programme; what evaluates it stands behind `Conditions`, the same at the hub and at an
auditor. A condition that fails while it is evaluated (a division by zero, an overflow) is not met.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

from accounting.programmes.programme import Programme
from protos.problems import Malformed

WHOLE_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Facts:
    """What a condition may ask, under these names: figures of the books before the operation.

    points: what may be spent now; lifetime_points and lifetime_grams: all that closes credited, less what
    they took back; grams: the claim still held; epoch: the open one, YYYYMM.
    """

    points: int
    lifetime_points: int
    grams: int
    lifetime_grams: int
    epoch: int

    def bounded(self) -> dict[str, int]:
        """Give the figures by name, inside 64 bits."""
        return {name: max(-WHOLE_MAX, min(getattr(self, name), WHOLE_MAX)) for name in FACT_NAMES}


FACT_NAMES = tuple(field.name for field in fields(Facts))


class Conditions(Protocol):
    """Checks and evaluates conditions."""

    def check(self, text: str) -> None:
        """Refuse a text that is no condition over the facts; raises PROGRAMME_INVALID."""
        ...

    def holds(self, text: str, facts: Facts) -> bool:
        """Evaluate a condition that was checked; the empty one always holds."""
        ...


def check_conditions(programme: Programme, conditions: Conditions) -> None:
    """Check every reward's condition; raises PROGRAMME_INVALID with its place."""
    for name, reward in programme.rewards.items():
        if reward.eligible:
            try:
                conditions.check(reward.eligible)
            except Malformed as problem:
                problem.message = f"rewards.{name}.eligible: {problem.message}"
                raise
