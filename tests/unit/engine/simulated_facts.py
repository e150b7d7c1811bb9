"""What a log says, made up for tests of the ledgers: one programme, statuses and the epoch as a test sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from accounting.ledger.books import AccountStatus
from accounting.programmes.programme import Programme
from privacy.opened_tickets import Ticket
from protos.epochs import Epoch
from protos.v1 import ledger_pb2

PROVED = AccountStatus(proved=True)


@dataclass
class SimulatedFacts:
    """Implements BooksFacts."""

    rules: Programme
    epoch: Epoch
    reserve_z: Fraction = Fraction(1)
    statuses: dict[bytes, AccountStatus] = field(default_factory=dict)
    # Accounts merged into others, and who lets the programme pool.
    merges: dict[bytes, bytes] = field(default_factory=dict)
    pooling: set[bytes] = field(default_factory=set)
    has_ended: bool = False

    def programme(self, programme: str, version: int) -> Programme | None:
        """Find the programme."""
        return self.rules if (programme, version) == (self.rules.id, self.rules.version) else None

    def in_force(self, programme: str, epoch: Epoch | None = None) -> Programme | None:
        """Give the programme until it has ended."""
        return self.rules if programme == self.rules.id and not self.has_ended else None

    def status(self, account: bytes) -> AccountStatus:
        """Give a status; everybody has proved control."""
        return self.statuses.get(account, PROVED)

    def check_asked(self, operation: ledger_pb2.Operation) -> Ticket:
        """Everybody asked, each time with another ticket."""
        return Ticket("city", bytes(16), "redeem", operation.key, b"", operation.at, operation.at, bytes(32))

    def holder(self, account: bytes) -> bytes:
        """Give whom an account was merged into."""
        return self.merges.get(account, account)

    def parts(self, account: bytes) -> tuple[bytes, ...]:
        """List an account and those merged into it."""
        return (account, *(one for one, target in self.merges.items() if target == account))

    def pools(self, account: bytes) -> frozenset[str]:
        """Name the programme for who lets it pool."""
        is_pooling = not self.pooling.isdisjoint(self.parts(account))
        return frozenset({self.rules.id} if is_pooling else ())
