"""The link tickets that acts rest on: who may bring them, that each counts once, which entry used it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from hub.state import State
from hub.store import entries, tickets
from hub.store.entries import StoredEntry
from hub.store.tickets import TakenTicket
from privacy import envelope
from privacy.envelope import Kind, Opened
from privacy.opened_tickets import Ticket
from privacy.spent_tickets import SpentTickets, used
from privacy.tickets import invalid

# Who looked at an account is shown to its person so long.
LOOKS_KEPT_SECONDS = 400 * 86_400


class Resting(NamedTuple):
    """An entry that rests on a ticket, and its envelope opened."""

    entry: StoredEntry
    opened: Opened


class TakenTickets:
    """Notes tickets in the transaction of the act they were taken for."""

    def __init__(self, state: State, spent: Callable[[Connection], SpentTickets]) -> None:
        self._state = state
        self._spent = spent

    def check_caller(self, data: Sequence[bytes], caller: str) -> None:
        """An enterprise asks only for persons that it, too, has logged in; "" is the portal."""
        if not caller:
            return
        signers = {self._state.log.participants.signer(one) for one in data}
        if caller not in signers:
            raise invalid("none is of the enterprise that asks")

    def check_unspent(self, connection: Connection, taken: Sequence[Ticket], at: int) -> None:
        """Refuse nonces that operations rest on, those in no segment yet among them."""
        spent = self._spent(connection)
        for one in taken:
            spent.check(one.use, at)

    def note(
        self, connection: Connection, taken: Iterable[tuple[Ticket, bytes]], *, at: int, index: int
    ) -> None:
        """Note tickets with the accounts they were taken for, and the entry that rests on them."""
        noted = (TakenTicket.of(one, account, at=at, index=index) for one, account in taken)
        tickets.add_tickets(connection, noted)

    def note_look(self, connection: Connection, ticket: Ticket, account: bytes, *, at: int) -> None:
        """Note a look, which leaves no entry; raises Conflict TICKET_USED."""
        if tickets.is_taken(connection, *ticket.use):
            raise used()
        tickets.forget_looks(connection, at - LOOKS_KEPT_SECONDS)
        tickets.add_tickets(connection, [TakenTicket.of(ticket, account, at=at)])

    def resting_on(self, connection: Connection, data: bytes, kind: Kind) -> Resting | None:
        """Give the entry of a kind that rests on a ticket."""
        index = tickets.find_index(connection, hashlib.sha256(data).digest())
        entry = None if index is None else entries.read_entry(connection, index)
        if entry is None:
            return None
        opened = envelope.open_envelope(entry.envelope)
        return Resting(entry, opened) if opened.kind is kind else None
