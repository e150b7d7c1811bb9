"""The books in memory, as far as they were read: decisions change them, their keeper writes them down."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

from accounting.ledger import spending
from accounting.ledger.books import AccountStatus, Batch, Decision, Received, Reservation
from accounting.ledger.chart import CLAIMS, LedgerAccount
from accounting.ledger.decide import decide
from accounting.ledger.effects import effect_of
from accounting.ledger.transfers import NOTHING, Balance
from accounting.ledger.wallets import Wallet
from accounting.programmes.eligibility import Conditions, Facts
from accounting.programmes.programme import Programme
from engine.ledgers import Found
from privacy.opened_tickets import Ticket
from privacy.spent_tickets import SpentTickets
from protos.epochs import Epoch
from protos.v1 import ledger_pb2

MG_PER_GRAM = 1_000

Place = tuple[str, bytes]


EMPTY = Found(Wallet())


class BooksFacts(Protocol):
    """What the log says of programmes and accounts; LogFacts in a hub and at an auditor."""

    @property
    def epoch(self) -> Epoch:
        """Give the open epoch."""
        ...

    @property
    def reserve_z(self) -> Fraction:
        """Give how many standard deviations of its noise a wallet keeps."""
        ...

    def programme(self, programme: str, version: int) -> Programme | None:
        """Find a programme's version."""
        ...

    def in_force(self, programme: str, epoch: Epoch | None = None) -> Programme | None:
        """Give the version in force for an epoch, the open one by default."""
        ...

    def status(self, account: bytes) -> AccountStatus:
        """Say whether an account may be debited."""
        ...

    def check_asked(self, operation: ledger_pb2.Operation) -> Ticket:
        """Give the ticket of the person whose account pays for an operation; refuse one without it."""
        ...

    def holder(self, account: bytes) -> bytes:
        """Give the account that has what an account had."""
        ...

    def parts(self, account: bytes) -> tuple[bytes, ...]:
        """List an account and those merged into it."""
        ...

    def pools(self, account: bytes) -> frozenset[str]:
        """Name the programmes that an account has ever let pool its grams."""
        ...


