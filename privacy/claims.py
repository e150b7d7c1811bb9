"""What a noised vector costs: epsilon = reach / scale, exact, recomputed by everyone who reads it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from protos.problems import Malformed, Refused
from protos.v1 import policy_pb2, release_pb2
from protos.v1.problem_pb2 import REASON_CLAIM_WRONG, REASON_MECHANISM_UNKNOWN, REASON_UNKNOWN_FIELD_VALUE
from protos.v1.release_pb2 import MECHANISM_DISCRETE_LAPLACE, Mechanism, PrivacyUnit

# Reaches and scales are grams or persons; beyond 2^53 something is wrong with a policy.
AMOUNT_MAX = 1 << 53


@dataclass(frozen=True, slots=True)
class Claim:
    """Mechanism, unit, noise scale and reach of one series, in grams (persons for counts)."""

    unit: PrivacyUnit.ValueType
    scale: int
    reach: int
    mechanism: Mechanism.ValueType = MECHANISM_DISCRETE_LAPLACE

    @property
    def epsilon(self) -> Fraction:
        """What one unit is charged."""
        return Fraction(self.reach, self.scale)

    def to_wire(self) -> release_pb2.Claim:
        """Give the claim as it is signed."""
        return release_pb2.Claim(
            mechanism=self.mechanism,
            unit=self.unit,
            scale=self.scale,
            reach=self.reach,
            epsilon=ratio(self.epsilon),
        )

    @classmethod
    def from_wire(cls, claim: release_pb2.Claim) -> Claim:
        """Take a signed claim; raises unless its epsilon is exactly reach / scale in lowest terms."""
        if claim.mechanism != MECHANISM_DISCRETE_LAPLACE:
            raise Refused(
                REASON_MECHANISM_UNKNOWN, f"Mechanism {claim.mechanism} is not known; none is guessed."
            )
        if not (0 < claim.scale <= AMOUNT_MAX and 0 < claim.reach <= AMOUNT_MAX):
            raise Malformed(
                REASON_UNKNOWN_FIELD_VALUE, "A claim's scale and reach are positive and below 2^53."
            )
        taken = cls(unit=claim.unit, scale=claim.scale, reach=claim.reach)
        if claim.epsilon != ratio(taken.epsilon):
            raise Refused(
                REASON_CLAIM_WRONG,
                f"The claim says epsilon {claim.epsilon.numerator}/{claim.epsilon.denominator}; "
                f"reach {claim.reach} at scale {claim.scale} costs {taken.epsilon}.",
            )
        return taken


def claim_for(reach: int, epsilon: Fraction, unit: PrivacyUnit.ValueType) -> Claim:
    """Give the claim of a series: scale = ceil(reach / epsilon), charge = reach / scale.

    Raises Malformed UNKNOWN_FIELD_VALUE.
    """
    if not 0 < reach <= AMOUNT_MAX or epsilon <= 0:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "Reach and epsilon must be positive.")
    return Claim(unit=unit, scale=-((-reach * epsilon.denominator) // epsilon.numerator), reach=reach)


def check_claim(claim: release_pb2.Claim, expected: Claim, series: str) -> None:
    """Refuse a claim that is not exactly what the policy gives for the series; raises Refused CLAIM_WRONG."""
    found = Claim.from_wire(claim)
    if found != expected:
        raise Refused(
            REASON_CLAIM_WRONG,
            f"Series {series}: claimed unit {found.unit}, scale {found.scale}, reach {found.reach}; "
            f"the policy gives unit {expected.unit}, scale {expected.scale}, reach {expected.reach}.",
        )


def ratio(value: Fraction) -> policy_pb2.Ratio:
    """Write a non-negative fraction in lowest terms."""
    return policy_pb2.Ratio(numerator=value.numerator, denominator=value.denominator)


def fraction(value: policy_pb2.Ratio, what: str) -> Fraction:
    """Read a fraction; raises Malformed unless in lowest terms with a positive denominator."""
    if value.denominator == 0 or max(value.numerator, value.denominator) > AMOUNT_MAX:
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"{what} is not a fraction with terms below 2^53.")
    result = Fraction(value.numerator, value.denominator)
    if (result.numerator, result.denominator) != (value.numerator, value.denominator):
        raise Malformed(REASON_UNKNOWN_FIELD_VALUE, f"{what} is not in lowest terms.")
    return result
