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

from hub.intake import Intake, Own
from hub.state import State
from hub.store import entries
from hub.store import tickets as store
from hub.store.entries import StoredEntry
from hub.store.tickets import TakenTicket
from hub.store.writer import Writer
from privacy import account_changes as changes
from privacy import choices, envelope
from privacy.chunks import HALF_BYTES
from privacy.envelope import Kind
from privacy.links import build_links
from privacy.opened_tickets import Ticket
from privacy.spent_tickets import SpentTickets, used
from privacy.tickets import invalid
from protos.epochs import Epoch, next_epoch
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import envelope_pb2, programme_pb2
from protos.v1.problem_pb2 import (
    REASON_PROGRAMME_UNKNOWN,
    REASON_TICKET_INVALID,
    REASON_TICKET_USED,
    REASON_TRUST_ROOT_INVALID,
    REASON_UNKNOWN_FIELD_VALUE,
)

logger = logging.getLogger(__name__)

TICKETS_MAX = changes.SHARES_MAX + 1
CHOICES_MAX = 1_000
# Who looked at an account is shown to its person so long.
LOOKS_KEPT_SECONDS = 400 * 86_400
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

    def change(self, asked: Asked, *, caller: str = "") -> Done:
        """Log a change; `caller` is an enterprise that asks for a person it has logged in, "" the portal."""
        if asked.kind not in _PURPOSES or not 1 <= len(asked.tickets) <= TICKETS_MAX:
            raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "Persons prove, merge, split, close and share out.")
        purpose = _PURPOSES[asked.kind]
        self._check_caller(asked.tickets, caller)
        self._writer.call(lambda connection: self._link(connection, asked.tickets, purpose))
        return self._writer.call(lambda connection: self._change(connection, asked))

    def choose(self, choice: programme_pb2.Choice, ticket: bytes, *, caller: str = "") -> Done:
        """Log what a person chose, from the next epoch that has not begun."""
        return self.choose_all([Chosen(choice, ticket)], caller=caller)[0]

    def choose_all(self, chosen: Sequence[Chosen], *, caller: str = "") -> list[Done]:
        """Log what persons chose, in one entry; those logged before get their first answer."""
        if not 1 <= len(chosen) <= CHOICES_MAX:
            raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"1 to {CHOICES_MAX} choices come at once.")
        self._check_caller([one.ticket for one in chosen], caller)
        unused = [one.ticket for one in chosen if not self._state.log.participants.is_used(one.ticket)]
        if unused:
            self._writer.call(lambda connection: self._link(connection, unused, "choose"))
        return self._writer.call(lambda connection: self._choose(connection, chosen))

    def set_frozen(self, account: bytes, *, frozen: bool) -> Done:
        """Freeze an account, or open it again; the operator's alone."""
        kind = changes.FREEZE if frozen else changes.UNFREEZE
        return self._writer.call(lambda connection: self._append(connection, kind, account, ()))

    def viewed(self, ticket: bytes, *, caller: str = "") -> bytes:
        """Give the account a ticket lets its person see, and note by whose word it was looked at."""
        self._check_caller([ticket], caller)
        return self._writer.call(lambda connection: self._viewed(connection, ticket))

    def _viewed(self, connection: Connection, data: bytes) -> bytes:
        participants, at = self._state.log.participants, self._clock()
        ticket = participants.check_ticket(data, purpose="view", at=at)
        if store.is_taken(connection, *ticket.use):
            raise used()
        account = participants.account(ticket.pseudonym)
        if account is None:
            raise Refused(
                REASON_TICKET_INVALID,
                "The person has no account yet.",
                remedy="It begins with the first release, or with a proof of control.",
            )
        store.forget_looks(connection, at - LOOKS_KEPT_SECONDS)
        store.add_tickets(connection, [TakenTicket.of(ticket, account, at=at)])
        return account

    def _check_caller(self, tickets: Sequence[bytes], caller: str) -> None:
        """An enterprise asks only for persons that it, too, has logged in."""
        if not caller:
            return
        signers = {self._state.log.participants.signer(one) for one in tickets}
        if caller not in signers:
            raise invalid("none is of the enterprise that asks")

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
        done = self._logged_change(connection, asked, taken, accounts)
        store.add_tickets(
            connection,
            (
                TakenTicket.of(one, account, at=at, index=done.index)
                for one, account in zip(taken, accounts, strict=True)
            ),
        )
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
            taken = [self._taken_for(connection, one, at) for one in fresh]
            said = [self._said(one, ticket) for one, ticket in zip(fresh, taken, strict=True)]
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
            store.add_tickets(
                connection,
                (
                    TakenTicket.of(ticket, choice.account, at=at, index=index)
                    for ticket, choice in zip(taken, said, strict=True)
                ),
            )
            done |= {
                one.ticket: Done(choice.account, effective, index)
                for one, choice in zip(fresh, said, strict=True)
            }
        return [done[one.ticket] for one in chosen]

    def _again(self, connection: Connection, chosen: Chosen, at: int) -> Done:
        """Give what was logged for a used ticket; another choice on its nonce is what the rules refuse."""
        known = self._chosen(connection, chosen)
        if known is None:
            self._taken_for(connection, chosen, at)
            raise used()
        return known

    def _taken_for(self, connection: Connection, chosen: Chosen, at: int) -> Ticket:
        """Take a choice's ticket."""
        taken = self._state.log.participants.check_ticket(
            chosen.ticket, purpose="choose", at=at, subject=choices.subject(chosen.choice)
        )
        self._check_unspent(connection, [taken], at)
        return taken

    def _said(self, chosen: Chosen, ticket: Ticket) -> programme_pb2.Choice:
        """Give the choice under the account of the ticket's person; what nobody knows cannot be chosen."""
        if chosen.choice.WhichOneof("what") == "recording":
            self._check_class(chosen.choice.recording.overlap_class)
        else:
            self._check_programme(chosen.choice.pool.programme)
        said = programme_pb2.Choice()
        said.CopyFrom(chosen.choice)
        said.account = self._state.log.participants.account(ticket.pseudonym) or b""
        return said

    def _check_class(self, overlap_class: str) -> None:
        known = {one.overlap_class for policy in self._state.log.policies for one in policy.packs}
        if overlap_class not in known:
            raise Malformed(
                REASON_UNKNOWN_FIELD_VALUE,
                f"No policy has a methodology of the overlap class {overlap_class!r}.",
                remedy=f"The policies' classes are {', '.join(sorted(known))}.",
            )

    def _check_programme(self, programme: str) -> None:
        if programme not in self._state.log.programmes:
            raise Refused(
                REASON_PROGRAMME_UNKNOWN,
                f"The log holds no programme {programme!r}.",
                remedy="See /v1/rewards or /programmes for those there are.",
            )

    def _check_unspent(self, connection: Connection, tickets: Sequence[Ticket], at: int) -> None:
        """Refuse nonces that operations rest on, those in no segment yet among them."""
        spent = self._spent(connection)
        for one in tickets:
            spent.check(one.use, at)

    def _link(self, connection: Connection, tickets: Sequence[bytes], purpose: str) -> None:
        """Give accounts to those whose pseudonyms no release has brought one yet, a job of its own."""
        participants = self._state.log.participants
        try:
            taken = participants.tickets(tickets, purpose=purpose, at=self._clock())
        except Conflict:
            return
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
        entry = self._resting_on(connection, hashes[0])
        opened = None if entry is None else envelope.open_envelope(entry.envelope)
        if entry is None or opened is None or opened.kind is not Kind.ACCOUNT_CHANGE:
            return None
        body = programme_pb2.AccountChangeBody.FromString(entries.read_bodies(connection, entry.index)[0])
        parts = list(zip(body.shares_accounts, body.shares_basis_points, strict=True))
        if list(body.ticket_hashes) != hashes or parts != list(asked.parts):
            return None
        message = opened.parse(programme_pb2.AccountChange)
        account = body.other_account if message.kind == changes.SPLIT else body.account
        return Done(account, Epoch(message.effective_epoch), entry.index)

    def _chosen(self, connection: Connection, chosen: Chosen) -> Done | None:
        """Find the choice that rests on exactly this ticket, and is the one it names."""
        ticket = chosen.ticket
        entry = self._resting_on(connection, hashlib.sha256(ticket).digest())
        opened = None if entry is None else envelope.open_envelope(entry.envelope)
        if entry is None or opened is None or opened.kind is not Kind.CHOICE_BATCH:
            return None
        for data in entries.read_bodies(connection, entry.index)[1::2]:
            opening = programme_pb2.ChoiceOpening.FromString(data)
            if ticket in opening.tickets:
                choice = opening.choices[list(opening.tickets).index(ticket)]
                if choices.subject(choice) != choices.subject(chosen.choice):
                    return None
                message = opened.parse(programme_pb2.ChoiceBatch)
                return Done(choice.account, Epoch(message.effective_epoch), entry.index)
        return None

    def _resting_on(self, connection: Connection, ticket_hash: bytes) -> StoredEntry | None:
        """Give the entry that rests on a ticket."""
        index = store.find_index(connection, ticket_hash)
        return None if index is None else entries.read_entry(connection, index)
