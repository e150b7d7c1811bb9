"""Tickets inside operations: only the person's own, for exactly this operation, at its time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from privacy.asked import check_asked, subject
from protos.problems import Problem
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import REASON_TICKET_INVALID, REASON_TICKET_USED
from protos.v1.programme_pb2 import ACCOUNT_CHANGE_KIND_PROVE
from tests.simulator import ISSUED_AT, Federation, account, enrolled
from tests.unit.hub.operations import asked, gift, reserve

BIKES, PERSON = "bike-share", 3

Change = Callable[[ledger_pb2.Operation], None]


@pytest.fixture(scope="module")
def federation() -> Federation:
    return enrolled()


def made(federation: Federation, **changes: object) -> ledger_pb2.Operation:
    """Give a reserve as its person asked for it."""
    operation = reserve(1, account(PERSON))
    operation.at = ISSUED_AT
    return asked(federation, operation, **changes)


def refusal(federation: Federation, operation: ledger_pb2.Operation) -> Problem:
    with pytest.raises(Problem) as caught:
        federation.state.participants.check_asked(operation)
    assert caught.value.remedy or caught.value.reason != REASON_TICKET_INVALID
    return caught.value


def test_what_a_person_asked_for_is_taken(federation: Federation) -> None:
    check = federation.state.participants.check_asked
    operation = made(federation)
    check(operation)
    operation.reserve.channel = BIKES
    check(operation)
    given = gift(2, account(PERSON), account(4), 5)
    given.at = ISSUED_AT
    check(asked(federation, given))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: setattr(one, "key", bytes(16)),
        lambda one: setattr(one.reserve, "programme", "village"),
        lambda one: setattr(one.reserve, "programme_version", 2),
        lambda one: setattr(one.reserve, "reward", "tram"),
        lambda one: setattr(one.reserve, "quantity", 2),
        lambda one: setattr(one.reserve, "account", account(4)),
        lambda one: setattr(one.reserve, "channel", "utility"),
        lambda one: setattr(one, "at", ISSUED_AT + 601),
        lambda one: setattr(one, "at", ISSUED_AT - 61),
    ],
)
def test_a_ticket_is_for_this_operation_alone(federation: Federation, change: Change) -> None:
    operation = made(federation)
    change(operation)
    assert refusal(federation, operation).reason == REASON_TICKET_INVALID


@pytest.mark.parametrize(
    "change",
    [
        lambda one: setattr(one, "key", bytes(16)),
        lambda one: setattr(one.gift, "programme", "village"),
        lambda one: setattr(one.gift, "from_account", account(4)),
        lambda one: setattr(one.gift, "to_account", account(5)),
        lambda one: setattr(one.gift, "points", 6),
    ],
)
def test_a_gift_is_what_its_giver_agreed_to(federation: Federation, change: Change) -> None:
    given = gift(2, account(PERSON), account(4), 5)
    given.at = ISSUED_AT
    change(asked(federation, given))
    assert refusal(federation, given).reason == REASON_TICKET_INVALID


def test_a_ticket_of_another_purpose_enterprise_or_person_does_not_count(federation: Federation) -> None:
    assert refusal(federation, made(federation, purpose="view")).reason == REASON_TICKET_INVALID
    operation = made(federation)
    for signer, person in ((BIKES, 4), ("utility", PERSON)):
        operation.reserve.ticket = federation.ticket(signer, person, "redeem", subject=subject(operation))
        assert refusal(federation, operation).reason == REASON_TICKET_INVALID
    operation.reserve.ticket = b""
    refusal(federation, operation)


def test_a_change_in_any_byte_of_a_ticket_is_refused(federation: Federation) -> None:
    operation = made(federation)
    ticket = operation.reserve.ticket
    for at in range(len(ticket)):
        operation.reserve.ticket = ticket[:at] + bytes([ticket[at] ^ 1]) + ticket[at + 1 :]
        refusal(federation, operation)
    operation.reserve.ticket = bytes(len(ticket))
    refusal(federation, operation)


def test_a_nonce_that_something_rests_on_is_used_up() -> None:
    federation, nonce = enrolled(), bytes(range(16))
    federation.change(
        ACCOUNT_CHANGE_KIND_PROVE, account(PERSON), federation.ticket(BIKES, PERSON, "prove", nonce=nonce)
    )
    assert refusal(federation, made(federation, nonce=nonce)).reason == REASON_TICKET_USED


def test_the_rule_is_the_one_of_the_logs_standing(federation: Federation) -> None:
    check_asked(federation.state._standing, made(federation))
