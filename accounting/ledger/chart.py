"""The chart of ledger accounts: ledgers R (claims, mg), P:<programme> (points), M (fen), U (tonnes).

Every account has a kind, the word its path begins with; a kind says on which side the account grows and
whether it may go below zero. The ledgers never mix: what belongs together in two of them are two transfers
of one operation.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from protos.epochs import Epoch, format_epoch
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

CLAIMS = "R"
MONEY = "M"
UNITS = "U"
POINTS = "P"
ID_BYTES = 16
ACCOUNTS_KEPT_MAX = 1 << 14

_TAG = b"cgsp ledger account"
_SEPARATOR = b"\x1f"


class Side(enum.Enum):
    """The side on which an account grows."""

    DEBIT = "debit"
    CREDIT = "credit"


class Nature(NamedTuple):
    """What a kind of account is: its side, and whether it may go below zero."""

    side: Side
    floored: bool


_DEBIT = Nature(Side.DEBIT, floored=False)
_OWED = Nature(Side.DEBIT, floored=True)
_CREDIT = Nature(Side.CREDIT, floored=False)
_FLOORED = Nature(Side.CREDIT, floored=True)

NATURES: Mapping[str, Mapping[str, Nature]] = {
    CLAIMS: {
        "src": _DEBIT,
        "held": _FLOORED,
        "pending": _FLOORED,
        "deficit": _OWED,
        "pool": _FLOORED,
        "buffer": _FLOORED,
        "issued": _FLOORED,
        "sponsor": _FLOORED,
        "retired": _FLOORED,
        "expired": _FLOORED,
        "writeoff": _OWED,
    },
    POINTS: {
        "mint": _DEBIT,
        "wallet": _FLOORED,
        "claimable": _FLOORED,
        "pending": _FLOORED,
        "deficit": _OWED,
        "redeemed": _FLOORED,
        "planted": _FLOORED,
        "capped": _FLOORED,
        "expired": _FLOORED,
        "writeoff": _OWED,
    },
    MONEY: {
        "src": _DEBIT,
        "fund": _FLOORED,
        "refundable": _FLOORED,
        # A partner that was paid for what it did not deliver owes until its next delivery.
        "payable": _CREDIT,
        "paid": _FLOORED,
        "fee": _FLOORED,
    },
    UNITS: {
        "issuer": _DEBIT,
        "hold": _FLOORED,
        "buffer": _FLOORED,
        "sold": _FLOORED,
        "retired": _FLOORED,
        "cancelled": _FLOORED,
    },
}
# Who owns a claim that is nobody's wallet's any more: with persons they own all that sources gave.
OWNERS = ("pool", "buffer", "issued", "sponsor", "retired", "expired")
# Which part of a person's wallet an account of this kind is.
WALLET_PARTS: Mapping[str, str] = {
    "held": "available",
    "wallet": "available",
    "claimable": "claimable",
    "pending": "pending",
    "deficit": "deficit",
}


@dataclass(frozen=True)
class LedgerAccount:
    """One account of one ledger; the path's first word is its kind."""

    ledger: str
    path: str

    @cached_property
    def kind(self) -> str:
        """Give the kind."""
        return self.path.partition(":")[0]

    @cached_property
    def nature(self) -> Nature:
        """Give the side and the floor of its kind; raises InvariantBroken for a kind its ledger has not."""
        found = NATURES.get(self.ledger.partition(":")[0], {}).get(self.kind)
        if found is None:
            raise InvariantBroken(
                REASON_INVARIANT_BROKEN, f"Ledger {self.ledger} has no accounts of kind {self.kind}."
            )
        return found

    @cached_property
    def person(self) -> bytes | None:
        """Give the account whose wallet this is a part of; None for every other ledger account."""
        if self.kind not in WALLET_PARTS:
            return None
        return bytes.fromhex(self.path.partition(":")[2])

    @cached_property
    def id(self) -> bytes:
        """Give the 16-byte id: the first half of SHA-256 over tag, ledger and path."""
        parts = (_TAG, self.ledger.encode(), self.path.encode())
        return hashlib.sha256(_SEPARATOR.join(parts)).digest()[:ID_BYTES]

    @cached_property
    def _hash(self) -> int:
        return hash((self.ledger, self.path))

    def __hash__(self) -> int:
        """Hash once: accounts are keys wherever amounts are added up."""
        return self._hash


# One object for an account that is named again soon, so that what follows from its name is found once.
@lru_cache(ACCOUNTS_KEPT_MAX)
def _account(ledger: str, path: str) -> LedgerAccount:
    return LedgerAccount(ledger, path)


def points_ledger(programme: str) -> str:
    """Name the ledger of a programme's points."""
    return f"{POINTS}:{programme}"


def programme_of(ledger: str) -> str:
    """Name the programme whose points a ledger holds."""
    return ledger.partition(":")[2]


