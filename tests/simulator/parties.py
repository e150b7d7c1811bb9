"""Who takes part in a simulated federation: enterprises, packs, custodians, and their keys."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from privacy import shares
from privacy.keys import SigningKey
from privacy.policy import NO_OVERLAP
from privacy.shares import Dealing
from protos.epochs import Epoch

ORIGIN = "cgsp.example/log"
KEY_ID = b"pseudonym-key-01"
EPOCH = Epoch(202012)
ISSUED_AT = 1_610_000_000


class Logged(NamedTuple):
    """One log entry and its bodies."""

    data: bytes
    bodies: list[bytes]


@dataclass(frozen=True)
class SimulatedPack:
    """A pack by the bytes that are logged for it."""

    id: str
    version: int = 1
    body: bytes = b"pack"
    domain: str = "travel"
    overlap_class: str = NO_OVERLAP


@dataclass(frozen=True)
class SimulatedEnterprise:
    """An enterprise: who is on its roster, what its one measure sums and how far a person reaches."""

    id: str
    persons: Sequence[int]
    pack_ids: tuple[str, ...]
    day_clamp_grams: int = 500
    reach_grams: int = 500
    month_clamp_grams: int = 5_000
    sum_reach_grams: int = 10_000
    count_reach: int = 8
    difference_basis_points_max: int = 0
    quota: int = 10_000
    # What falls on later months' releases, by months after a unit's own: of own history alone.
    later: Mapping[int, int] = field(default_factory=dict)
    sum_later: Mapping[int, int] = field(default_factory=dict)


DEFAULT_PACKS = (SimulatedPack("bike"), SimulatedPack("power", body=b"power pack", domain="life"))
DEFAULT_ENTERPRISES = (
    SimulatedEnterprise("bike-share", range(12), ("bike",)),
    SimulatedEnterprise("utility", range(6, 20), ("power",), day_clamp_grams=1_000, reach_grams=1_000),
)
CUSTODIANS = ("regulator", "auditor-one", "operator-share")


@functools.cache
def beacon_dealing() -> Dealing:
    """Give the beacon key's shares, the same in every run."""
    return shares.deal(threshold=2, count=len(CUSTODIANS), random=random.Random(11).randbytes)


def key(name: str) -> SigningKey:
    """Give the signing key of that name, the same in every run."""
    return SigningKey(hashlib.sha256(b"key " + name.encode()).digest(), name=name)


def pseudonym(person: int) -> bytes:
    """Give a person's pseudonym."""
    return hashlib.sha256(b"person %d" % person).digest()[:16]


def account(person: int) -> bytes:
    """Give a person's account id."""
    return hashlib.sha256(b"account %d" % person).digest()[:16]
