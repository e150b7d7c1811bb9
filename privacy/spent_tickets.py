"""The link tickets that operations on the ledgers rest on: no nonce is used twice while its ticket could be.

Operations outnumber entries, so a nonce is remembered only until its ticket ends. What is remembered longer
refuses nothing: everybody who replays refuses the same, whenever they sweep.
"""

from __future__ import annotations

from protos.problems import Conflict
from protos.v1.problem_pb2 import REASON_TICKET_USED

SWEEP_SECONDS = 600

# An enterprise and its nonce.
Use = tuple[str, bytes]


class SpentTickets:
    """Nonces in use, each with the second its ticket ends in."""

    def __init__(self) -> None:
        self._ends: dict[Use, int] = {}
        self._swept_at = 0

    def __len__(self) -> int:
        """Count the nonces remembered."""
        return len(self._ends)

    def check(self, use: Use, at: int) -> None:
        """Refuse a nonce while the ticket it was used with has not ended; raises Conflict TICKET_USED."""
        if self._ends.get(use, -1) >= at:
            raise used()

    def add(self, use: Use, *, ends: int, at: int) -> None:
        """Remember a nonce used at a time, and forget now and then those that have ended."""
        if at >= self._swept_at + SWEEP_SECONDS:
            self._ends = {one: until for one, until in self._ends.items() if until >= at}
            self._swept_at = at
        self._ends[use] = ends

    def forget(self, use: Use) -> None:
        """Take back that a nonce was used: its operation came to nothing."""
        self._ends.pop(use, None)


def used() -> Conflict:
    """Give the refusal of a ticket whose nonce was used."""
    return Conflict(
        REASON_TICKET_USED, "The ticket was used before.", remedy="Ask the enterprise for a new one."
    )