def available(ledger: str, account: bytes) -> LedgerAccount:
    """Name what a person may spend: held claims, or a wallet of points."""
    return _account(ledger, f"{'held' if ledger == CLAIMS else 'wallet'}:{account.hex()}")


def held(account: bytes) -> LedgerAccount:
    """Name a person's claims."""
    return available(CLAIMS, account)


def wallet(programme: str, account: bytes) -> LedgerAccount:
    """Name a person's points."""
    return available(points_ledger(programme), account)


def claimable(programme: str, account: bytes) -> LedgerAccount:
    """Name points that wait to be collected."""
    return _account(points_ledger(programme), f"claimable:{account.hex()}")


def pending(ledger: str, account: bytes) -> LedgerAccount:
    """Name what is kept for a reservation."""
    return _account(ledger, f"pending:{account.hex()}")


def deficit(ledger: str, account: bytes) -> LedgerAccount:
    """Name what later credits repay."""
    return _account(ledger, f"deficit:{account.hex()}")


def source(enterprise_id: str, measure_id: str, epoch: Epoch) -> LedgerAccount:
    """Name where claims come from: the statements of an enterprise's measure in an epoch, their vintage."""
    return _account(CLAIMS, f"src:{enterprise_id}:{measure_id}:{format_epoch(epoch)}")


def pool(programme: str) -> LedgerAccount:
    """Name the claims a programme may issue from."""
    return _account(CLAIMS, f"pool:{programme}")


def claims_buffer(programme: str) -> LedgerAccount:
    """Name the claims behind a programme's buffer units."""
    return _account(CLAIMS, f"buffer:{programme}")


def issued(batch: str) -> LedgerAccount:
    """Name the claims a batch of units stands for."""
    return _account(CLAIMS, f"issued:{batch}")


def sponsor(enterprise_id: str) -> LedgerAccount:
    """Name the claims that passed to an enterprise; they are never issued."""
    return _account(CLAIMS, f"sponsor:{enterprise_id}")


def retired(reason: str) -> LedgerAccount:
    """Name the claims nobody may use any more."""
    return _account(CLAIMS, f"retired:{reason}")


def expired(ledger: str) -> LedgerAccount:
    """Name what ended unused."""
    return _account(ledger, "expired")


def written_off(ledger: str) -> LedgerAccount:
    """Name deficits given up."""
    return _account(ledger, "writeoff")


def mint(programme: str) -> LedgerAccount:
    """Name where a programme's points come from."""
    return _account(points_ledger(programme), "mint")


def capped(programme: str) -> LedgerAccount:
    """Name the points above a cap."""
    return _account(points_ledger(programme), "capped")


def redeemed(programme: str, kind: str, reward: str) -> LedgerAccount:
    """Name the points spent on a reward."""
    return _account(points_ledger(programme), f"redeemed:{kind}:{reward}")


def planted(programme: str, reward: str) -> LedgerAccount:
    """Name the points of lots a charity pool has planted."""
    return _account(points_ledger(programme), f"planted:{reward}")


def money_source(origin: str) -> LedgerAccount:
    """Name where money comes from: government, enterprise, bank, sale:<batch>."""
    return _account(MONEY, f"src:{origin}")


def fund(programme: str, name: str) -> LedgerAccount:
    """Name a fund."""
    return _account(MONEY, f"fund:{programme}:{name}")


def refundable(programme: str, reward: str) -> LedgerAccount:
    """Name money kept for reservations of a reward."""
    return _account(MONEY, f"refundable:{programme}:{reward}")


def payable(partner: str) -> LedgerAccount:
    """Name what a partner is owed."""
    return _account(MONEY, f"payable:{partner}")


def paid(partner: str) -> LedgerAccount:
    """Name what a partner was paid."""
    return _account(MONEY, f"paid:{partner}")


def fee(whom: str) -> LedgerAccount:
    """Name what an operator or verifier earned."""
    return _account(MONEY, f"fee:{whom}")


def units_issuer(batch: str) -> LedgerAccount:
    """Name where a batch's units come from."""
    return _account(UNITS, f"issuer:{batch}")


def units_hold(batch: str) -> LedgerAccount:
    """Name a batch's units that are for sale."""
    return _account(UNITS, f"hold:{batch}")


def units_buffer(batch: str) -> LedgerAccount:
    """Name a batch's units kept against reversal."""
    return _account(UNITS, f"buffer:{batch}")


def units_sold(batch: str, buyer: str) -> LedgerAccount:
    """Name a batch's units a buyer has."""
    return _account(UNITS, f"sold:{batch}:{buyer}")


def units_retired(batch: str, buyer: str) -> LedgerAccount:
    """Name a batch's units a buyer has used; without a buyer, those retired unsold."""
    return _account(UNITS, f"retired:{batch}:{buyer}" if buyer else f"retired:{batch}")


def units_cancelled(batch: str) -> LedgerAccount:
    """Name a batch's units that ended without use."""
    return _account(UNITS, f"cancelled:{batch}")
