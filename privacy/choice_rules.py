"""The rule for choices: each rests on its person's own ticket and acts from an epoch that has not begun."""

from __future__ import annotations

from privacy import choices
from privacy.account_change_rules import acts_from
from privacy.chunks import HALF_BYTES
from privacy.keys import checked_id
from privacy.opened_tickets import Ticket
from privacy.ownership import AccountState, ended, owner
from privacy.policy import NO_OVERLAP, in_force
from privacy.standing import Standing
from privacy.tickets import check_distinct, check_ticket, invalid
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch, checked_epoch, epoch_of, next_epoch
from protos.problems import Malformed
from protos.v1 import programme_pb2
from protos.v1.problem_pb2 import (
    REASON_UNKNOWN_FIELD_VALUE,
    REASON_WRONG_SHAPE,
)

WORD_LENGTH_MAX = 128
_DAY_SECONDS = 86_400
_CIVIL_OFFSET_SECONDS = 8 * 3_600
# Within the last year that epochs are written for.
_LAST_SECOND = 253_000_000_000


def check_choice_batch(
    standing: Standing, message: programme_pb2.ChoiceBatch, submission: Submission
) -> Verdict:
    """Take choices with their tickets, from the first epoch that has not begun and nobody has reserved.

    From no later one either: the hub cannot put off what a person chose.
    """
    effective = checked_epoch(message.effective_epoch)
    first = first_effective(standing, message.header.issued_at)
    if effective != first:
        raise acts_from("choice", first, effective)
    if message.count < 1:
        raise Malformed(REASON_WRONG_SHAPE, "A choice batch holds at least one choice.")
    if submission.bodies is None:
        return Verdict(bodies_checked=False)
    rows = choices.check_bodies(message, submission.bodies, erasure_allowed=submission.replaying)
    tickets = [
        _check_choice(standing, choice, ticket, message.header.issued_at, submission.replaying)
        for choice, ticket in zip(rows.choices, rows.tickets, strict=True)
    ]
    check_distinct(tickets)

    def apply() -> None:
        standing.tickets_used.update(ticket.use for ticket in tickets)
        standing.choices.batches += 1
        for choice in rows.choices:
            standing.choices.take(choice, effective)

    return Verdict(apply)


def first_effective(standing: Standing, at: int) -> Epoch:
    """Give the first epoch not begun at this time that nobody has reserved, selected or closed.

    Under a retrospective policy it may have begun: its epochs lie in the past.
    """
    civil = epoch_of((min(at, _LAST_SECOND) + _CIVIL_OFFSET_SECONDS) // _DAY_SECONDS)
    unsettled = max(_first_unsettled(standing), standing.choices.last_effective)
    if standing.policies and in_force(standing.policies, unsettled).retrospective:
        return unsettled
    return max(next_epoch(civil), unsettled)


def _first_unsettled(standing: Standing) -> Epoch:
    reserved = (one.epoch for mine in standing.enterprises.values() for one in mine.reservations.values())
    selected = (epoch for _, epoch in standing.selections)
    settled = [next_epoch(one) for one in (*reserved, *selected, *standing.closes)]
    return max([*settled, *(one.first_epoch for one in standing.policies[:1])], default=Epoch(0))


def _check_choice(
    standing: Standing, choice: programme_pb2.Choice, ticket: bytes, at: int, replaying: bool
) -> Ticket:
    _check_form(standing, choice)
    taken = check_ticket(standing, ticket, purpose="choose", at=at, subject=choices.subject(choice))
    standing.tickets_spent.check(taken.use, at)
    found = owner(standing.ownership, standing.linked, taken.pseudonym)
    if found != choice.account and not (found is None and replaying):
        raise invalid("the choice is for another account than its person's")
    state = standing.ownership.holder(choice.account).state
    if state in (AccountState.CLOSED, AccountState.MERGED):
        raise ended(state)
    return taken


def _check_form(standing: Standing, choice: programme_pb2.Choice) -> None:
    if len(choice.account) != HALF_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, "An account has 16 bytes.")
    match choice.WhichOneof("what"):
        case "recording":
            if choice.recording.overlap_class == NO_OVERLAP:
                raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"Nothing overlaps in {NO_OVERLAP}.")
            _check_word(choice.recording.overlap_class)
            if choice.recording.enterprise_id:
                standing.trust.enterprise(choice.recording.enterprise_id)
        case "pool":
            checked_id(choice.pool.programme, "Programme id")
        case _:
            raise Malformed(REASON_WRONG_SHAPE, "A choice says what it is about.")


def _check_word(word: str) -> None:
    if not word or len(word) > WORD_LENGTH_MAX or not word.isprintable() or word != word.strip():
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "An overlap class is empty, long or unprintable.")
