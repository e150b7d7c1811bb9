"""Operations as tests ask for them, each under a small number as its key."""

from __future__ import annotations

from typing import Any

from privacy.asked import PURPOSE, subject
from protos.v1 import ledger_pb2
from tests.simulator import Federation, pseudonym


def act(name: str, number: int, **fields: Any) -> ledger_pb2.Operation:
    operation = ledger_pb2.Operation(key=number.to_bytes(16, "big"))
    part = getattr(operation, name)
    part.CopyFrom(type(part)(**fields))
    return operation


def reserve(number: int, account: bytes, *, reward: str = "bus", quantity: int = 1) -> ledger_pb2.Operation:
    return act(
        "reserve",
        number,
        programme="city",
        programme_version=1,
        reward=reward,
        account=account,
        quantity=quantity,
        channel="portal",
    )


def deposit(number: int, fen: int = 1_000_000) -> ledger_pb2.Operation:
    return act("deposit", number, programme="city", fund="city", source="government", fen=fen)


def confirm(number: int, of: int) -> ledger_pb2.Operation:
    return act("confirm", number, reserve_key=of.to_bytes(16, "big"))


def cancel(number: int, of: int) -> ledger_pb2.Operation:
    return act("cancel", number, reserve_key=of.to_bytes(16, "big"))


def gift(number: int, giver: bytes, receiver: bytes, points: int) -> ledger_pb2.Operation:
    return act("gift", number, programme="city", from_account=giver, to_account=receiver, points=points)


def holder_of(federation: Federation, account: bytes) -> tuple[str, int]:
    """Give an enterprise that has enrolled the person of an account, and the person."""
    return next(
        (one.id, person)
        for one in federation.enterprises
        for person in one.persons
        if federation.linked[pseudonym(person)][0] == account
    )


def asked(federation: Federation, operation: ledger_pb2.Operation, **changes: Any) -> ledger_pb2.Operation:
    """Put into a reserve or gift the ticket of the person whose account pays."""
    is_gift = operation.WhichOneof("act") == "gift"
    part = operation.gift if is_gift else operation.reserve
    payer = operation.gift.from_account if is_gift else operation.reserve.account
    signer, person = holder_of(federation, payer)
    named = {"subject": subject(operation), "purpose": PURPOSE, **changes}
    part.ticket = federation.ticket(signer, person, named.pop("purpose"), **named)
    return operation