class KeptBooks:
    """Implements Books over what was put into it; `changed` names the wallets that operations changed.

    Who keeps the books overrides `find_…`, which is asked once for each thing that is not at hand.
    """

    def __init__(self, facts: BooksFacts, conditions: Conditions) -> None:
        self.facts = facts
        self._conditions = conditions
        self.wallets: dict[Place, Found] = {}
        self.changed: set[Place] = set()
        self.balances: dict[LedgerAccount, Balance] = {}
        self.counts: dict[str, int] = {}
        self.reservations: dict[bytes, Reservation | None] = {}
        self.received: list[Received] = []
        self.issued: list[Batch] = []
        self.spent = SpentTickets()
        # The tickets that the operation being decided rests on, and those of operations decided here.
        self._asked: list[Ticket] = []
        self.rested: list[Ticket] = []
        # By programme: who waited when last asked, and who began to wait since.
        self._queues: dict[str, dict[bytes, None]] = {}
        self._joined: dict[str, list[bytes]] = {}

    def find_wallet(self, ledger: str, account: bytes) -> Found:
        """Find a wallet that is not at hand."""
        return EMPTY

    def find_count(self, name: str) -> int:
        """Find a counter that is not at hand."""
        return 0

    def find_reservation(self, key: bytes) -> Reservation | None:
        """Find a reservation that is not at hand."""
        return None

    def find_waiting(self, programme: str) -> Sequence[Reservation]:
        """Find the reservations that waited for money when the books were opened."""
        return ()

    @property
    def epoch(self) -> Epoch:
        """Give the open epoch."""
        return self.facts.epoch

    @property
    def reserve_z(self) -> Fraction:
        """Give how many standard deviations of its noise a wallet keeps."""
        return self.facts.reserve_z

    def wallet(self, ledger: str, account: bytes) -> Wallet:
        """Give a wallet."""
        return self._found(ledger, account).wallet

    def variance(self, ledger: str, account: bytes) -> int:
        """Give the variance of the noise in a wallet."""
        return self._found(ledger, account).variance

    def lifetime(self, ledger: str, account: bytes) -> int:
        """Give all that closes ever credited, less what they clawed back."""
        return self._found(ledger, account).lifetime

    def balance(self, account: LedgerAccount) -> Balance:
        """Give the balance of an account that is nobody's wallet."""
        return self.balances.get(account, NOTHING)

    def count(self, name: str) -> int:
        """Give a counter."""
        if name not in self.counts:
            self.counts[name] = self.find_count(name)
        return self.counts[name]

    def reservation(self, key: bytes) -> Reservation | None:
        """Find a reservation."""
        if key not in self.reservations:
            self.reservations[key] = self.find_reservation(key)
        return self.reservations[key]

    def programme(self, programme: str, version: int) -> Programme | None:
        """Find a programme's version."""
        return self.facts.programme(programme, version)

    def in_force(self, programme: str, epoch: Epoch | None = None) -> Programme | None:
        """Give the version in force for an epoch, the open one by default."""
        return self.facts.in_force(programme, epoch)

    def status(self, account: bytes) -> AccountStatus:
        """Say whether an account may be debited."""
        return self.facts.status(account)

    def check_asked(self, operation: ledger_pb2.Operation) -> None:
        """Refuse an operation without the ticket of the person whose account pays, unused until now."""
        ticket = self.facts.check_asked(operation)
        self.spent.check(ticket.use, operation.at)
        self._asked.append(ticket)

    def holder(self, account: bytes) -> bytes:
        """Give the account that has what an account had."""
        return self.facts.holder(account)

    def parts(self, account: bytes) -> tuple[bytes, ...]:
        """List an account and those merged into it."""
        return self.facts.parts(account)

    def pools(self, account: bytes) -> frozenset[str]:
        """Name the programmes that an account has ever let pool its grams."""
        return self.facts.pools(account)

    def waiting(self, programme: str) -> tuple[Reservation, ...]:
        """List the reservations of a programme that wait for money, in the order they were made."""
        if programme not in self._queues:
            found = self.find_waiting(programme)
            for one in found:
                self.reservations.setdefault(one.key, one)
            self._queues[programme] = dict.fromkeys(one.key for one in found)
        queue = self._queues[programme]
        queue |= dict.fromkeys(self._joined.pop(programme, ()))
        known = (self.reservations[key] for key in queue)
        still = tuple(one for one in known if one is not None and one.is_waiting)
        self._queues[programme] = dict.fromkeys(one.key for one in still)
        return still

    def batches(self) -> tuple[Batch, ...]:
        """List all batches of units, oldest first."""
        return tuple(self.issued)

    def is_eligible(self, programme: Programme, reward: str, account: bytes) -> bool:
        """Evaluate a reward's condition for an account."""
        text = programme.rewards[reward].eligible
        if not text:
            return True
        points, claims = self._found(programme.ledger, account), self._found(CLAIMS, account)
        facts = Facts(
            points=spending.spendable(points.wallet, points.variance, self.reserve_z),
            lifetime_points=points.lifetime,
            grams=claims.wallet.available // MG_PER_GRAM,
            lifetime_grams=claims.lifetime // MG_PER_GRAM,
            epoch=self.epoch,
        )
        return self._conditions.holds(text, facts)

    def apply(self, operation: ledger_pb2.Operation) -> Decision:
        """Decide an operation and take what it changes; raises the Problem that refuses it, all as it was."""
        self._asked.clear()
        decision = decide(self, operation)
        effect = effect_of(self, decision)
        for (ledger, account), wallet in effect.wallets.items():
            self.wallets[ledger, account] = self._found(ledger, account)._replace(wallet=wallet)
            self.changed.add((ledger, account))
        self.balances.update(effect.balances)
        for name, change in decision.counts.items():
            self.counts[name] = self.count(name) + change
        self.reservations.update({one.key: one for one in decision.funded})
        if decision.reservation is not None:
            self._put(decision.reservation)
        if decision.batch is not None:
            self.issued.append(decision.batch)
        self.received += decision.received
        for ticket in self._asked:
            self.spent.add(ticket.use, ends=ticket.expires_at, at=operation.at)
        self.rested += self._asked
        return decision

    def _put(self, made: Reservation) -> None:
        self.reservations[made.key] = made
        if made.is_waiting:
            self._joined.setdefault(made.programme, []).append(made.key)

    def _found(self, ledger: str, account: bytes) -> Found:
        place = (ledger, account)
        if place not in self.wallets:
            self.wallets[place] = self.find_wallet(ledger, account)
        return self.wallets[place]
