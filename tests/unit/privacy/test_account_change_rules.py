"""Changes to accounts rest on fresh tickets of the right persons, each used once; all else is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from privacy.acceptance import LogState
from privacy.account_changes import (
    CLOSE,
    FREEZE,
    MERGE,
    PROVE,
    SHARE_OUT,
    SPLIT,
    UNFREEZE,
    build_change,
    share_terms,
)
from privacy.envelope import Kind
from privacy.ownership import AccountState, ShareOut
from privacy.standing import HUB_ID, Role
from privacy.tickets import SKEW_SECONDS_MAX, TICKET_SECONDS_MAX, sign_ticket
from protos.epochs import next_epoch
from protos.problems import Problem
from protos.v1 import problem_pb2 as reasons
from tests.simulator import EPOCH, ISSUED_AT, Federation, account, closed, enrolled, key, pseudonym
from tests.unit.privacy.decisions import refused

BIKES, POWER = "bike-share", "utility"
DAYS_31 = 31 * 86_400


def merge(federation: Federation, stays: int, ends: int, *, at: int = ISSUED_AT) -> Any:
    first = federation.ticket(BIKES, stays, "merge", issued_at=at)
    second = federation.ticket(POWER, ends, "merge", subject=hashlib.sha256(first).digest(), issued_at=at)
    return federation.change(
        MERGE, account(stays), first, second, other_account=account(ends), header={"issued_at": at}
    )


def shares_of(federation: Federation, household: bytes) -> tuple[tuple[bytes, int], ...]:
    moves = [one for one in federation.state.participants.moves if isinstance(one, ShareOut)]
    return [one for one in moves if one.household == household][-1].parts


def replayed(federation: Federation) -> LogState:
    state = LogState(pinned=federation.entries[0].data, replaying=True)
    for entry in federation.entries:
        state.apply(state.check(entry.data, entry.bodies))
    return state


def test_control_is_proved_once_by_a_ticket_of_that_person() -> None:
    federation = enrolled()
    assert not federation.state.participants.is_proved(account(3))
    federation.change(PROVE, account(3), federation.ticket(BIKES, 3, "prove"))
    assert federation.state.participants.is_proved(account(3))
    assert not federation.state.participants.is_proved(account(4))
    again = federation.ticket(BIKES, 3, "prove")
    refused(lambda: federation.change(PROVE, account(3), again), reasons.REASON_ALREADY_EXISTS)
    assert replayed(federation).participants.is_proved(account(3))


def test_a_ticket_is_refused_unless_all_of_it_holds() -> None:
    federation = enrolled()

    def prove(ticket: bytes, person: int = 3) -> None:
        federation.change(PROVE, account(person), ticket)

    late, early = ISSUED_AT - TICKET_SECONDS_MAX - 1, ISSUED_AT + SKEW_SECONDS_MAX + 1
    invalid = reasons.REASON_TICKET_INVALID
    refused(lambda: prove(federation.ticket(BIKES, 4, "prove")), invalid)
    refused(lambda: prove(federation.ticket(BIKES, 3, "merge")), invalid)
    refused(lambda: prove(federation.ticket(BIKES, 3, "redeem", subject=bytes(32))), invalid)
    refused(lambda: prove(federation.ticket(BIKES, 3, "prove", subject=bytes(32))), invalid)
    refused(lambda: prove(federation.ticket(BIKES, 3, "prove", issued_at=late)), invalid)
    refused(lambda: prove(federation.ticket(BIKES, 3, "prove", issued_at=early)), invalid)
    refused(lambda: prove(federation.ticket(BIKES, 3, "prove", seconds=TICKET_SECONDS_MAX + 1)), invalid)
    refused(lambda: prove(federation.ticket(BIKES, 3, "prove", nonce=b"short")), invalid)
    refused(lambda: prove(federation.ticket(BIKES, 3, "prove", enterprise_id=POWER)), invalid)
    # Person 15 is the utility's alone; the bike share cannot speak for it.
    refused(lambda: prove(federation.ticket(BIKES, 15, "prove"), 15), invalid)
    refused(
        lambda: prove(federation.ticket(BIKES, 3, "prove", origin="other/log")), reasons.REASON_WRONG_ORIGIN
    )
    refused(lambda: federation.change(PROVE, account(3)), invalid)
    prove(federation.ticket(BIKES, 3, "prove"))


def test_a_ticket_is_accepted_once_over_all_kinds_of_entries() -> None:
    federation = enrolled()
    nonce = bytes(range(16))
    federation.change(PROVE, account(3), federation.ticket(BIKES, 3, "prove", nonce=nonce))
    other = federation.ticket(BIKES, 4, "close", nonce=nonce)
    refused(lambda: federation.change(CLOSE, account(4), other), reasons.REASON_TICKET_USED)
    # Another enterprise's nonces are its own.
    federation.change(PROVE, account(8), federation.ticket(POWER, 8, "prove", nonce=nonce))


def test_any_byte_of_a_ticket_changed_is_refused() -> None:
    federation = enrolled()
    ticket = federation.ticket(BIKES, 3, "prove")
    for at in range(0, len(ticket), 3):
        changed = ticket[:at] + bytes([ticket[at] ^ 1]) + ticket[at + 1 :]
        with pytest.raises(Problem):
            federation.change(PROVE, account(3), changed)


def test_body_and_tickets_are_those_the_change_commits_to() -> None:
    federation = enrolled()
    ticket = federation.ticket(BIKES, 3, "prove")
    built = build_change(
        federation.header(Role.HUB, HUB_ID),
        kind=PROVE,
        effective=EPOCH,
        salt=bytes(32),
        account=account(3),
        tickets=[ticket],
    )
    data = federation.signed(Kind.ACCOUNT_CHANGE, built.message, HUB_ID)
    for position, body in enumerate(built.bodies):
        for at in range(0, len(body), 11):
            changed = list(built.bodies)
            changed[position] = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            with pytest.raises(Problem):
                federation.state.check(data, changed)
    for bodies in ([], built.bodies[:1], [*built.bodies, ticket]):
        with pytest.raises(Problem):
            federation.state.check(data, bodies)
    assert not federation.state.check(data, None).bodies_checked
    federation.append(data, built.bodies)


def test_a_merge_needs_both_persons_and_binds_the_second_ticket_to_the_first() -> None:
    federation = enrolled()
    first, second = federation.ticket(BIKES, 3, "merge"), federation.ticket(POWER, 15, "merge")
    names: dict[str, Any] = {"other_account": account(15)}
    refused(lambda: federation.change(MERGE, account(3), first, **names), reasons.REASON_TICKET_INVALID)
    refused(
        lambda: federation.change(MERGE, account(3), first, second, **names), reasons.REASON_TICKET_INVALID
    )
    bound = federation.ticket(POWER, 15, "merge", subject=hashlib.sha256(first).digest())
    refused(
        lambda: federation.change(MERGE, account(15), bound, first, other_account=account(3)),
        reasons.REASON_WRONG_SHAPE,
    )
    federation.change(MERGE, account(3), first, bound, **names)
    assert federation.state.participants.account(pseudonym(15)) == account(3)
    assert federation.state.participants.state(account(15)) is AccountState.MERGED
    assert replayed(federation).participants.account(pseudonym(15)) == account(3)


def test_an_account_is_merged_at_most_once_in_thirty_days() -> None:
    federation = enrolled()
    merge(federation, 3, 15)
    refused(lambda: merge(federation, 3, 16), reasons.REASON_MERGE_TOO_SOON)
    refused(lambda: merge(federation, 4, 15, at=ISSUED_AT + DAYS_31), reasons.REASON_ACCOUNT_CLOSED)
    merge(federation, 3, 16, at=ISSUED_AT + DAYS_31)
    assert federation.state.participants.account(pseudonym(16)) == account(3)
    assert federation.state.participants.account(pseudonym(15)) == account(3)


def test_a_proof_survives_a_merge() -> None:
    federation = enrolled()
    federation.change(PROVE, account(15), federation.ticket(POWER, 15, "prove"))
    merge(federation, 3, 15)
    assert federation.state.participants.is_proved(account(3))


def test_frozen_accounts_change_nothing_but_can_be_proved() -> None:
    federation = enrolled()
    federation.change(FREEZE, account(3))
    assert federation.state.participants.state(account(3)) is AccountState.FROZEN
    refused(lambda: federation.change(FREEZE, account(3)), reasons.REASON_ALREADY_EXISTS)
    refused(lambda: merge(federation, 3, 15), reasons.REASON_ACCOUNT_FROZEN)
    ticket = federation.ticket(BIKES, 3, "close")
    refused(lambda: federation.change(CLOSE, account(3), ticket), reasons.REASON_ACCOUNT_FROZEN)
    federation.change(PROVE, account(3), federation.ticket(BIKES, 3, "prove"))
    federation.change(UNFREEZE, account(3))
    refused(lambda: federation.change(UNFREEZE, account(3)), reasons.REASON_ALREADY_EXISTS)
    federation.change(CLOSE, account(3), ticket)
    assert federation.state.participants.state(account(3)) is AccountState.CLOSED
    late = federation.ticket(BIKES, 3, "prove")
    assert federation.state.participants.is_proved(account(3))
    refused(lambda: federation.change(PROVE, account(3), late), reasons.REASON_ACCOUNT_CLOSED)


def test_a_split_gives_a_pseudonym_a_new_account() -> None:
    federation = enrolled()
    merge(federation, 3, 15)
    fresh = hashlib.sha256(b"fresh").digest()[:16]
    ticket = federation.ticket(POWER, 15, "split")
    taken: dict[str, Any] = {"other_account": account(4), "pseudonym": pseudonym(15)}
    refused(lambda: federation.change(SPLIT, account(3), ticket, **taken), reasons.REASON_ALREADY_EXISTS)
    wrong: dict[str, Any] = {"other_account": fresh, "pseudonym": pseudonym(3)}
    refused(lambda: federation.change(SPLIT, account(3), ticket, **wrong), reasons.REASON_TICKET_INVALID)
    federation.change(SPLIT, account(3), ticket, other_account=fresh, pseudonym=pseudonym(15))
    assert federation.state.participants.account(pseudonym(15)) == fresh
    assert federation.state.participants.account(pseudonym(3)) == account(3)


def test_a_household_is_shared_out_by_everybodys_consent_to_the_same_parts() -> None:
    federation = enrolled()
    parts = sorted([(account(3), 3_333), (account(4), 6_667)])
    household, terms = account(15), share_terms(account(15), parts)
    person_of = {account(3): 3, account(4): 4}

    def tickets(subject: bytes) -> list[bytes]:
        mine = [federation.ticket(BIKES, person_of[one], "share", subject=subject) for one, _ in parts]
        return [federation.ticket(POWER, 15, "share", subject=subject), *mine]

    def share(given: list[bytes], shares: Any = parts) -> Any:
        return federation.change(SHARE_OUT, household, *given, parts=shares)

    refused(lambda: share(tickets(terms)[:2]), reasons.REASON_TICKET_INVALID)
    refused(lambda: share(tickets(bytes(32))), reasons.REASON_TICKET_INVALID)
    wrong = [[(one, 5_001) for one, _ in parts], list(reversed(parts)), [parts[0], parts[0]]]
    for shares in wrong:
        subject = share_terms(household, shares)
        refused(lambda s=subject, p=shares: share(tickets(s), p), reasons.REASON_WRONG_SHAPE)  # type: ignore[misc]
    share(tickets(terms))
    assert shares_of(federation, household) == tuple(parts)
    empty = federation.ticket(POWER, 15, "share", subject=share_terms(household, []))
    share([empty], [])
    assert shares_of(federation, household) == ()


def test_changes_act_on_open_books_only_and_come_from_the_hub() -> None:
    federation = closed()
    ticket = federation.ticket(BIKES, 3, "prove")
    for other in (EPOCH, next_epoch(next_epoch(EPOCH))):
        refused(
            lambda epoch=other: federation.change(PROVE, account(3), ticket, effective=epoch),  # type: ignore[misc]
            reasons.REASON_EPOCH_CLOSED,
        )
    built = build_change(
        federation.header(Role.ENTERPRISE, BIKES),
        kind=FREEZE,
        effective=EPOCH,
        salt=bytes(32),
        account=account(3),
    )
    data = federation.signed(Kind.ACCOUNT_CHANGE, built.message, BIKES)
    refused(lambda: federation.append(data, built.bodies), reasons.REASON_ROLE_NOT_ALLOWED)


@pytest.mark.parametrize("signer", ["nobody", "regulator"])
def test_a_key_that_no_enterprise_registered_signs_no_ticket(signer: str) -> None:
    federation = enrolled()
    forged = sign_ticket(
        key(signer),
        origin="cgsp.example/log",
        enterprise_id=BIKES,
        pseudonym=pseudonym(3),
        purpose="prove",
        nonce=bytes(16),
        issued_at=ISSUED_AT,
    )
    refused(lambda: federation.change(PROVE, account(3), forged), reasons.REASON_KEY_UNKNOWN)
