"""Whether a person asked for an operation that takes from their account: the link ticket inside it says so.

One rule for the hub that decides the operation and for whoever replays it. A ticket serves one operation:
its subject names the operation's key, which is used once, and the books remember its nonce until it ends.
"""

from __future__ import annotations

from privacy import codec
from privacy.chunks import HASH_BYTES
from privacy.opened_tickets import Ticket
from privacy.ownership import owner
from privacy.standing import Standing
from privacy.tickets import check_ticket, invalid, read_ticket, subject_of
from protos.problems import Problem
from protos.v1 import ledger_pb2, reward_pb2

PURPOSE = "redeem"
# The channel of a person who asks without an enterprise's app.
PORTAL = "portal"


def order_of(operation: ledger_pb2.Operation) -> reward_pb2.RewardOrder:
    """Give the order that a Reserve carries out."""
    asked = operation.reserve
    return reward_pb2.RewardOrder(
        key=operation.key,
        programme=asked.programme,
        programme_version=asked.programme_version,
        reward=asked.reward,
        quantity=asked.quantity,
    )


def subject(operation: ledger_pb2.Operation) -> bytes:
    """Give what the ticket inside a Reserve or Gift must name."""
    if operation.WhichOneof("act") == "reserve":
        return subject_of(codec.encode(order_of(operation)))
    agreed = ledger_pb2.Operation(key=operation.key, gift=operation.gift)
    agreed.gift.ClearField("ticket")
    return subject_of(codec.encode(agreed))


def ticket_of(operation: ledger_pb2.Operation) -> bytes:
    """Give the ticket inside an operation; empty for an act that needs none."""
    match operation.WhichOneof("act"):
        case "reserve":
            return operation.reserve.ticket
        case "gift":
            return operation.gift.ticket
        case _:
            return b""


def put_ticket(operation: ledger_pb2.Operation, ticket: bytes) -> None:
    """Put other bytes in the place of a Reserve's or Gift's ticket."""
    act = operation.gift if operation.WhichOneof("act") == "gift" else operation.reserve
    act.ticket = ticket


def spent_by(operation: ledger_pb2.Operation) -> Ticket | None:
    """Give the ticket that a decided operation rests on; None without one, or where it was erased since."""
    data = ticket_of(operation)
    if not data or is_emptied(data):
        return None
    try:
        return read_ticket(data)
    except Problem:
        # What is no ticket is the decision's to refuse.
        return None


def is_emptied(ticket: bytes) -> bool:
    """Say whether of an operation's ticket only the hash is left, because its person was erased."""
    return len(ticket) > HASH_BYTES and not any(ticket[HASH_BYTES:])


def check_asked(standing: Standing, operation: ledger_pb2.Operation) -> Ticket:
    """Take the ticket of the person whose account pays for a Reserve or Gift, good at its time.

    Whether another operation rests on its nonce, the books know.
    """
    is_gift = operation.WhichOneof("act") == "gift"
    data = ticket_of(operation)
    if not data:
        raise invalid("there is none")
    ticket = check_ticket(standing, data, purpose=PURPOSE, at=operation.at, subject=subject(operation))
    if not is_gift and operation.reserve.channel not in (PORTAL, ticket.enterprise_id):
        raise invalid("it is another enterprise's than the one whose app asked")
    payer = operation.gift.from_account if is_gift else operation.reserve.account
    if owner(standing.ownership, standing.linked, ticket.pseudonym) != payer:
        raise invalid("its person has another account")
    return ticket
