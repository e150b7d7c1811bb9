"""What noise does to accounts over the years: errors, who can spend when, what idle accounts could take.

An account may spend what stands above z standard deviations of its noise. An idle account that stops at the
best moment of its life takes max over t of (N(t) - z sigma(t))+, N the noise so far: spending everything
spendable at every close takes just that. Randomness comes in as an argument; it never makes a release.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from privacy.laplace import variance_upper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Paths = NDArray[np.float64]

YEAR_MONTHS = 12
DAYS_A_MONTH = 30
HORIZONS = (12, 24, 60)
SPENDING_HORIZONS = (6, 12, 24, 60)
# z is looked for in steps of a hundredth.
Z_MAX_PERCENT = 1_000


@dataclass(frozen=True, slots=True)
class Archetype:
    """A type of participant: active days a month, median grams of an active day, their spread (log scale)."""

    name: str
    active_days: float
    day_grams: float
    spread: float


# The four of the methodology survey: 67 g, 1.25 kg, 7.5 kg and 12.7 kg a month on average.
ARCHETYPES = (
    Archetype("bank user", 8.0, 7.0, 0.6),
    Archetype("city mix", 10.0, 105.0, 0.6),
    Archetype("metro commuter", 22.0, 325.0, 0.3),
    Archetype("household", 30.0, 405.0, 0.3),
)


@dataclass(frozen=True, slots=True)
class Statements:
    """One measure's statements: noise scale a month, clamp of a day (0: none), scale of an annual anchor."""

    name: str
    scale: int
    day_clamp_grams: int
    anchor_scale: int | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one archetype has of one measure; grams, shares from 0 to 1, by months since joining."""

    measure: str
    archetype: str
    month_grams: float
    clamp_loss: float
    error_grams: dict[int, float]
    sigma_grams: dict[int, int]
    relative_error: dict[int, float]
    spending: dict[int, float]


@dataclass(frozen=True, slots=True)
class Idle:
    """What an idle account takes on average when it stops best; `z` is the reserve's."""

    measure: str
    z: float
    extracted_grams: float


def outlooks(
    measures: Sequence[Statements],
    archetypes: Sequence[Archetype],
    *,
    z: float,
    accounts: int,
    random: np.random.Generator,
    spending_months: Sequence[int] = SPENDING_HORIZONS,
) -> list[Outlook]:
    """Simulate five years of every archetype at every measure."""
    return [
        _outlook(measure, archetype, z, accounts, random, spending_months)
        for measure in measures
        for archetype in archetypes
    ]


def idle(
    name: str, measures: Sequence[Statements], *, z: float, accounts: int, random: np.random.Generator
) -> Idle:
    """Simulate idle accounts fed by all these measures that spend whenever they can, over five years."""
    return Idle(name, z, _extracted(*_summed(measures, accounts, random), z))


def least_z(
    measures: Sequence[Statements], limit_grams: float, *, accounts: int, random: np.random.Generator
) -> float:
    """Give the least z, in hundredths, at which idle accounts take at most limit_grams on average."""
    paths, spread = _summed(measures, accounts, random)
    low, high = 0, Z_MAX_PERCENT
    while low < high:
        middle = (low + high) // 2
        if _extracted(paths, spread, middle / 100) <= limit_grams:
            high = middle
        else:
            low = middle + 1
    return low / 100


def _summed(
    measures: Sequence[Statements], accounts: int, random: np.random.Generator
) -> tuple[Paths, Paths]:
    """Give the noise of accounts fed by several measures, and its standard deviation by month."""
    months = max(HORIZONS)
    paths, variance = np.zeros((accounts, months)), np.zeros(months)
    for measure in measures:
        paths += noise_paths(measure, months, accounts, random)
        variance += sigmas(measure, months) ** 2
    return paths, np.sqrt(variance)


