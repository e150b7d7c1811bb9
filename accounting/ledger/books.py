"""What a decision on an operation reads of the books before it, and what it changes: values only."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, Protocol

from accounting.issuance import MG_PER_TONNE
from accounting.ledger.chart import LedgerAccount
from accounting.ledger.transfers import Balance, Transfer
from accounting.ledger.wallets import Wallet
from accounting.programmes.programme import Programme
from protos.epochs import Epoch
from protos.v1 import ledger_pb2

KEY_BYTES = 16


class ReservationState(enum.IntEnum):
    """What became of a reservation; only the first can change, and a confirmed one be disputed."""

    RESERVED = 1
    CONFIRMED = 2
    CANCELLED = 3
    LAPSED = 4
    DISPUTED = 5


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is kept for a reward; `fund` is empty while no fund can pay, `fen` is what it will need."""

    key: bytes
    programme: str
    version: int
    reward: str
    account: bytes
    quantity: int
    points: int
    fund: str
    fen: int
    milligrams: int
    epoch: Epoch
    expires_at: int
    state: ReservationState = ReservationState.RESERVED

    @property
    def is_waiting(self) -> bool:
        """Tell whether it needs money that no fund has kept for it yet."""
        return self.state is ReservationState.RESERVED and self.fen > 0 and not self.fund


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """Whether an account may be debited; credits always go on."""

    frozen: bool = False
    closed: bool = False
    proved: bool = False


class Received(NamedTuple):
    """Points received otherwise than by a close, as if credited by the close of `epoch`."""

    ledger: str
    account: bytes
    epoch: Epoch
    points: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole tonnes a programme's rule has issued; `cells` are the (enterprise, pack) they came from."""

    name: str
    programme: str
    version: int
    rule: str
    pool_epoch: Epoch
    last_epoch: Epoch
    cells: frozenset[tuple[str, str]]
    tonnes: int
    first_serial: int
    # What lay in the pool when it was made.
    pool_mg: int

    @property
    def milligrams(self) -> int:
        """Give what it took from the pool."""
        return self.tonnes * MG_PER_TONNE


class Outcome(NamedTuple):
    """What whoever asked is told; stored with the operation, so that asking again gives the same."""

    points: int = 0
    fen: int = 0
    milligrams: int = 0
    expires_at: int = 0


NOTHING = Outcome()


@dataclass(frozen=True, slots=True)
class Decision:
    """What an operation does to the books."""

    outcome: Outcome = NOTHING
    transfers: tuple[Transfer, ...] = ()
    reservation: Reservation | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    received: tuple[Received, ...] = ()
    batch: Batch | None = None
    # Reservations that waited for money and have it now.
    funded: tuple[Reservation, ...] = ()


class Books(Protocol):
    """The books as they stand before an operation."""

    @property
    def epoch(self) -> Epoch:
        """Give the open epoch: the one the next close will be of."""
        ...

    def wallet(self, ledger: str, account: bytes) -> Wallet:
        """Give a wallet as the last close and the operations since have left it."""
        ...

    def variance(self, ledger: str, account: bytes) -> int:
        """Give the variance of the noise in a wallet, in its unit squared."""
        ...

    def lifetime(self, ledger: str, account: bytes) -> int:
        """Give all that closes ever credited to a wallet, less what they clawed back."""
        ...

    def balance(self, account: LedgerAccount) -> Balance:
        """Give the balance of an account that is nobody's wallet."""
        ...

    def count(self, name: str) -> int:
        """Give a counter of `counts`; 0 if nothing was counted."""
        ...

    def reservation(self, key: bytes) -> Reservation | None:
        """Find a reservation by the key of its Reserve."""
        ...

    def programme(self, programme: str, version: int) -> Programme | None:
        """Find a programme's version in the log."""
        ...

    def in_force(self, programme: str, epoch: Epoch | None = None) -> Programme | None:
        """Give the version in force for an epoch, the open one by default; None where none holds."""
        ...

    def status(self, account: bytes) -> AccountStatus:
        """Say whether an account may be debited."""
        ...

    def check_asked(self, operation: ledger_pb2.Operation) -> None:
        """Refuse an operation without the ticket of the person whose account pays."""
        ...

    def holder(self, account: bytes) -> bytes:
        """Give the account that has what an account had: another once a close has merged it."""
        ...

    def parts(self, account: bytes) -> tuple[bytes, ...]:
        """List an account and those that closes have merged into it."""
        ...

    def pools(self, account: bytes) -> frozenset[str]:
        """Name the programmes that an account has ever let pool its grams: a cell may hold them."""
        ...

    def waiting(self, programme: str) -> tuple[Reservation, ...]:
        """List the reservations of a programme that wait for money, in the order they were made."""
        ...

    def batches(self) -> tuple[Batch, ...]:
        """List all batches of units, oldest first."""
        ...

    def is_eligible(self, programme: Programme, reward: str, account: bytes) -> bool:
        """Evaluate a reward's condition for an account."""
        ...

    @property
    def reserve_z(self) -> Fraction:
        """Give how many standard deviations of its noise a wallet keeps, by the policy in force."""
        ...
