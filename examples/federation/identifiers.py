"""Synthetic mobile numbers for persons of data sets that share nobody.

The rule is fixed, so every run and every machine gives the same numbers. A city's persons are numbered; the
number alone decides the mobile and the district:

    household h (in ascending id order)     is person h
    rider r, even                           is person 2 r            (also a household of the retailer)
    rider r, odd                            is person 100,000 + r    (rides only)
    meter m, last digit of m from 0 to 5    is person 2 m            (also a household of the retailer)
    meter m, last digit 6                   is person 100,000 + (m // 10 * 2 + 1)   (also a rider)
    meter m, last digit 7 to 9              is person 200,000 + m    (uses electricity only)

With 2,469 households, 831 riders and 1,000 meters these are 3,184 persons: 416 are at the retailer and the
bike share, 600 at the retailer and the utility, 350 at the bike share and the utility, 250 of them at all
three. The numbers belong to nobody we know of and are never dialled.
"""

from __future__ import annotations

_RIDERS_ONLY = 100_000
_METERS_ONLY = 200_000
# A prime step walks through all seven-digit endings once, so neighbours get numbers far apart.
_STEP = 7_654_321
_ENDINGS = 10_000_000

DISTRICTS = ("east", "south", "west", "north")


def household_person(rank: int) -> int:
    """Give the person behind the retailer's household of that rank."""
    return rank


def rider_person(rank: int) -> int:
    """Give the person behind the bike share's rider of that rank; every second one also shops."""
    return _RIDERS_ONLY + rank if rank % 2 else 2 * rank


def meter_person(rank: int) -> int:
    """Give the person behind the meter of that rank; six in ten also shop, one in ten also rides."""
    last = rank % 10
    if last < 6:
        return 2 * rank
    return _RIDERS_ONLY + rank // 10 * 2 + 1 if last == 6 else _METERS_ONLY + rank


def mobile(person: int) -> str:
    """Give the person's synthetic mainland mobile number, eleven digits."""
    return f"1990{person * _STEP % _ENDINGS:07d}"


def district(person: int) -> str:
    """Give the district the person lives in, the same at every enterprise."""
    return DISTRICTS[person % len(DISTRICTS)]
