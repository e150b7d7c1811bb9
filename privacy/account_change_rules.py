"""Rules for changes to whose an account is, each resting on the link tickets its body names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from privacy.account_changes import (
    CLOSE,
    FREEZE,
    MERGE,
    PROVE,
    SHARE_OUT,
    SHARES_MAX,
    SPLIT,
    UNFREEZE,
    check_bodies,
    misshapen,
    share_terms,
)
from privacy.chunks import HALF_BYTES, HASH_BYTES
from privacy.deadlines import moment
from privacy.opened_tickets import Ticket
from privacy.ownership import (
    BASIS_POINTS,
    MERGE_SECONDS_MIN,
    AccountState,
    Closure,
    Merge,
    ShareOut,
    Split,
    ended,
    owner,
)
from privacy.standing import Standing
from privacy.tickets import NO_SUBJECT, check_distinct, check_ticket, invalid, is_erased
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch, checked_epoch, format_epoch
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import programme_pb2
from protos.v1.problem_pb2 import (
    REASON_ACCOUNT_FROZEN,
    REASON_ALREADY_EXISTS,
    REASON_EPOCH_CLOSED,
    REASON_MERGE_TOO_SOON,
    REASON_UNKNOWN_FIELD_VALUE,
    REASON_WRONG_SHAPE,
)


@dataclass(frozen=True, slots=True)
class _Case:
    """What a kind's rule decides on: the message, its opened body, the tickets as they came."""

    standing: Standing
    message: programme_pb2.AccountChange
    body: programme_pb2.AccountChangeBody
    tickets: Sequence[bytes]
    index: int
    replaying: bool

    @property
    def at(self) -> int:
        return self.message.header.issued_at

    @property
    def effective(self) -> Epoch:
        return Epoch(self.message.effective_epoch)


@dataclass(frozen=True, slots=True)
class _Decided:
    tickets: list[Ticket] = field(default_factory=list)
    apply: Callable[[], None] = lambda: None


def check_account_change(
    standing: Standing, message: programme_pb2.AccountChange, submission: Submission
) -> Verdict:
    """Take a change whose tickets hold and whose account may change, from the first epoch with open books."""
    effective = checked_epoch(message.effective_epoch)
    if message.kind not in _RULES:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"A change of kind {message.kind} is not known.")
    if len(message.commitment) != HASH_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"A commitment has {HASH_BYTES} bytes.")
    first = standing.open_epoch
    if first is None or effective != first:
        raise acts_from("change", first, effective)
    if submission.bodies is None:
        return Verdict(bodies_checked=False)
    if submission.replaying and submission.bodies and is_erased(submission.bodies[0]):
        # Its person was erased since; of whom it was about nothing is left.
        return Verdict()
    body, tickets = check_bodies(message, submission.bodies, erasure_allowed=submission.replaying)
    case = _Case(standing, message, body, tickets, submission.index, submission.replaying)
    decided = _RULES[message.kind](case)
    check_distinct(decided.tickets)

    def apply() -> None:
        standing.tickets_used.update(ticket.use for ticket in decided.tickets)
        decided.apply()

    return Verdict(apply)


def _freeze(case: _Case) -> _Decided:
    _check_fields(case, tickets=0)
    if case.standing.ownership.holder(case.body.account).state is AccountState.FROZEN:
        raise Conflict(REASON_ALREADY_EXISTS, "The account is frozen already.")
    _check_state(case, case.body.account, AccountState.OPEN)
    return _Decided(apply=_state_setter(case, AccountState.FROZEN))


def _unfreeze(case: _Case) -> _Decided:
    _check_fields(case, tickets=0)
    _check_state(case, case.body.account, AccountState.FROZEN)
    return _Decided(apply=_state_setter(case, AccountState.OPEN))


