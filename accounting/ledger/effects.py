"""What a decision changes in the books, as values after it; whoever keeps the books writes them down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from accounting.ledger.books import Books, Decision
from accounting.ledger.chart import LedgerAccount
from accounting.ledger.transfers import Balance, Transfer, check_floor, totals
from accounting.ledger.wallets import Wallet, apply_transfers


@dataclass(frozen=True, slots=True)
class Effect:
    """Wallets by ledger and account, and other ledger accounts, as a decision leaves them."""

    wallets: Mapping[tuple[str, bytes], Wallet]
    balances: Mapping[LedgerAccount, Balance]


def effect_of(books: Books, decision: Decision) -> Effect:
    """Give what a decision leaves; raises InvariantBroken where something would go below zero."""
    by_person: dict[tuple[str, bytes], list[Transfer]] = defaultdict(list)
    for one in decision.transfers:
        for person in {one.debit.person, one.credit.person} - {None}:
            by_person[one.ledger, person or b""].append(one)
    wallets = {
        (ledger, account): apply_transfers(books.wallet(ledger, account), ledger, account, transfers)
        for (ledger, account), transfers in by_person.items()
    }
    balances: dict[LedgerAccount, Balance] = {}
    for account, change in totals(decision.transfers).items():
        if account.person is None:
            there = books.balance(account)
            balances[account] = Balance(there.debits + change.debits, there.credits + change.credits)
            check_floor(account, balances[account])
    return Effect(wallets, balances)
