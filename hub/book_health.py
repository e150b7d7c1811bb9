"""What an operator must look at in the books: funds that run dry, orders that wait, partners that are owed.

Read from the store beside a running hub; metrics count it, `doctor` names it. Nothing here is a person's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from accounting.ledger.chart import MONEY, LedgerAccount
from accounting.ledger.funds import funded_by
from accounting.ledger.transfers import Balance
from accounting.programmes.programme import Programme
from hub.store.operations import Unsealed, read_unsealed
from hub.store.reservations import Reserved, count_reserved, read_counts, walk_balances
from protos.epochs import Epoch

# A reservation that lapses within so long is one that somebody should confirm or call off.
SOON_SECONDS = 3_600
# Funds are low when they do not pay for so many more of a reward.
REWARDS_LOW = 100


@dataclass(frozen=True, slots=True)
class Funding:
    """How many of a reward its funds still pay for in the open epoch: none, few, or enough."""

    programme: str
    reward: str
    funds: tuple[str, ...]
    is_empty: bool
    is_low: bool


@dataclass(frozen=True, slots=True)
class BookHealth:
    """How the books stand: rewards that cost money, open reservations, what partners are owed."""

    fundings: tuple[Funding, ...]
    reserved: Reserved
    owed_fen: Mapping[str, int]
    unsealed: Unsealed

    @property
    def empty(self) -> list[Funding]:
        """List the rewards nobody pays for."""
        return [one for one in self.fundings if one.is_empty]

    @property
    def low(self) -> list[Funding]:
        """List the rewards few more of which are paid for."""
        return [one for one in self.fundings if one.is_low and not one.is_empty]


def book_health(
    connection: Connection, programmes: Iterable[Programme], epoch: Epoch, *, now: int
) -> BookHealth:
    """Look at the books as a connection's transaction sees them; `programmes` are those in force."""
    money = _Money(connection, epoch)
    return BookHealth(
        tuple(one for programme in programmes for one in _fundings(money, programme)),
        count_reserved(connection, soon=now + SOON_SECONDS),
        dict(_owed(money.balances)),
        read_unsealed(connection),
    )


class _Money:
    """The part of the books that says who can pay."""

    def __init__(self, connection: Connection, epoch: Epoch) -> None:
        self._connection = connection
        self.epoch = epoch
        self.balances = dict(walk_balances(connection))

    def balance(self, account: LedgerAccount) -> Balance:
        """Give a balance that is nobody's wallet."""
        return self.balances.get(account, Balance())

    def count(self, name: str) -> int:
        """Read a counter."""
        return read_counts(self._connection, [name]).get(name, 0)


def _fundings(money: _Money, programme: Programme) -> Iterator[Funding]:
    for name, reward in programme.rewards.items():
        if not reward.funds or (reward.until is not None and reward.until < money.epoch):
            continue
        fen = reward.unit_cost_fen
        pays_one, pays_many = (
            funded_by(money, programme, reward, quantity * fen) is not None for quantity in (1, REWARDS_LOW)
        )
        yield Funding(programme.id, name, reward.funds, not pays_one, not pays_many)


def _owed(balances: Mapping[LedgerAccount, Balance]) -> Iterator[tuple[str, int]]:
    for account, balance in balances.items():
        if account.ledger == MONEY and account.kind == "payable" and balance.of(account) > 0:
            yield account.path.partition(":")[2], balance.of(account)
