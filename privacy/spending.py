"""What a policy says about spending: the reserve an account keeps for its noise, the limits it is judged by.

An account spends what is above `reserve_z` standard deviations of its noise. Whether a policy keeps its
limits is shown by simulation (simulation.py), which is no exact arithmetic; one part of it is, and the log's
rules decide that part: what an idle account takes by spending after its first month alone is E[(N - c)+] for
one noise N and the reserve c, and all it can take in a life is at least that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

from privacy.claims import fraction
from privacy.laplace import sigma_upper
from privacy.series import MeasureKind, Series, SeriesKind
from protos.problems import Malformed, Refused
from protos.v1 import policy_pb2
from protos.v1.problem_pb2 import REASON_CEILING_EXCEEDED, REASON_UNKNOWN_FIELD_VALUE, REASON_WRONG_SHAPE

RESERVE_Z = Fraction(3)
RESERVE_Z_MAX = 10
SPEND_MONTHS_MAX = 60
PER_MILLE = 1_000
# Decimal's exp is correctly rounded: all who decide get the same digits.
PRECISION_DIGITS = 80


@dataclass(frozen=True, slots=True)
class SpendLimits:
    """What an idle account may take over its life, and how many participants may be left unable to spend."""

    idle_extraction_grams_max: int
    spend_months_max: int
    never_spend_per_mille_max: int


def reserve_z(message: policy_pb2.Policy) -> Fraction:
    """Read a policy's z; 3 where it states none; raises Malformed UNKNOWN_FIELD_VALUE."""
    if not message.HasField("reserve_z"):
        return RESERVE_Z
    z = fraction(message.reserve_z, "Policy: reserve_z")
    if not 0 < z <= RESERVE_Z_MAX:
        raise Malformed(
            REASON_UNKNOWN_FIELD_VALUE, f"Policy: reserve_z is above 0 and at most {RESERVE_Z_MAX}."
        )
    return z


def spend_limits(message: policy_pb2.Policy) -> SpendLimits | None:
    """Read a policy's limits, all or none; raises Malformed WRONG_SHAPE, Malformed UNKNOWN_FIELD_VALUE."""
    limits = SpendLimits(
        message.idle_extraction_grams_max, message.spend_months_max, message.never_spend_per_mille_max
    )
    if limits == SpendLimits(0, 0, 0):
        return None
    is_whole = limits.idle_extraction_grams_max > 0 and message.HasField("reserve_z")
    if not is_whole or not 1 <= limits.spend_months_max <= SPEND_MONTHS_MAX:
        raise Malformed(
            REASON_WRONG_SHAPE,
            "Policy: limits need reserve_z, idle_extraction_grams_max from 1, "
            f"and spend_months_max from 1 to {SPEND_MONTHS_MAX}.",
        )
    if limits.never_spend_per_mille_max > PER_MILLE:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "Policy: never_spend_per_mille_max is at most 1000.")
    return limits


def reserve_grams(z: Fraction, scales: Iterable[int]) -> int:
    """Give z standard deviations of a sum of noises, rounded up: what an account cannot spend."""
    return -(-z.numerator * sigma_upper(scales) // z.denominator)


def first_month_grams(scale: int, z: Fraction) -> Decimal:
    """Give E[(N - c)+] = q^(c+1) / (1 - q^2) for one noise of this scale, q = e^(-1/scale), c its reserve."""
    reserve = reserve_grams(z, [scale])
    with localcontext() as context:
        context.prec = PRECISION_DIGITS
        beyond = (Decimal(-reserve - 1) / scale).exp()
        return beyond / (1 - (Decimal(-2) / scale).exp())


def check_idle(name: str, series: Iterable[Series], z: Fraction, limits: SpendLimits | None) -> None:
    """Refuse statements whose first month alone gives idle accounts more than the policy's limit.

    Raises Refused CEILING_EXCEEDED.
    """
    if limits is None:
        return
    for item in series:
        if item.kind is not SeriesKind.STATEMENT or item.measure_kind is MeasureKind.POINTS:
            continue
        taken = first_month_grams(item.claim.scale, z)
        if taken > limits.idle_extraction_grams_max:
            raise Refused(
                REASON_CEILING_EXCEEDED,
                f"{name}: an idle account takes {taken:.0f} g of {item.name}'s noise in its first month; the "
                f"policy allows {limits.idle_extraction_grams_max} g over its life.",
                remedy="Raise reserve_z or the limit, or lower the clamp; see cgsp-hub policy simulate.",
            )