def _prove(case: _Case) -> _Decided:
    account = case.body.account
    _check_fields(case, tickets=1)
    _check_state(case, account, AccountState.OPEN, AccountState.FROZEN)
    if case.standing.ownership.holder(account).is_proved:
        raise Conflict(REASON_ALREADY_EXISTS, "Control of this account is proved already.")
    tickets = _ticket(case, 0, "prove", account)
    return _Decided(tickets, lambda: case.standing.ownership.prove(account))


def _close(case: _Case) -> _Decided:
    account = case.body.account
    _check_fields(case, tickets=1)
    _check_state(case, account, AccountState.OPEN)
    tickets = _ticket(case, 0, "close", account)
    move = Closure(case.effective, account)
    return _Decided(tickets, lambda: case.standing.ownership.take(move, index=case.index, at=case.at))


def _merge(case: _Case) -> _Decided:
    """Both accounts' persons agreed: the second ticket names the first, so no third can be slipped in."""
    stays, ends = case.body.account, case.body.other_account
    _check_fields(case, tickets=2, other_account=True)
    if stays == ends:
        raise misshapen("an account is not merged with itself")
    for account in (stays, ends):
        _check_state(case, account, AccountState.OPEN)
        merged_at = case.standing.ownership.holder(account).merged_at
        if merged_at is not None and case.at - merged_at < MERGE_SECONDS_MIN:
            raise Refused(
                REASON_MERGE_TOO_SOON,
                "One of the accounts was merged within 30 days.",
                remedy=f"Ask again from {moment(merged_at + MERGE_SECONDS_MIN)} on.",
            )
    if not case.replaying and older(case.standing, stays, ends) != stays:
        raise misshapen("of a merge the older account stays")
    first = _ticket(case, 0, "merge", stays, ends)
    second = _ticket(case, 1, "merge", stays, ends, subject=case.body.ticket_hashes[0])
    owners = [owner(case.standing.ownership, case.standing.linked, one.pseudonym) for one in first + second]
    if len(owners) == 2 and owners[0] == owners[1] is not None:
        raise invalid("both are of one account")
    move = Merge(case.effective, ends, stays)
    return _Decided(first + second, lambda: case.standing.ownership.take(move, index=case.index, at=case.at))


def _split(case: _Case) -> _Decided:
    account, fresh, pseudonym = case.body.account, case.body.other_account, case.body.pseudonym
    _check_fields(case, tickets=1, other_account=True, pseudonym=True)
    standing = case.standing
    if fresh in standing.linked.values() or standing.ownership.holder(fresh).state is not AccountState.OPEN:
        raise Conflict(REASON_ALREADY_EXISTS, "A split goes to a new account.")
    _check_state(case, account, AccountState.OPEN, AccountState.FROZEN, AccountState.CLOSED)
    tickets = _ticket(case, 0, "split", account)
    if any(ticket.pseudonym != pseudonym for ticket in tickets):
        raise invalid("it is another pseudonym's")
    move = Split(case.effective, pseudonym, fresh)

    def apply() -> None:
        standing.ownership.take(move, index=case.index, at=case.at)
        standing.linked[pseudonym] = fresh

    return _Decided(tickets, apply)


def _share_out(case: _Case) -> _Decided:
    """The household and everybody who gets a part agreed to the same shares."""
    household = case.body.account
    persons, points = list(case.body.shares_accounts), list(case.body.shares_basis_points)
    _check_fields(case, tickets=1 + len(persons), shares=True)
    _check_shares(household, persons, points)
    parts = tuple(zip(persons, points, strict=True))
    terms = share_terms(household, parts)
    tickets: list[Ticket] = []
    for number, account in enumerate([household, *persons]):
        _check_state(case, account, AccountState.OPEN)
        tickets += _ticket(case, number, "share", account, subject=terms)
        if number and case.standing.ownership.shares(account, case.effective):
            raise misshapen("a person who gets a part shares out nothing")
    if case.standing.ownership.gets_part(household, case.effective):
        raise misshapen("an account that gets a part shares out nothing")
    move = ShareOut(case.effective, household, parts)
    return _Decided(tickets, lambda: case.standing.ownership.take(move, index=case.index, at=case.at))


