"""Money: who pays into a fund, and what partners are paid."""

from __future__ import annotations

from accounting.ledger import chart
from accounting.ledger.books import Books, Decision, Outcome
from accounting.ledger.queueing import serve
from accounting.ledger.transfers import Code, moved
from accounting.programmes.programme import Programme
from accounting.programmes.rewards import Source
from protos.problems import Malformed, Refused
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import (
    REASON_FUND_EXHAUSTED,
    REASON_NOT_ENOUGH_POINTS,
    REASON_PROGRAMME_UNKNOWN,
    REASON_REWARD_UNKNOWN,
    REASON_UNKNOWN_FIELD_VALUE,
)

FEN_MAX = 10**15
REFERENCE_CHARACTERS_MAX = 128


def deposit(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Take a sponsor's money into a fund, and serve with it who waits for it."""
    paid = operation.deposit
    fund = _in_force(books, paid.programme).funds.get(paid.fund)
    if fund is None:
        raise Refused(REASON_PROGRAMME_UNKNOWN, f"{paid.programme} has no fund {paid.fund}.")
    if paid.source not in fund.sources or paid.source == Source.SALE:
        raise Refused(
            REASON_UNKNOWN_FIELD_VALUE, f"Fund {paid.fund} takes no money from '{paid.source}' this way."
        )
    _check_amount(paid.fen, paid.reference)
    source, target = chart.money_source(paid.source), chart.fund(paid.programme, paid.fund)
    served = serve(books, paid.programme, operation.at, gained={paid.fund: paid.fen})
    return Decision(
        Outcome(fen=paid.fen),
        (*moved(paid.fen, source, target, Code.DEPOSIT), *served.transfers),
        counts=served.counts,
        funded=served.orders,
    )


def settle(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Record that a partner was paid, at most what it is owed."""
    done = operation.settle
    _check_amount(done.fen, done.reference)
    payable = chart.payable(done.partner)
    owed = books.balance(payable).of(payable)
    if done.fen > owed:
        raise Refused(REASON_FUND_EXHAUSTED, f"{done.partner} is owed {owed} fen, not {done.fen}.")
    transfers = moved(done.fen, payable, chart.paid(done.partner), Code.SETTLE)
    return Decision(Outcome(fen=done.fen), tuple(transfers))


def plant(books: Books, operation: ledger_pb2.Operation) -> Decision:
    """Record that a charity pool's lots were planted; their points were redeemed for it before."""
    asked = operation.plant
    reward = _in_force(books, asked.programme).rewards.get(asked.reward)
    if reward is None or reward.tree is None:
        raise Refused(REASON_REWARD_UNKNOWN, f"{asked.programme} plants nothing as {asked.reward}.")
    if asked.lots < 1:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "At least one lot is planted.")
    given = chart.redeemed(asked.programme, reward.kind.value, asked.reward)
    points, there = asked.lots * reward.tree.points, books.balance(given).of(given)
    if points > there:
        raise Refused(
            REASON_NOT_ENOUGH_POINTS, f"{asked.lots} lots need {points} points; {there} were given."
        )
    transfers = moved(points, given, chart.planted(asked.programme, asked.reward), Code.PLANT)
    return Decision(Outcome(points=points), tuple(transfers))


def _in_force(books: Books, programme: str) -> Programme:
    found = books.in_force(programme)
    if found is None:
        raise Refused(REASON_PROGRAMME_UNKNOWN, f"Programme {programme} is not in force.")
    return found


def _check_amount(fen: int, reference: str) -> None:
    if not 1 <= fen <= FEN_MAX or len(reference) > REFERENCE_CHARACTERS_MAX:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE,
            f"An amount is 1 to {FEN_MAX} fen, a reference at most {REFERENCE_CHARACTERS_MAX} characters.",
        )
