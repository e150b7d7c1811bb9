"""What persons choose: who records an overlap class of theirs, whose programme may pool their grams.

Each choice rests on its person's ticket, which names it; many are logged in one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from hub.first_links import FirstLinks
from hub.intake import Intake, Own
from hub.state import State
from hub.store import entries
from hub.store.writer import Writer
from hub.taken_tickets import TakenTickets
from privacy import choices
from privacy.envelope import Kind
from privacy.opened_tickets import Ticket
from privacy.spent_tickets import used
from protos.epochs import Epoch
from protos.problems import Malformed, Refused
from protos.v1 import envelope_pb2, programme_pb2
from protos.v1.problem_pb2 import REASON_PROGRAMME_UNKNOWN, REASON_UNKNOWN_FIELD_VALUE

CHOICES_MAX = 1_000


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


class Choosing:
    """Turns choices into entries."""

    def __init__(
        self,
        state: State,
        intake: Intake,
        writer: Writer,
        tickets: TakenTickets,
        links: FirstLinks,
        *,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
    ) -> None:
        self._state = state
        self._intake = intake
        self._writer = writer
        self._tickets = tickets
        self._links = links
        self._clock = clock
        self._random = random

    def choose_all(self, chosen: Sequence[Chosen], *, caller: str = "") -> list[Done]:
        """Log what persons chose, in one entry; those logged before get their first answer."""
        if not 1 <= len(chosen) <= CHOICES_MAX:
            raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"1 to {CHOICES_MAX} choices come at once.")
        self._tickets.check_caller([one.ticket for one in chosen], caller)
        unused = [one.ticket for one in chosen if not self._state.log.participants.is_used(one.ticket)]
        if unused:
            self._writer.call(lambda connection: self._links.link(connection, unused, "choose"))
        return self._writer.call(lambda connection: self._choose(connection, chosen))

    def _choose(self, connection: Connection, chosen: Sequence[Chosen]) -> list[Done]:
        participants, at = self._state.log.participants, self._clock()
        fresh = [one for one in chosen if not participants.is_used(one.ticket)]
        unused = {one.ticket for one in fresh}
        done = {one.ticket: self._again(connection, one, at) for one in chosen if one.ticket not in unused}
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
            accounts = [one.account for one in said]
            self._tickets.note(connection, zip(taken, accounts, strict=True), at=at, index=index)
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
        self._tickets.check_unspent(connection, [taken], at)
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

    def _chosen(self, connection: Connection, chosen: Chosen) -> Done | None:
        """Find the choice that rests on exactly this ticket, and is the one it names."""
        found = self._tickets.resting_on(connection, chosen.ticket, Kind.CHOICE_BATCH)
        if found is None:
            return None
        for data in entries.read_bodies(connection, found.entry.index)[1::2]:
            opening = programme_pb2.ChoiceOpening.FromString(data)
            if chosen.ticket not in opening.tickets:
                continue
            choice = opening.choices[list(opening.tickets).index(chosen.ticket)]
            if choices.subject(choice) != choices.subject(chosen.choice):
                return None
            message = found.opened.parse(programme_pb2.ChoiceBatch)
            return Done(choice.account, Epoch(message.effective_epoch), found.entry.index)
        return None
