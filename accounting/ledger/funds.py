"""What a fund can pay: the money in it, and its ceilings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from accounting.ledger import chart
from accounting.ledger.books import Reservation
from accounting.ledger.chart import LedgerAccount
from accounting.ledger.transfers import Balance
from accounting.programmes.programme import Programme
from accounting.programmes.rewards import Reward
from protos.epochs import Epoch

NO_CHANGES: Mapping[str, int] = {}


class Money(Protocol):
    """The part of the books that says which fund can pay."""

    @property
    def epoch(self) -> Epoch:
        """Give the open epoch."""

    def balance(self, account: LedgerAccount) -> Balance:
        """Give the balance of an account that is nobody's wallet."""

    def count(self, name: str) -> int:
        """Give a counter."""


def funded_by(books: Money, programme: Programme, reward: Reward, fen: int) -> str | None:
    """Name the first of a reward's funds that has the money and is below its ceilings."""
    return next((name for name in reward.funds if can_pay(books, programme, name, fen)), None)


def can_pay(books: Money, programme: Programme, name: str, fen: int) -> bool:
    """Tell whether a fund has the money and is below its ceilings."""
    return held(books, programme.id, name) >= fen and is_below(books, programme, name, fen)


def held(books: Money, programme: str, fund: str) -> int:
    """Give the money in a fund."""
    account = chart.fund(programme, fund)
    return books.balance(account).of(account)


def is_below(
    books: Money, programme: Programme, name: str, fen: int, changes: Mapping[str, int] = NO_CHANGES
) -> bool:
    """Tell whether a fund may spend so much more, after changes to its counters that are not booked yet."""
    fund = programme.funds[name]
    limits = {
        spent(programme.id, name): fund.overall_fen_max,
        spent(programme.id, name, books.epoch): fund.epoch_fen_max,
    }
    return all(
        not maximum or books.count(one) + changes.get(one, 0) + fen <= maximum
        for one, maximum in limits.items()
    )


def counted_spent(made: Reservation, sign: int) -> dict[str, int]:
    """Count what an order takes of its fund (1), or gives back (-1), in the epoch it got its money in."""
    if not made.fund:
        return {}
    fund = (made.programme, made.fund)
    return {spent(*fund): sign * made.fen, spent(*fund, made.epoch): sign * made.fen}


def spent(programme: str, fund: str, epoch: Epoch | None = None) -> str:
    """Name the counter of what was spent of a fund, in all or in an epoch."""
    overall = f"spent:{programme}:{fund}"
    return overall if epoch is None else f"{overall}:{epoch}"