_RULES: dict[int, Callable[[_Case], _Decided]] = {
    MERGE: _merge,
    SPLIT: _split,
    FREEZE: _freeze,
    UNFREEZE: _unfreeze,
    CLOSE: _close,
    PROVE: _prove,
    SHARE_OUT: _share_out,
}


def _ticket(
    case: _Case, number: int, purpose: str, *accounts: bytes, subject: bytes = NO_SUBJECT
) -> list[Ticket]:
    """Take the ticket in its place: fresh, for this purpose, of a pseudonym of one of these accounts.

    One that was erased since is no longer there to be taken.
    """
    if case.replaying and is_erased(case.tickets[number]):
        return []
    standing = case.standing
    ticket = check_ticket(standing, case.tickets[number], purpose=purpose, at=case.at, subject=subject)
    standing.tickets_spent.check(ticket.use, case.at)
    found = owner(standing.ownership, standing.linked, ticket.pseudonym)
    # Links whose rows were erased no longer say whose they are.
    if found not in accounts and not (found is None and case.replaying):
        raise invalid("its person's account is another")
    return [ticket]


def _check_state(case: _Case, account: bytes, *allowed: AccountState) -> None:
    state = case.standing.ownership.holder(account).state
    is_disputed = not case.replaying and account in case.standing.disputed_accounts()
    if state is AccountState.OPEN and is_disputed:
        state = AccountState.FROZEN
    if state in allowed:
        return
    if state is AccountState.FROZEN:
        raise Refused(REASON_ACCOUNT_FROZEN, "The account is frozen.", remedy="Ask the operator why.")
    if state is AccountState.OPEN:
        raise Conflict(REASON_ALREADY_EXISTS, "The account is not frozen.")
    raise ended(state)


def acts_from(what: str, first: Epoch | None, effective: Epoch) -> Refused:
    """Give the refusal of an act that would reach back, or be put off; `first` is None before any policy."""
    due = "an epoch of the first policy" if first is None else format_epoch(first)
    return Refused(
        REASON_EPOCH_CLOSED,
        f"A {what} made now acts from {due} on, not from {format_epoch(effective)}.",
        remedy="Log it for the epoch from which it acts.",
    )


def _state_setter(case: _Case, state: AccountState) -> Callable[[], None]:
    return lambda: case.standing.ownership.set_state(case.body.account, state)


def _check_fields(
    case: _Case,
    *,
    tickets: int,
    other_account: bool = False,
    pseudonym: bool = False,
    shares: bool = False,
) -> None:
    """Refuse what does not belong to a kind, and what is missing."""
    body = case.body
    if len(case.tickets) != tickets:
        raise invalid(f"{tickets} are needed, {len(case.tickets)} came")
    widths = ((body.other_account, other_account), (body.pseudonym, pseudonym))
    if any(len(value) != (HALF_BYTES if wanted else 0) for value, wanted in widths):
        raise misshapen("an account or pseudonym is missing, or stands where none belongs")
    if (body.shares_accounts or body.shares_basis_points) and not shares:
        raise misshapen("shares stand where none belong")


def _check_shares(household: bytes, persons: Sequence[bytes], points: Sequence[int]) -> None:
    if len(persons) != len(points) or len(persons) > SHARES_MAX:
        raise misshapen(f"each person has one part, and there are at most {SHARES_MAX}")
    if any(len(account) != HALF_BYTES or account == household for account in persons):
        raise misshapen("parts go to accounts of persons")
    if any(later <= earlier for earlier, later in pairwise(persons)):
        raise misshapen("persons stand ascending, each once")
    if persons and (min(points) < 1 or sum(points) != BASIS_POINTS):
        raise misshapen(f"parts are at least 1 and add up to {BASIS_POINTS}")


def older(standing: Standing, one: bytes, other: bytes) -> bytes:
    """Give which account was linked first."""
    return next((account for account in standing.linked.values() if account in (one, other)), one)
