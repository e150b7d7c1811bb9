"""What a kind's rules say of an entry: the change it makes and the rows its bodies hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from privacy.journal import JournalRows
from privacy.links import LinkRows
from privacy.rosters import RosterRows


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Submission:
    """What the rules look at beside the message: who issued it, where it would stand, its hash and bodies.

    `bodies` is None where they are not at hand; `replaying` allows rows erased since the entry was admitted.
    """

    issuer: str
    index: int
    envelope_hash: bytes
    bodies: Sequence[bytes] | None
    replaying: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """A change to apply; `bodies_checked` is False where bodies belong to the entry and were not at hand."""

    apply: Callable[[], None] = _nothing
    bodies_checked: bool = True
    rows: RosterRows | LinkRows | JournalRows | None = None
