"""Link tickets: the enterprise signs that it has logged a person in, for one purpose and a few minutes.

A ticket is handed to the enterprise's own app or to the person; nothing is sent from here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from privacy.chunks import HASH_BYTES
from privacy.tickets import NONCE_BYTES, PURPOSES, TICKET_SECONDS_MAX, sign_ticket
from protos.problems import Malformed, Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_UNKNOWN_FIELD_VALUE

if TYPE_CHECKING:
    from enterprise_node.membership import Membership
    from enterprise_node.roster import Roster


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed ticket, and when it ends."""

    ticket: bytes
    expires_at: int


class Tickets:
    """Signs tickets for persons on this enterprise's roster."""

    def __init__(self, roster: Roster, membership: Membership, clock: Callable[[], float]) -> None:
        self._roster = roster
        self._membership = membership
        self._clock = clock

    def issue(self, person: int, purpose: str, subject: bytes = b"") -> Issued:
        """Sign a ticket for an enrolled person; raises Unavailable NOT_FOUND for anybody else."""
        if purpose not in PURPOSES:
            known = ", ".join(sorted(PURPOSES))
            raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"A ticket is for one of: {known}.")
        if len(subject) not in (0, HASH_BYTES):
            raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "A subject is a SHA-256, or empty.")
        pseudonym = self._roster.pseudonym(person)
        if pseudonym is None:
            raise Unavailable(
                REASON_NOT_FOUND,
                "The person is not enrolled.",
                remedy="Tickets are for persons on the roster: enrol first.",
            )
        now = int(self._clock())
        ticket = sign_ticket(
            self._membership.signing_key,
            origin=self._membership.origin,
            enterprise_id=self._membership.enterprise_id,
            pseudonym=pseudonym,
            purpose=purpose,
            nonce=secrets.token_bytes(NONCE_BYTES),
            issued_at=now,
            subject=subject,
        )
        return Issued(ticket, now + TICKET_SECONDS_MAX)
