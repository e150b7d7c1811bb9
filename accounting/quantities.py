"""Units and exact decimal scaling: text from outside becomes an integer of a declared step, or is rejected.

A unit is a product of base dimensions and a ratio to the base units, so that converting one is exact. No
float enters. Passenger- and vehicle-kilometres are lengths; whose they are is said in a pack's text.
"""

from __future__ import annotations

import enum
import functools
import re
from dataclasses import dataclass
from fractions import Fraction

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID, REASON_RECORD_INVALID

INTEGER_LIMIT = 2**63
MG_PER_GRAM = 1000

_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_MONEY = re.compile(r"[A-Z]{3}([0-9]{4})?")
_UNIT_LENGTH_MAX = 64

_NAMED: dict[str, tuple[str, Fraction]] = {
    "mgCO2e": ("co2e", Fraction(1)),
    "gCO2e": ("co2e", Fraction(10**3)),
    "kgCO2e": ("co2e", Fraction(10**6)),
    "tCO2e": ("co2e", Fraction(10**9)),
    "mm": ("length", Fraction(1, 1000)),
    "m": ("length", Fraction(1)),
    "km": ("length", Fraction(1000)),
    "pkm": ("length", Fraction(1000)),
    "vkm": ("length", Fraction(1000)),
    "Wh": ("energy", Fraction(1)),
    "kWh": ("energy", Fraction(1000)),
    "MWh": ("energy", Fraction(10**6)),
    "mL": ("volume", Fraction(1, 1000)),
    "L": ("volume", Fraction(1)),
    "m3": ("volume", Fraction(1000)),
    "g": ("mass", Fraction(1)),
    "kg": ("mass", Fraction(1000)),
    "t": ("mass", Fraction(10**6)),
    "m2": ("area", Fraction(1)),
    "h": ("time", Fraction(1)),
    "min": ("time", Fraction(1, 60)),
}
_COUNTED = (
    *("act", "bill", "book", "cup", "day", "garment", "meal", "night", "order", "receipt", "step", "ticket"),
    *("tree", "trip", "unit", "vehicle", "year"),
)
_NAMED |= {counted: (counted, Fraction(1)) for counted in _COUNTED}
_PURE_NUMBERS = frozenset({"1", "ratio", "share", "person"})


class Rounding(enum.StrEnum):
    """What to do with a quantity finer than its input's step."""

    EXACT = "exact"
    DOWN = "down"
    HALF_UP = "half-up"


@dataclass(frozen=True, slots=True)
class Unit:
    """A product of base dimensions (name, exponent), ascending by name, times a ratio to the base units."""

    dimensions: tuple[tuple[str, int], ...]
    ratio: Fraction

    def times(self, other: Unit, sign: int = 1) -> Unit:
        """Multiply by another unit, or divide with sign -1."""
        exponents = dict(self.dimensions)
        for name, exponent in other.dimensions:
            exponents[name] = exponents.get(name, 0) + sign * exponent
        dimensions = tuple(sorted((name, exponent) for name, exponent in exponents.items() if exponent))
        return Unit(dimensions, self.ratio * other.ratio**sign)

    def __str__(self) -> str:
        return "*".join(name if exponent == 1 else f"{name}^{exponent}" for name, exponent in self.dimensions)


PURE = Unit((), Fraction(1))
CO2E_MG = Unit((("co2e", 1),), Fraction(1))


@functools.lru_cache(maxsize=1024)
def parse_unit(text: str) -> Unit:
    """Read "kgCO2e/km": factors joined by `*` and `/`; PACK_INVALID if one is unknown."""
    if len(text) > _UNIT_LENGTH_MAX:
        raise Malformed(REASON_PACK_INVALID, f"A unit has at most {_UNIT_LENGTH_MAX} characters.")
    unit = PURE
    for sign, factor in re.findall(r"(^|[*/])([^*/]*)", text):
        unit = unit.times(_base_unit(factor, text), -1 if sign == "/" else 1)
    return unit


def _base_unit(factor: str, text: str) -> Unit:
    if factor in _PURE_NUMBERS:
        return PURE
    if factor in _NAMED:
        dimension, ratio = _NAMED[factor]
        return Unit(((dimension, 1),), ratio)
    if _MONEY.fullmatch(factor):
        return Unit(((factor, 1),), Fraction(1))
    raise Malformed(
        REASON_PACK_INVALID,
        f"{factor!r} in the unit {text!r} is no unit.",
        remedy="Units are written as kgCO2e/km, kWh, USD2017 (a currency and its year), trip, share.",
    )


def is_decimal(text: str) -> bool:
    """Tell whether text is plain decimal text."""
    return bool(_DECIMAL.fullmatch(text))


def parse_decimal(text: str) -> Fraction:
    """Read plain decimal text ("-0.0487") exactly; RECORD_INVALID on anything else, exponents included."""
    if not is_decimal(text):
        raise Malformed(
            REASON_RECORD_INVALID,
            "A number is not plain decimal text.",
            remedy="Write digits, at most one point and at most 30 digits on each side of it.",
        )
    return Fraction(text)


def scaled(text: str, step: Fraction, rounding: Rounding = Rounding.EXACT) -> int:
    """Give decimal text as a whole number of steps; RECORD_INVALID if it is none and rounding is exact."""
    steps = parse_decimal(text) / step
    if steps.denominator == 1 or rounding is Rounding.DOWN:
        return steps.numerator // steps.denominator
    if rounding is Rounding.HALF_UP and steps >= 0:
        return (2 * steps.numerator + steps.denominator) // (2 * steps.denominator)
    raise Malformed(
        REASON_RECORD_INVALID,
        "A quantity is finer than the step it is stored in.",
        remedy="Give it in whole steps, or choose a rounding in the source's configuration.",
    )
