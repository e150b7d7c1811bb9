"""Books that hold what decisions on units read: balances, counters, batches and one programme."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

from accounting.ledger.books import AccountStatus, Batch, Decision, Reservation
from accounting.ledger.chart import LedgerAccount
from accounting.ledger.decide import decide
from accounting.ledger.transfers import Balance, check_floor
from accounting.ledger.wallets import Wallet
from accounting.programmes.programme import Programme
from protos.epochs import Epoch
from protos.v1 import ledger_pb2


@dataclass
class UnitBooks:
    """Takes decisions one after the other; nobody has a wallet."""

    offered: Programme
    open_epoch: Epoch
    balances: dict[LedgerAccount, Balance] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    made: list[Batch] = field(default_factory=list)
    done: list[ledger_pb2.Operation] = field(default_factory=list)

    @property
    def epoch(self) -> Epoch:
        return self.open_epoch

    @property
    def reserve_z(self) -> Fraction:
        return Fraction(0)

    def wallet(self, ledger: str, account: bytes) -> Wallet:
        return Wallet()

    def variance(self, ledger: str, account: bytes) -> int:
        return 0

    def lifetime(self, ledger: str, account: bytes) -> int:
        return 0

    def balance(self, account: LedgerAccount) -> Balance:
        return self.balances.get(account, Balance())

    def count(self, name: str) -> int:
        return self.counts[name]

    def reservation(self, key: bytes) -> Reservation | None:
        return None

    def programme(self, programme: str, version: int) -> Programme | None:
        return self.offered if (programme, version) == (self.offered.id, self.offered.version) else None

    def in_force(self, programme: str, epoch: Epoch | None = None) -> Programme | None:
        found = self.programme(programme, self.offered.version)
        return found if found is not None and found.holds(epoch or self.epoch) else None

    def status(self, account: bytes) -> AccountStatus:
        return AccountStatus()

    def check_asked(self, operation: ledger_pb2.Operation) -> None:
        pass

    def holder(self, account: bytes) -> bytes:
        return account

    def parts(self, account: bytes) -> tuple[bytes, ...]:
        return (account,)

    def waiting(self, programme: str) -> tuple[Reservation, ...]:
        return ()

    def pools(self, account: bytes) -> frozenset[str]:
        return frozenset()

    def batches(self) -> tuple[Batch, ...]:
        return tuple(self.made)

    def is_eligible(self, programme: Programme, reward: str, account: bytes) -> bool:
        return False

    def give(self, account: LedgerAccount, amount: int) -> None:
        """Credit an account from nowhere: what closes and redemptions would have brought."""
        self.balances[account] = self.balance(account).with_credit(amount)

    def take(self, operation: ledger_pb2.Operation) -> Decision:
        """Decide and apply."""
        decision = decide(self, operation)
        for one in decision.transfers:
            self.balances[one.debit] = self.balance(one.debit).with_debit(one.amount)
            self.balances[one.credit] = self.balance(one.credit).with_credit(one.amount)
        for account, balance in self.balances.items():
            check_floor(account, balance)
        self.counts.update(decision.counts)
        if decision.batch is not None:
            self.made.append(decision.batch)
        self.done.append(operation)
        return decision

    def of(self, account: LedgerAccount) -> int:
        """Give a balance on the account's own side."""
        return self.balance(account).of(account)
