"""Orders that wait for money: who comes first, and who is served when some comes.

A fund with `when_empty = "queue"` lets orders wait that it cannot pay. They are served by the priority of
the fund their reward names first, the lower the earlier, then in the order they were made. Nobody is served
from a fund that somebody before them still waits for, so a small order does not slip past a large one.
Whatever brings a fund money serves, and so does the confirmation of an order that waits; one whose time is
over is passed by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from accounting.ledger import chart
from accounting.ledger.books import Books, Reservation
from accounting.ledger.chart import LedgerAccount
from accounting.ledger.funds import NO_CHANGES, counted_spent, held, is_below
from accounting.ledger.limits import counted
from accounting.ledger.transfers import Code, Transfer, moved
from accounting.programmes.programme import Programme
from accounting.programmes.rewards import Reward, WhenEmpty
from protos.problems import InvariantBroken, Refused
from protos.v1.problem_pb2 import REASON_FUND_EXHAUSTED, REASON_INVARIANT_BROKEN

# So many of a programme's orders wait at once at most: whatever serves them is one operation.
WAITING_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Served:
    """Orders that have their money now, what moved for them, and what is counted of it."""

    orders: tuple[Reservation, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def counted_with(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Add other counts to these."""
        return dict(_added(counts, self.counts))


@dataclass(slots=True)
class _Money:
    """What funds can still pay while orders are served, ahead of the books."""

    books: Books
    gained: dict[str, int]
    counts: Counter[str]
    blocked: set[str]

    def fund_for(self, rules: Programme, reward: Reward, fen: int) -> str | None:
        """Give the first fund an order may wait for that can pay it; a fund that cannot stays blocked."""
        names = queues(rules, reward)
        found = next((one for one in names if self._can_pay(rules, one, fen)), None)
        if found is None:
            self.blocked.update(names)
        return found

    def _can_pay(self, rules: Programme, name: str, fen: int) -> bool:
        there = held(self.books, rules.id, name) + self.gained.get(name, 0)
        return (
            name not in self.blocked and there >= fen and is_below(self.books, rules, name, fen, self.counts)
        )

    def pay(self, made: Reservation, *counts: Mapping[str, int]) -> None:
        """Take what an order costs."""
        self.gained[made.fund] = self.gained.get(made.fund, 0) - made.fen
        self.counts = _added(self.counts, *counts)


def queues(programme: Programme, reward: Reward) -> list[str]:
    """Name the funds a reward's orders may wait for."""
    return [one for one in reward.funds if programme.funds[one].when_empty is WhenEmpty.QUEUE]


def is_free(books: Books, programme: str, fund: str) -> bool:
    """Tell whether nobody waits for a fund."""
    return not books.count(_waiting(programme, fund))


def joined(books: Books, reward: Reward, rules: Programme, made: Reservation) -> dict[str, int]:
    """Count an order that begins to wait; raises Refused where too many do."""
    if not made.is_waiting:
        return {}
    if books.count(_waiting(rules.id)) >= WAITING_MAX:
        raise Refused(REASON_FUND_EXHAUSTED, "Too many orders wait for money of this programme.")
    return _counted(rules, reward, 1)


def left(rules: Programme, reward: Reward, made: Reservation) -> dict[str, int]:
    """Count an order that waits no longer."""
    return _counted(rules, reward, -1) if made.is_waiting else {}


def waiting_before(books: Books, made: Reservation) -> int:
    """Count the orders that are served before one that waits; none once it was served."""
    keys = [one.key for one in _in_order(books, made.programme)]
    return keys.index(made.key) if made.key in keys else 0


def serve(
    books: Books,
    programme: str,
    at: int,
    *,
    gained: Mapping[str, int] = NO_CHANGES,
    counts: Mapping[str, int] = NO_CHANGES,
    leaving: bytes = b"",
) -> Served:
    """Serve who waits, after funds have gained so much and counters changed so, one order gone."""
    if not books.count(_waiting(programme)):
        return Served()
    money, served = _Money(books, dict(gained), Counter(counts), set()), []
    for made in _in_order(books, programme):
        if made.key == leaving or made.expires_at <= at:
            continue
        rules, reward = rules_of(books, made)
        fund = money.fund_for(rules, reward, made.fen)
        if fund is not None:
            # From now on it counts for the epoch whose ceilings it was paid within.
            done = replace(made, fund=fund, epoch=books.epoch)
            money.pay(done, left(rules, reward, made), counted_spent(done, 1), _moved(made, done, reward))
            served.append(done)
    money.counts.subtract(counts)
    changed = {name: change for name, change in money.counts.items() if change}
    return Served(tuple(served), tuple(_set_aside(served)), changed)


def rules_of(books: Books, made: Reservation) -> tuple[Programme, Reward]:
    """Give the version a reservation was made under, whatever is in force now."""
    found = books.programme(made.programme, made.version)
    if found is None:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "A reservation's programme is not in the log.")
    return found, found.rewards[made.reward]


def _in_order(books: Books, programme: str) -> list[Reservation]:
    """Give who waits as they are served; of those alike who came earlier stays before."""

    def priority(made: Reservation) -> int:
        rules, reward = rules_of(books, made)
        return rules.funds[reward.funds[0]].priority

    return sorted(books.waiting(programme), key=priority)


def _set_aside(served: list[Reservation]) -> Iterator[Transfer]:
    """Move the money of orders, in one transfer a fund and reward."""
    sums: Counter[tuple[LedgerAccount, LedgerAccount]] = Counter()
    for one in served:
        sums[chart.fund(one.programme, one.fund), chart.refundable(one.programme, one.reward)] += one.fen
    for (fund, kept), fen in sums.items():
        yield from moved(fen, fund, kept, Code.RESERVE)


def _counted(rules: Programme, reward: Reward, sign: int) -> dict[str, int]:
    funds = queues(rules, reward)
    return dict.fromkeys([_waiting(rules.id), *(_waiting(rules.id, one) for one in funds)], sign)


def _moved(made: Reservation, done: Reservation, reward: Reward) -> Counter[str]:
    return _added(counted(made, reward, -1), counted(done, reward, 1))


def _added(*counts: Mapping[str, int]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def _waiting(programme: str, fund: str = "") -> str:
    """Name the counter of a programme's orders that wait, all or for one fund."""
    return f"waiting:{programme}:{fund}" if fund else f"waiting:{programme}"
