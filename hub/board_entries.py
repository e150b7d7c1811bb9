"""Joining and leaving a board: a person's own ticket says under what name; nobody is shown without one."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy import Connection

from hub.ledger import Ledger
from hub.state import State
from hub.store import boards as store
from hub.store import tickets
from hub.store.tickets import TakenTicket
from hub.store.writer import Writer
from privacy import codec
from privacy.opened_tickets import Ticket
from privacy.spent_tickets import used
from privacy.tickets import subject_of
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import reward_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_CONTROL_NOT_PROVED,
    REASON_PROGRAMME_UNKNOWN,
    REASON_QUOTA_EXCEEDED,
    REASON_UNKNOWN_FIELD_VALUE,
)

PURPOSE = "choose"
MEMBERS_MAX = 2_000
_ALIAS = re.compile(r"[\w][\w .-]{0,30}[\w]?")


class BoardEntries:
    """Changes who a board shows."""

    def __init__(self, state: State, ledger: Ledger, writer: Writer, clock: Callable[[], int]) -> None:
        self._state = state
        self._ledger = ledger
        self._writer = writer
        self._clock = clock

    def change(self, entry: reward_pb2.BoardEntry, ticket: bytes) -> None:
        """Show or hide the ticket's person on a board of those that opted in."""
        if not _ALIAS.fullmatch(entry.alias):
            raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "A name has 1 to 32 letters, digits, spaces, . or -.")
        participants = self._state.log.participants
        found = participants.check_ticket(
            ticket, purpose=PURPOSE, at=self._clock(), subject=subject_of(codec.encode(entry))
        )
        account = participants.account(found.pseudonym)
        if account is None or not participants.is_proved(account):
            raise Refused(REASON_CONTROL_NOT_PROVED, "The person has not proved control of an account.")
        self._writer.call(lambda connection: self._taken(connection, entry, found, account))

    def _taken(
        self, connection: Connection, entry: reward_pb2.BoardEntry, ticket: Ticket, account: bytes
    ) -> None:
        """Change once by a ticket: an old one would bring back a name that was withdrawn since."""
        if tickets.is_taken(connection, *ticket.use):
            raise used()
        self._change(connection, entry, account)
        tickets.add_tickets(connection, [TakenTicket.of(ticket, account, at=self._clock())])

    def _change(self, connection: Connection, entry: reward_pb2.BoardEntry, account: bytes) -> None:
        programme, board = entry.programme, entry.board
        if not entry.shown:
            store.remove_entry(connection, programme, board, account)
            return
        offered = self._ledger.facts(connection).in_force(programme)
        asked = offered.boards.get(board) if offered is not None else None
        if asked is None or asked.by != "account":
            raise Refused(REASON_PROGRAMME_UNKNOWN, f"{programme} has no such board to join.")
        holder = store.find_alias(connection, programme, board, entry.alias)
        if holder not in (None, account):
            raise Conflict(REASON_ALREADY_EXISTS, "Somebody else has this name on the board.")
        if store.count_entries(connection, programme, board) >= MEMBERS_MAX:
            raise Refused(REASON_QUOTA_EXCEEDED, f"A board has at most {MEMBERS_MAX} members.")
        store.put_entry(connection, programme, board, account, entry.alias)
