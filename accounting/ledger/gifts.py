"""Points between persons, and from what is claimable into the wallet."""

from __future__ import annotations

from accounting.ledger import chart
from accounting.ledger.accounts import check_debit, check_key, check_open, returned, spendable
from accounting.ledger.books import Books, Decision, Outcome, Received
from accounting.ledger.transfers import Code, moved
from protos.epochs import Epoch
from protos.problems import Malformed, Refused
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import (
    REASON_CAP_REACHED,
    REASON_NOT_ENOUGH_POINTS,
    REASON_NOT_TRANSFERABLE,
    REASON_PROGRAMME_UNKNOWN,
    REASON_UNKNOWN_FIELD_VALUE,
)


def collect(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Take all that is claimable into the wallet."""
    asked = operation.collect
    account = check_key(asked.account, "account")
    check_open(books, account)
    points = books.wallet(chart.points_ledger(asked.programme), account).claimable
    if not points:
        raise Refused(REASON_NOT_ENOUGH_POINTS, "There is nothing to collect.")
    source, target = chart.claimable(asked.programme, account), chart.wallet(asked.programme, account)
    return Decision(Outcome(points=points), tuple(moved(points, source, target, Code.COLLECT)))


def gift(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Move points from one person to another; the receiver's expire as if credited by the next close."""
    asked = operation.gift
    giver = check_key(asked.from_account, "giver's account")
    receiver = check_key(asked.to_account, "receiver's account")
    programme = books.in_force(asked.programme)
    if programme is None:
        raise Refused(REASON_PROGRAMME_UNKNOWN, f"Programme {asked.programme} is not in force.")
    if programme.gifts is None:
        raise Refused(REASON_NOT_TRANSFERABLE, f"{asked.programme} does not let points be given away.")
    if giver == receiver or asked.points < 1:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "A gift is at least one point to another account.")
    check_debit(books, giver)
    check_open(books, receiver)
    counter, maximum = given(asked.programme, giver, books.epoch), programme.gifts.epoch_points_max
    if books.count(counter) + asked.points > maximum:
        raise Refused(REASON_CAP_REACHED, f"An account gives at most {maximum} points an epoch.")
    ledger, there = programme.ledger, spendable(books, programme.ledger, giver)
    if asked.points > there:
        raise Refused(REASON_NOT_ENOUGH_POINTS, f"{there} points may be given, not {asked.points}.")
    books.check_asked(operation)
    transfers = returned(books, ledger, receiver, asked.points, chart.available(ledger, giver), Code.GIFT)
    return Decision(
        Outcome(points=asked.points),
        tuple(transfers),
        counts={counter: asked.points},
        received=(Received(ledger, receiver, books.epoch, asked.points),),
    )


def given(programme: str, giver: bytes, epoch: Epoch) -> str:
    """Name the counter of what an account gave away in an epoch."""
    return f"gave:{programme}:{giver.hex()}:{epoch}"