def noise_paths(measure: Statements, months: int, accounts: int, random: np.random.Generator) -> Paths:
    """Give the noise in an account's balance at the end of every month, `(accounts, months)`, in grams.

    A year that has its anchor counts floor((S + n A) / (n + 1)); the noise is taken without the floor.
    """
    monthly = _laplace(measure.scale, (accounts, months), random)
    if measure.anchor_scale is None:
        return monthly.cumsum(axis=1)
    total, paths = np.zeros(accounts), np.empty((accounts, months))
    for start in range(0, months, YEAR_MONTHS):
        year = monthly[:, start : start + YEAR_MONTHS].cumsum(axis=1)
        if year.shape[1] == YEAR_MONTHS:
            anchor = _laplace(measure.anchor_scale, (accounts,), random)
            year[:, -1] = (year[:, -1] + YEAR_MONTHS * anchor) / (YEAR_MONTHS + 1)
        paths[:, start : start + YEAR_MONTHS] = total[:, None] + year
        total = paths[:, min(start + YEAR_MONTHS, months) - 1]
    return paths


def sigmas(measure: Statements, months: int) -> Paths:
    """Give the standard deviation of that noise by month, each scale's variance rounded up as in postings."""
    one, closed, found = variance_upper(measure.scale), 0.0, []
    for month in range(1, months + 1):
        within = (month - 1) % YEAR_MONTHS + 1
        variance = closed + within * one
        if measure.anchor_scale is None:
            variance = month * one
        elif within == YEAR_MONTHS:
            anchor = YEAR_MONTHS**2 * variance_upper(measure.anchor_scale)
            closed += (YEAR_MONTHS * one + anchor) / (YEAR_MONTHS + 1) ** 2
            variance = closed
        found.append(variance)
    return np.sqrt(np.array(found, dtype=np.float64))


def _outlook(
    measure: Statements,
    archetype: Archetype,
    z: float,
    accounts: int,
    random: np.random.Generator,
    spending_months: Sequence[int],
) -> Outlook:
    months = max(HORIZONS)
    raw, kept = earned_paths(archetype, measure.day_clamp_grams, months, accounts, random)
    noise, spread = noise_paths(measure, months, accounts, random), sigmas(measure, months)
    spendable = kept + noise - z * spread
    can = np.maximum.accumulate(spendable, axis=1) > 0
    errors = {at: float(np.sqrt((noise[:, at - 1] ** 2).mean())) for at in HORIZONS}
    means = {at: float(kept[:, at - 1].mean()) for at in HORIZONS}
    return Outlook(
        measure=measure.name,
        archetype=archetype.name,
        month_grams=float(kept[:, -1].mean()) / months,
        clamp_loss=1.0 - float(kept[:, -1].sum()) / float(raw.sum()),
        error_grams=errors,
        sigma_grams={at: int(np.ceil(spread[at - 1])) for at in HORIZONS},
        relative_error={at: errors[at] / means[at] for at in HORIZONS},
        spending={at: float(can[:, at - 1].mean()) for at in spending_months},
    )


def earned_paths(
    archetype: Archetype, clamp: int, months: int, accounts: int, random: np.random.Generator
) -> tuple[Paths, Paths]:
    """Give each account's whole unclamped grams, and its clamped grams so far by month."""
    raw, kept = np.zeros(accounts), np.empty((accounts, months))
    for month in range(months):
        days = random.lognormal(np.log(archetype.day_grams), archetype.spread, (accounts, DAYS_A_MONTH))
        days *= random.random((accounts, DAYS_A_MONTH)) < archetype.active_days / DAYS_A_MONTH
        raw += days.sum(axis=1)
        kept[:, month] = (np.minimum(days, clamp) if clamp else days).sum(axis=1)
    return raw, kept.cumsum(axis=1)


def _extracted(paths: Paths, spread: Paths, z: float) -> float:
    return float(np.maximum((paths - z * spread).max(axis=1), 0.0).mean())


def _laplace(scale: int, shape: tuple[int, ...], random: np.random.Generator) -> Paths:
    success = -np.expm1(-1.0 / scale)
    return (random.geometric(success, shape) - random.geometric(success, shape)).astype(np.float64)
