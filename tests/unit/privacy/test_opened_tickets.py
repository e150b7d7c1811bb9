"""A ticket that was opened is not verified again; nothing else ever passes for it."""

from __future__ import annotations

import pytest

from privacy.opened_tickets import TICKETS_KEPT_MAX, OpenedTickets, Ticket
from privacy.standing import Standing
from privacy.tickets import open_ticket
from protos.problems import Problem, Refused
from protos.v1 import problem_pb2 as reasons
from tests.simulator import Federation, enrolled, key

BIKES = "bike-share"


def standing_of(federation: Federation) -> Standing:
    return federation.state._standing


def reopened(standing: Standing, data: bytes) -> Ticket | int:
    try:
        return open_ticket(standing, data)
    except Problem as problem:
        return problem.reason


def test_an_opened_ticket_is_remembered_and_every_changed_byte_is_refused() -> None:
    federation = enrolled()
    standing, data = standing_of(federation), federation.ticket(BIKES, 3, "redeem")
    ticket = open_ticket(standing, data)
    assert open_ticket(standing, data) is ticket
    for place in range(len(data)):
        forged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        assert isinstance(reopened(standing, forged), int), f"byte {place}"
        # What was refused is not remembered, and is refused again.
        assert isinstance(reopened(standing, forged), int), f"byte {place}"
    for other in (data[:-1], data + b"\0", b""):
        assert isinstance(reopened(standing, other), int)
    assert len(standing.opened_tickets) == 1


def test_another_key_does_not_pass_for_the_one_remembered() -> None:
    federation = enrolled()
    standing, data = standing_of(federation), federation.ticket(BIKES, 3, "redeem", nonce=bytes(16))
    open_ticket(standing, data)
    other = federation.ticket("utility", 3, "redeem", nonce=bytes(16), enterprise_id=BIKES)
    assert reopened(standing, other) == reasons.REASON_TICKET_INVALID


@pytest.mark.parametrize("change", ["suspended", "key"])
def test_a_new_trust_root_forgets_what_was_opened_under_the_last(change: str) -> None:
    federation = enrolled()
    standing, data = standing_of(federation), federation.ticket(BIKES, 3, "redeem")
    open_ticket(standing, data)
    root = federation.trust_root(version=2, previous=standing.trust.envelope_hash)
    [party] = [one for one in root.enterprises if one.id == BIKES]
    if change == "suspended":
        party.suspended = True
    else:
        party.key.CopyFrom(key("another").verify_key.to_wire())
    federation.publish_trust(root)
    expected = {"suspended": reasons.REASON_SUSPENDED, "key": reasons.REASON_KEY_UNKNOWN}[change]
    assert reopened(standing, data) == expected


def test_what_is_opened_while_a_trust_root_comes_into_force_is_forgotten() -> None:
    """Whoever began under the old root puts what it found where nobody looks any more."""
    federation = enrolled()
    standing, data = standing_of(federation), federation.ticket(BIKES, 3, "redeem")
    before = standing.opened_tickets
    ticket = open_ticket(standing, data)
    federation.publish_trust(federation.trust_root(version=2, previous=standing.trust.envelope_hash))
    before.add(data, ticket)
    assert standing.opened_tickets.find(data) is None


def test_looking_ahead_keeps_what_is_wrong_with_a_ticket_for_its_turn() -> None:
    federation = enrolled()
    participants, data = federation.state.participants, federation.ticket(BIKES, 3, "redeem")
    participants.open_ahead(data[:-1])
    with pytest.raises(Problem):
        participants.check_ticket(data[:-1], purpose="redeem", at=0)
    participants.open_ahead(data)
    with pytest.raises(Refused):
        participants.check_ticket(data, purpose="redeem", at=0)


def test_only_so_many_are_remembered_and_the_newest_among_them() -> None:
    known = OpenedTickets()
    ticket = Ticket("a", b"", "redeem", b"", b"", 0, 0, b"")
    for number in range(3 * TICKETS_KEPT_MAX):
        known.add(number.to_bytes(4, "big"), ticket)
    assert len(known) <= TICKETS_KEPT_MAX
    assert known.find((3 * TICKETS_KEPT_MAX - 1).to_bytes(4, "big")) is ticket
    assert known.find(bytes(4)) is None
