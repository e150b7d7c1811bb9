"""What participants ask of their accounts: each act rests on link tickets and becomes an entry of the log.

Whether it holds is the log's rules' to say; here the tickets' pseudonyms become accounts, a pseudonym nobody
has released yet gets its account, and the same tickets again get the first answer.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from hub.choosing import Choosing, Chosen, Done
from hub.first_links import FirstLinks
from hub.intake import Intake, Own
from hub.state import State
from hub.store import entries
from hub.store.writer import Writer
from hub.taken_tickets import TakenTickets
from privacy import account_changes as changes
from privacy.chunks import HALF_BYTES
from privacy.envelope import Kind
from privacy.opened_tickets import Ticket
from privacy.spent_tickets import SpentTickets
from protos.epochs import Epoch
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import envelope_pb2, programme_pb2
from protos.v1.problem_pb2 import (
    REASON_TICKET_INVALID,
    REASON_TICKET_USED,
    REASON_UNKNOWN_FIELD_VALUE,
)

logger = logging.getLogger(__name__)

TICKETS_MAX = changes.SHARES_MAX + 1
_PURPOSES = {
    changes.PROVE: "prove",
    changes.MERGE: "merge",
    changes.SPLIT: "split",
    changes.CLOSE: "close",
    changes.SHARE_OUT: "share",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A change that tickets ask for; `parts` are a share-out's."""

    kind: programme_pb2.AccountChangeKind.ValueType
    tickets: Sequence[bytes]
    parts: Sequence[tuple[bytes, int]] = ()


