"""What may be issued from a pool: cells, deduction, claims, whole tonnes, serial numbers, shares of proceeds.

Figures are cumulative over the pool's epochs up to the last one: noise then grows with the root of their
number, and what was issued before is simply taken off. Everything is an integer; every rounding is to the
issuer's loss. Sources: CDM sampling standard (90/10), VM0042 for `unc_t`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from accounting.programmes.issue_rules import QUANTILES, Deduction, IssueRule
from accounting.programmes.words import WHOLE_BASIS_POINTS
from protos.problems import Malformed, Refused
from protos.v1.problem_pb2 import REASON_NOTHING_TO_ISSUE, REASON_PROGRAMME_INVALID

MG_PER_GRAM = 1_000
MG_PER_TONNE = 1_000_000_000
# VM0042: the one-sided 66.7 % quantile of a normal, in ten-thousandths.
_UNC_T = 4_307
_CONFIDENCE_90_TWO_SIDED = 9_500


@dataclass(frozen=True, slots=True)
class Pooled:
    """Pooled cells added up: grams, and the variance of the noise in them in grams squared, rounded up."""

    grams: int
    variance_grams2: int


@dataclass(frozen=True, slots=True)
class Deducted:
    """What is left out of pooled grams, and the standard deviations it follows from, rounded up."""

    noise_sigma_grams: int
    methodology_sigma_grams: int
    deduction_grams: int
    duplicates_grams: int


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims in mg: in the pool now, passed to others by those who pool, issued before with the buffer."""

    pool_mg: int
    passed_mg: int
    issued_before_mg: int


@dataclass(frozen=True, slots=True)
class Issue:
    """Whole tonnes: those the operator holds, and those in the buffer."""

    issued_tonnes: int
    buffer_tonnes: int


class SerialBlock(NamedTuple):
    """Units `first` to `first + tonnes - 1`."""

    first: int
    tonnes: int


def deduct(pooled: Pooled, rule: IssueRule) -> Deducted:
    """Reckon the deduction from pooled grams; the total variance is known noise and methodology together."""
    mean = max(pooled.grams, 0)
    methodology = _ceil(mean * rule.methodology_bp, WHOLE_BASIS_POINTS)
    sigma = _root_up(pooled.variance_grams2 + methodology * methodology)
    return Deducted(
        noise_sigma_grams=_root_up(pooled.variance_grams2),
        methodology_sigma_grams=methodology,
        deduction_grams=_deducted(mean, sigma, rule),
        duplicates_grams=_ceil(mean * rule.duplicates_bp, WHOLE_BASIS_POINTS),
    )


def supported_mg(pooled: Pooled, deduction: Deducted, claims: Claims) -> int:
    """Give the milligrams that cells and claims both support; never negative."""
    lower = pooled.grams - deduction.deduction_grams - deduction.duplicates_grams
    by_cells = lower * MG_PER_GRAM - claims.passed_mg - claims.issued_before_mg
    return max(min(by_cells, claims.pool_mg), 0)


def issue(supported: int, *, buffer_basis_points: int, tonnes_min: int) -> Issue:
    """Floor to whole tonnes and set the buffer aside, rounded up; raises Refused NOTHING_TO_ISSUE."""
    whole = supported // MG_PER_TONNE
    buffer = _ceil(whole * buffer_basis_points, WHOLE_BASIS_POINTS)
    if whole - buffer < max(tonnes_min, 1):
        raise Refused(
            REASON_NOTHING_TO_ISSUE,
            f"The pool supports {whole} whole tonnes, {buffer} of them for the buffer; at least "
            f"{max(tonnes_min, 1)} must be left.",
            remedy="Wait for later epochs: what is not issued stays in the pool.",
        )
    return Issue(whole - buffer, buffer)


def take_serials(block: SerialBlock, tonnes: int) -> tuple[SerialBlock, SerialBlock]:
    """Split a block: the first units go, the later ones stay."""
    if not 0 <= tonnes <= block.tonnes:
        raise Malformed(REASON_PROGRAMME_INVALID, f"A block of {block.tonnes} does not give {tonnes}.")
    return SerialBlock(block.first, tonnes), SerialBlock(block.first + tonnes, block.tonnes - tonnes)


def split(total: int, parts: Mapping[str, int]) -> dict[str, int]:
    """Split a whole amount by basis points that add up to 10,000: largest remainder, ties by name."""
    if sum(parts.values()) != WHOLE_BASIS_POINTS or any(part < 0 for part in parts.values()) or total < 0:
        raise Malformed(REASON_PROGRAMME_INVALID, f"Parts add up to {WHOLE_BASIS_POINTS} and split no debt.")
    floors = {name: total * part // WHOLE_BASIS_POINTS for name, part in parts.items()}
    left = total - sum(floors.values())
    by_remainder = sorted(parts, key=lambda name: (-(total * parts[name] % WHOLE_BASIS_POINTS), name))
    return {name: floors[name] + (name in by_remainder[:left]) for name in parts}


def _deducted(mean: int, sigma: int, rule: IssueRule) -> int:
    match rule.deduction:
        case Deduction.NONE:
            return 0
        case Deduction.UNC_T:
            return _ceil(_UNC_T * sigma, WHOLE_BASIS_POINTS)
        case Deduction.THRESHOLD_90_10 if _is_precise(mean, sigma):
            return 0
        case Deduction.LOWER_BOUND | Deduction.THRESHOLD_90_10:
            return _ceil(QUANTILES[rule.confidence_bp] * sigma, 1_000)


def _is_precise(mean: int, sigma: int) -> bool:
    """Say whether the 90 % interval's half-width is at most a tenth of the mean."""
    return 10 * QUANTILES[_CONFIDENCE_90_TWO_SIDED] * sigma <= 1_000 * mean


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _root_up(value: int) -> int:
    return math.isqrt(value - 1) + 1 if value > 0 else 0
