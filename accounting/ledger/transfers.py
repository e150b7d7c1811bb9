"""Transfers: one debit, one credit, one positive amount; double entry holds by construction.

What may move where is a whitelist by code, so that a rule with a mistake stops instead of moving.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from accounting.ledger.chart import CLAIMS, MONEY, POINTS, UNITS, LedgerAccount, Side
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

AMOUNT_MAX = (1 << 63) - 1


class Code(enum.IntEnum):
    """Why something moves; numbers are stored and never reused."""

    RESERVE = 10
    CONFIRM = 11
    RETURN = 12
    COLLECT = 13
    GIFT = 14
    DEPOSIT = 15
    SETTLE = 16
    DISPUTE = 17
    PLANT = 18
    ISSUE = 20
    SELL = 21
    RETIRE = 22
    CANCEL_UNITS = 23


# (ledger's letter, kind debited, kind credited) each code may move.
MOVES: Mapping[Code, frozenset[tuple[str, str, str]]] = {
    Code.RESERVE: frozenset(
        {(POINTS, "wallet", "pending"), (CLAIMS, "held", "pending"), (MONEY, "fund", "refundable")}
    ),
    Code.CONFIRM: frozenset(
        {
            (POINTS, "pending", "redeemed"),
            (CLAIMS, "pending", "sponsor"),
            (CLAIMS, "pending", "pool"),
            (CLAIMS, "pending", "retired"),
            (MONEY, "fund", "refundable"),
            (MONEY, "refundable", "payable"),
        }
    ),
    Code.RETURN: frozenset(
        {
            (POINTS, "pending", "wallet"),
            (POINTS, "pending", "deficit"),
            (CLAIMS, "pending", "held"),
            (CLAIMS, "pending", "deficit"),
            (MONEY, "refundable", "fund"),
        }
    ),
    Code.COLLECT: frozenset({(POINTS, "claimable", "wallet")}),
    Code.GIFT: frozenset({(POINTS, "wallet", "wallet"), (POINTS, "wallet", "deficit")}),
    Code.DEPOSIT: frozenset({(MONEY, "src", "fund")}),
    Code.SETTLE: frozenset({(MONEY, "payable", "paid")}),
    Code.DISPUTE: frozenset(
        {
            (MONEY, "payable", "fund"),
            (POINTS, "redeemed", "wallet"),
            (POINTS, "redeemed", "deficit"),
            (CLAIMS, "sponsor", "held"),
            (CLAIMS, "sponsor", "deficit"),
        }
    ),
    Code.PLANT: frozenset({(POINTS, "redeemed", "planted")}),
    Code.ISSUE: frozenset(
        {
            (CLAIMS, "pool", "buffer"),
            (CLAIMS, "pool", "issued"),
            (UNITS, "issuer", "hold"),
            (UNITS, "issuer", "buffer"),
        }
    ),
    Code.SELL: frozenset({(UNITS, "hold", "sold"), (MONEY, "src", "fund"), (MONEY, "src", "fee")}),
    Code.RETIRE: frozenset({(UNITS, "sold", "retired"), (UNITS, "hold", "retired")}),
    Code.CANCEL_UNITS: frozenset(
        {
            (UNITS, "hold", "cancelled"),
            (UNITS, "buffer", "cancelled"),
            (CLAIMS, "issued", "retired"),
            (CLAIMS, "buffer", "retired"),
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement within one ledger; raises InvariantBroken for one the whitelist does not hold."""

    debit: LedgerAccount
    credit: LedgerAccount
    amount: int
    code: Code

    def __post_init__(self) -> None:
        letter = self.debit.ledger.partition(":")[0]
        if self.debit.ledger != self.credit.ledger or self.debit == self.credit:
            raise _broken(
                f"A transfer stays in one ledger between two accounts; {self.debit.ledger} has not."
            )
        if not 0 < self.amount <= AMOUNT_MAX:
            raise _broken(f"A transfer moves a positive amount below 2^63, not {self.amount}.")
        if (letter, self.debit.kind, self.credit.kind) not in MOVES[self.code]:
            raise _broken(
                f"{self.code.name} does not move {self.debit.kind} to {self.credit.kind} in {letter}."
            )

    @property
    def ledger(self) -> str:
        """Name the ledger."""
        return self.debit.ledger


class Balance(NamedTuple):
    """All that was ever debited and credited to a ledger account."""

    debits: int = 0
    credits: int = 0

    def of(self, account: LedgerAccount) -> int:
        """Give the balance on the account's own side."""
        difference = self.credits - self.debits
        return difference if account.nature.side is Side.CREDIT else -difference

    def with_debit(self, amount: int) -> Balance:
        """Add a debit."""
        return Balance(self.debits + amount, self.credits)

    def with_credit(self, amount: int) -> Balance:
        """Add a credit."""
        return Balance(self.debits, self.credits + amount)


NOTHING = Balance()


def moved(amount: int, debit: LedgerAccount, credit: LedgerAccount, code: Code) -> list[Transfer]:
    """Give the transfer of an amount, none of nothing."""
    return [Transfer(debit, credit, amount, code)] if amount else []


def totals(transfers: Iterable[Transfer]) -> dict[LedgerAccount, Balance]:
    """Add transfers up by account."""
    found: dict[LedgerAccount, Balance] = {}
    for one in transfers:
        found[one.debit] = found.get(one.debit, NOTHING).with_debit(one.amount)
        found[one.credit] = found.get(one.credit, NOTHING).with_credit(one.amount)
    return found


def check_floor(account: LedgerAccount, balance: Balance) -> None:
    """Stop at an account that went below zero and may not; raises InvariantBroken."""
    if account.nature.floored and balance.of(account) < 0:
        raise _broken(f"An account of kind {account.kind} in {account.ledger} would go below zero.")


def _broken(message: str) -> InvariantBroken:
    return InvariantBroken(REASON_INVARIANT_BROKEN, message)
