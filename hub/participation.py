"""What participants ask of their accounts: each act rests on link tickets and becomes an entry of the log.

Whether it holds is the log's rules' to say; here the tickets' pseudonyms become accounts, a pseudonym nobody
has released yet gets its account, and the same tickets again get the first answer.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from hub.intake import Intake, Own
from hub.state import State
from hub.store import entries
from hub.store.writer import Writer
from privacy import account_changes as changes
from privacy import choices, envelope
from privacy.chunks import HALF_BYTES
from privacy.envelope import Kind
from privacy.links import build_links
from privacy.spent_tickets import SpentTickets
from privacy.tickets import Ticket
from protos.epochs import Epoch, next_epoch
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import envelope_pb2, programme_pb2
from protos.v1.problem_pb2 import (
    REASON_TICKET_INVALID,
    REASON_TICKET_USED,
    REASON_TRUST_ROOT_INVALID,
    REASON_UNKNOWN_FIELD_VALUE,
)

logger = logging.getLogger(__name__)

TICKETS_MAX = changes.SHARES_MAX + 1
CHOICES_MAX = 1_000
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


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice without its account, and the ticket for it."""

    choice: programme_pb2.Choice
    ticket: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """What was logged: the account it leaves, from which epoch on, in which entry."""

    account: bytes
    effective: Epoch
    index: int


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
        self._spent = spent
        self._state = state
        self._intake = intake
        self._writer = writer
        self._clock = clock
        self._random = random
        # Tickets to look, by when they end.
        self._seen: dict[tuple[str, bytes], int] = {}
        self._lock = threading.Lock()

    def change(self, asked: Asked, *, caller: str = "") -> Done:
        """Log a change; `caller` is an enterprise that asks for a person it has logged in, "" the portal."""
        if asked.kind not in _PURPOSES or not 1 <= len(asked.tickets) <= TICKETS_MAX:
            raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "Persons prove, merge, split, close and share out.")
        purpose = _PURPOSES[asked.kind]
        self._writer.call(lambda connection: self._link(connection, asked.tickets, purpose, caller))
        return self._writer.call(lambda connection: self._change(connection, asked))

    def choose(self, choice: programme_pb2.Choice, ticket: bytes, *, caller: str = "") -> Done:
        """Log what a person chose, from the next epoch that has not begun."""
        return self.choose_all([Chosen(choice, ticket)], caller=caller)[0]

    def choose_all(self, chosen: Sequence[Chosen], *, caller: str = "") -> list[Done]:
        """Log what persons chose, in one entry; those logged before get their first answer."""
        if not 1 <= len(chosen) <= CHOICES_MAX:
            raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"1 to {CHOICES_MAX} choices come at once.")
        unused = [one.ticket for one in chosen if not self._state.log.participants.is_used(one.ticket)]
        if unused:
            self._writer.call(lambda connection: self._link(connection, unused, "choose", caller))
        return self._writer.call(lambda connection: self._choose(connection, chosen))

    def set_frozen(self, account: bytes, *, frozen: bool) -> Done:
        """Freeze an account, or open it again; the operator's alone."""
        kind = changes.FREEZE if frozen else changes.UNFREEZE
        return self._writer.call(lambda connection: self._append(connection, kind, account, ()))

    def viewed(self, ticket: bytes, *, caller: str = "") -> bytes:
        """Give the account a ticket lets its person see."""
        participants, at = self._state.log.participants, self._clock()
        found = participants.check_ticket(ticket, purpose="view", at=at)
        _check_caller([found.enterprise_id], caller)
        self._use(found, at)
        account = participants.account(found.pseudonym)
        if account is None:
            raise Refused(
                REASON_TICKET_INVALID,
                "The person has no account yet.",
                remedy="It begins with the first release, or with a proof of control.",
            )
        return account

    def _use(self, ticket: Ticket, at: int) -> None:
        """Remember a ticket that leaves no entry until it ends; it, too, is accepted once."""
        with self._lock:
            self._seen = {use: ends for use, ends in self._seen.items() if ends >= at}
            if ticket.use in self._seen:
                raise Conflict(
                    REASON_TICKET_USED,
                    "The ticket was used before.",
                    remedy="Ask the enterprise for a new one.",
                )
            self._seen[ticket.use] = ticket.expires_at

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
        self._check_unspent(connection, taken, at)
        accounts = [participants.account(one.pseudonym) or b"" for one in taken]
        first, tickets = accounts[0], list(asked.tickets)
        match asked.kind:
            case changes.MERGE if len(accounts) == 2:
                stays, ends = participants.by_age(accounts[0], accounts[1])
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
        effective, salt = self._open_epoch(), self._random(changes.SALT_BYTES)

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

    def _choose(self, connection: Connection, chosen: Sequence[Chosen]) -> list[Done]:
        participants, at = self._state.log.participants, self._clock()
        fresh = [one for one in chosen if not participants.is_used(one.ticket)]
        done = {one.ticket: self._again(connection, one, at) for one in chosen if one not in fresh}
        if fresh:
            said = [self._said(connection, one, at) for one in fresh]
            effective = participants.choice_effective(at)
            salts = self._random(choices.SALT_BYTES * len(fresh))

            def build(header: envelope_pb2.Header) -> Own:
                built = choices.build_choices(
                    header,
                    effective=effective,
                    salts=salts,
                    choices=said,
                    tickets=[one.ticket for one in fresh],
                )
                return Own(Kind.CHOICE_BATCH, built.message, built.bodies)

            index = self._intake.append_own(connection, build).index
            done |= {
                one.ticket: Done(choice.account, effective, index)
                for one, choice in zip(fresh, said, strict=True)
            }
        return [done[one.ticket] for one in chosen]

    def _again(self, connection: Connection, chosen: Chosen, at: int) -> Done:
        """Give what was logged for a used ticket; another choice on its nonce is what the rules refuse."""
        known = self._chosen(connection, chosen.ticket)
        if known is None:
            self._said(connection, chosen, at)
        assert known is not None
        return known

    def _said(self, connection: Connection, chosen: Chosen, at: int) -> programme_pb2.Choice:
        """Give the choice under the account of the ticket's person."""
        participants = self._state.log.participants
        taken = participants.check_ticket(
            chosen.ticket, purpose="choose", at=at, subject=choices.subject(chosen.choice)
        )
        self._check_unspent(connection, [taken], at)
        said = programme_pb2.Choice()
        said.CopyFrom(chosen.choice)
        said.account = participants.account(taken.pseudonym) or b""
        return said

    def _check_unspent(self, connection: Connection, tickets: Sequence[Ticket], at: int) -> None:
        """Refuse nonces that operations rest on, those in no segment yet among them."""
        spent = self._spent(connection)
        for one in tickets:
            spent.check(one.use, at)

    def _link(self, connection: Connection, tickets: Sequence[bytes], purpose: str, caller: str) -> None:
        """Give accounts to those whose pseudonyms no release has brought one yet, a job of its own."""
        participants = self._state.log.participants
        try:
            taken = participants.tickets(tickets, purpose=purpose, at=self._clock())
        except Conflict:
            return
        _check_caller([one.enterprise_id for one in taken], caller)
        fresh = sorted({one.pseudonym for one in taken if participants.account(one.pseudonym) is None})
        if not fresh:
            return
        drawn = self._random(2 * HALF_BYTES * len(fresh))
        halves = [drawn[at : at + HALF_BYTES] for at in range(0, len(drawn), HALF_BYTES)]

        def build(header: envelope_pb2.Header) -> Own:
            inherited = self._state.inherited(fresh)
            built = build_links(
                header,
                effective=self._open_epoch(),
                salts=b"".join(halves[1::2]),
                pseudonyms=b"".join(fresh),
                accounts=b"".join(
                    inherited.get(one, drawn_id) for one, drawn_id in zip(fresh, halves[::2], strict=True)
                ),
            )
            return Own(Kind.LINK_BATCH, built.message, built.bodies)

        self._intake.append_own(connection, build)

    def _open_epoch(self) -> Epoch:
        """Give the first epoch whose books are open."""
        last = self._state.last_closed
        if last is not None:
            return next_epoch(last)
        policies = self._state.log.policies
        if not policies:
            raise Refused(REASON_TRUST_ROOT_INVALID, "The log has no policy yet.")
        return min(one.first_epoch for one in policies)

    def _logged(self, connection: Connection, asked: Asked) -> Done | None:
        """Find the change that rests on exactly these tickets."""
        hashes = [hashlib.sha256(ticket).digest() for ticket in asked.tickets]
        for entry in reversed(entries.find_entries(connection, Kind.ACCOUNT_CHANGE.value)):
            data = entries.read_bodies(connection, entry.index)[0]
            body = programme_pb2.AccountChangeBody.FromString(data)
            if list(body.ticket_hashes) == hashes:
                message = envelope.open_envelope(entry.envelope).parse(programme_pb2.AccountChange)
                is_split = message.kind == changes.SPLIT
                account = body.other_account if is_split else body.account
                return Done(account, Epoch(message.effective_epoch), entry.index)
        return None

    def _chosen(self, connection: Connection, ticket: bytes) -> Done | None:
        """Find the choice that rests on exactly this ticket."""
        for entry in reversed(entries.find_entries(connection, Kind.CHOICE_BATCH.value)):
            for data in entries.read_bodies(connection, entry.index)[1::2]:
                opening = programme_pb2.ChoiceOpening.FromString(data)
                if ticket in opening.tickets:
                    choice = opening.choices[list(opening.tickets).index(ticket)]
                    message = envelope.open_envelope(entry.envelope).parse(programme_pb2.ChoiceBatch)
                    return Done(choice.account, Epoch(message.effective_epoch), entry.index)
        return None


def _check_caller(enterprises: Sequence[str], caller: str) -> None:
    """An enterprise asks only for persons that it, too, has logged in."""
    if caller and caller not in enterprises:
        raise Refused(REASON_TICKET_INVALID, "None of the tickets is of the enterprise that asks.")
