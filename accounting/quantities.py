"""Units and exact decimal scaling: text from outside becomes an integer of a declared step, or is rejected.

A unit is a product of base dimensions and a power of ten, so that converting one is exact. No float enters.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from fractions import Fraction

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID, REASON_RECORD_INVALID

INTEGER_LIMIT = 2**63
MG_PER_GRAM = 1000

_DECIMAL = re.compile(r"-?\d{1,30}(\.\d{1,30})?")


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
        raise NotImplementedError


def parse_unit(text: str) -> Unit:
    """Read "kgCO2e/km" or "USD2022/USD2017": factors joined by `*` and `/`; PACK_INVALID if one is unknown."""
    raise NotImplementedError


def parse_decimal(text: str) -> Fraction:
    """Read plain decimal text ("-0.0487") exactly; RECORD_INVALID on anything else, exponents included."""
    raise NotImplementedError


def scaled(text: str, step: Fraction, rounding: Rounding = Rounding.EXACT) -> int:
    """Give the decimal text as a whole number of steps; RECORD_INVALID if it is not one and rounding is exact."""
    raise NotImplementedError
