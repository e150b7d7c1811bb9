"""Link tickets that were opened, remembered: a signature is checked at the door and not again in its turn."""

from __future__ import annotations

from dataclasses import dataclass

from privacy.spent_tickets import Use

# Tickets hold for minutes; beyond so many the longest known half is forgotten.
TICKETS_KEPT_MAX = 8_192


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket whose signature held; `hash` is the SHA-256 of its envelope."""

    enterprise_id: str
    pseudonym: bytes
    purpose: str
    nonce: bytes
    subject: bytes
    issued_at: int
    expires_at: int
    hash: bytes

    @property
    def use(self) -> Use:
        """Give what can be used once: the enterprise's nonce."""
        return self.enterprise_id, self.nonce


class OpenedTickets:
    """Tickets opened under one trust root, each found by all of its bytes; threads may share it.

    A new trust root begins a new one: nothing counts that was not opened under the root in force.
    """

    __slots__ = ("_newer", "_older")

    def __init__(self) -> None:
        self._newer: dict[bytes, Ticket] = {}
        self._older: dict[bytes, Ticket] = {}

    def __len__(self) -> int:
        """Count the tickets remembered."""
        return len(self._newer) + len(self._older)

    def find(self, data: bytes) -> Ticket | None:
        """Give the ticket that exactly these bytes were opened as."""
        return self._newer.get(data) or self._older.get(data)

    def add(self, data: bytes, ticket: Ticket) -> None:
        """Remember a ticket that was opened."""
        if len(self._newer) >= TICKETS_KEPT_MAX // 2:
            self._newer, self._older = {}, self._newer
        self._newer[data] = ticket
