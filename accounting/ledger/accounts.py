"""Rules about persons' accounts that every family of operations shares: who may be debited, by how much."""

from __future__ import annotations

from accounting.ledger import chart, spending
from accounting.ledger.books import KEY_BYTES, AccountStatus, Books
from accounting.ledger.chart import LedgerAccount
from accounting.ledger.transfers import Code, Transfer, moved
from protos.problems import Malformed, Refused
from protos.v1.problem_pb2 import (
    REASON_ACCOUNT_CLOSED,
    REASON_ACCOUNT_FROZEN,
    REASON_CONTROL_NOT_PROVED,
    REASON_WRONG_SHAPE,
)


def check_key(value: bytes, what: str) -> bytes:
    """Take 16 bytes that name something; raises Malformed."""
    if len(value) != KEY_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"The {what} has {KEY_BYTES} bytes, not {len(value)}.")
    return value


def check_debit(books: Books, account: bytes) -> None:
    """Refuse to take from an account that is closed, frozen, or whose person has not proved control."""
    status = books.status(account)
    _check_not_closed(status)
    if status.frozen:
        raise Refused(
            REASON_ACCOUNT_FROZEN, "The account is frozen.", remedy="Settle whose it is with the operator."
        )
    if not status.proved:
        raise Refused(
            REASON_CONTROL_NOT_PROVED,
            "Nobody has proved control of the account.",
            remedy="Bring a link ticket of an enterprise that has logged the person in.",
        )


def check_open(books: Books, account: bytes) -> None:
    """Refuse what only an account that is not closed may do."""
    _check_not_closed(books.status(account))


def _check_not_closed(status: AccountStatus) -> None:
    if status.closed:
        raise Refused(REASON_ACCOUNT_CLOSED, "The account is closed.", remedy="Nothing can be done with it.")


def spendable(books: Books, ledger: str, account: bytes) -> int:
    """Give what an account may spend in a ledger now."""
    wallet = books.wallet(ledger, account)
    return spending.spendable(wallet, books.variance(ledger, account), books.reserve_z)


def returned(
    books: Books, ledger: str, account: bytes, amount: int, giver: LedgerAccount, code: Code
) -> list[Transfer]:
    """Give an amount to a person: first it repays the deficit, the rest may be spent."""
    owed = min(amount, books.wallet(ledger, account).deficit)
    return [
        *moved(owed, giver, chart.deficit(ledger, account), code),
        *moved(amount - owed, giver, chart.available(ledger, account), code),
    ]