class Participation:
    """Turns participants' acts into entries."""

    def __init__(
        self,
        state: State,
        intake: Intake,
        writer: Writer,
        *,
        clock: Callable[[], int],
        random: Callable[[int], bytes] = secrets.token_bytes,
        spent: Callable[[Connection], SpentTickets] = lambda connection: SpentTickets(),
    ) -> None:
        self._state = state
        self._intake = intake
        self._writer = writer
        self._clock = clock
        self._random = random
        self._tickets = TakenTickets(state, spent)
        self._links = FirstLinks(state, intake, clock=clock, random=random)
        self._choosing = Choosing(
            state, intake, writer, self._tickets, self._links, clock=clock, random=random
        )

    def change(self, asked: Asked, *, caller: str = "") -> Done:
        """Log a change; `caller` is an enterprise that asks for a person it has logged in, "" the portal."""
        if asked.kind not in _PURPOSES or not 1 <= len(asked.tickets) <= TICKETS_MAX:
            raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "Persons prove, merge, split, close and share out.")
        purpose = _PURPOSES[asked.kind]
        self._tickets.check_caller(asked.tickets, caller)
        self._writer.call(lambda connection: self._links.link(connection, asked.tickets, purpose))
        return self._writer.call(lambda connection: self._change(connection, asked))

    def choose(self, choice: programme_pb2.Choice, ticket: bytes, *, caller: str = "") -> Done:
        """Log what a person chose, from the next epoch that has not begun."""
        return self.choose_all([Chosen(choice, ticket)], caller=caller)[0]

    def choose_all(self, chosen: Sequence[Chosen], *, caller: str = "") -> list[Done]:
        """Log what persons chose, in one entry; those logged before get their first answer."""
        return self._choosing.choose_all(chosen, caller=caller)

    def set_frozen(self, account: bytes, *, frozen: bool) -> Done:
        """Freeze an account, or open it again; the operator's alone."""
        kind = changes.FREEZE if frozen else changes.UNFREEZE
        return self._writer.call(lambda connection: self._append(connection, kind, account, ()))

    def viewed(self, ticket: bytes, *, caller: str = "") -> bytes:
        """Give the account a ticket lets its person see, and note by whose word it was looked at."""
        self._tickets.check_caller([ticket], caller)
        return self._writer.call(lambda connection: self._viewed(connection, ticket))

    def _viewed(self, connection: Connection, data: bytes) -> bytes:
        participants, at = self._state.log.participants, self._clock()
        ticket = participants.check_ticket(data, purpose="view", at=at)
        account = participants.account(ticket.pseudonym)
        if account is None:
            raise Refused(
                REASON_TICKET_INVALID,
                "The person has no account yet.",
                remedy="It begins with the first release, or with a proof of control.",
            )
        self._tickets.note_look(connection, ticket, account, at=at)
        return account

    def _change(self, connection: Connection, asked: Asked) -> Done:
        try:
            return self._changed(connection, asked)
        except Conflict as conflict:
            known = self._logged(connection, asked) if conflict.reason == REASON_TICKET_USED else None
            if known is None:
                raise
            return known

    def _changed(self, connection: Connection, asked: Asked) -> Done:
        participants, at = self._state.log.participants, self._clock()
        taken = participants.tickets(asked.tickets, purpose=_PURPOSES[asked.kind], at=at)
        self._tickets.check_unspent(connection, taken, at)
        accounts = [participants.account(one.pseudonym) or b"" for one in taken]
        done = self._logged_change(connection, asked, taken, accounts)
        self._tickets.note(connection, zip(taken, accounts, strict=True), at=at, index=done.index)
        return done

    def _logged_change(
        self, connection: Connection, asked: Asked, taken: Sequence[Ticket], accounts: Sequence[bytes]
    ) -> Done:
        """Log a change of the accounts behind its tickets; gives the account it leaves."""
        first, tickets = accounts[0], list(asked.tickets)
        match asked.kind:
            case changes.MERGE if len(accounts) == 2:
                stays, ends = self._state.log.participants.by_age(accounts[0], accounts[1])
                return self._append(connection, asked.kind, stays, tickets, other_account=ends)
            case changes.SPLIT:
                fresh = self._random(HALF_BYTES)
                done = self._append(
                    connection,
                    asked.kind,
                    first,
                    tickets,
                    other_account=fresh,
                    pseudonym=taken[0].pseudonym,
                )
                return Done(fresh, done.effective, done.index)
            case _:
                return self._append(connection, asked.kind, first, tickets, parts=asked.parts)

    def _append(
        self,
        connection: Connection,
        kind: programme_pb2.AccountChangeKind.ValueType,
        account: bytes,
        tickets: Sequence[bytes],
        *,
        other_account: bytes = b"",
        pseudonym: bytes = b"",
        parts: Sequence[tuple[bytes, int]] = (),
    ) -> Done:
        effective, salt = self._links.open_epoch(), self._random(changes.SALT_BYTES)

        def build(header: envelope_pb2.Header) -> Own:
            built = changes.build_change(
                header,
                kind=kind,
                effective=effective,
                salt=salt,
                account=account,
                tickets=tickets,
                other_account=other_account,
                pseudonym=pseudonym,
                parts=parts,
            )
            return Own(Kind.ACCOUNT_CHANGE, built.message, built.bodies)

        stored = self._intake.append_own(connection, build)
        logger.info("account changed", extra={"kind": int(kind), "index": stored.index})
        return Done(account, effective, stored.index)

    def _logged(self, connection: Connection, asked: Asked) -> Done | None:
        """Find the change that rests on exactly these tickets."""
        found = self._tickets.resting_on(connection, asked.tickets[0], Kind.ACCOUNT_CHANGE)
        if found is None:
            return None
        entry = found.entry
        hashes = [hashlib.sha256(ticket).digest() for ticket in asked.tickets]
        body = programme_pb2.AccountChangeBody.FromString(entries.read_bodies(connection, entry.index)[0])
        parts = list(zip(body.shares_accounts, body.shares_basis_points, strict=True))
        if list(body.ticket_hashes) != hashes or parts != list(asked.parts):
            return None
        message = found.opened.parse(programme_pb2.AccountChange)
        account = body.other_account if message.kind == changes.SPLIT else body.account
        return Done(account, Epoch(message.effective_epoch), entry.index)
