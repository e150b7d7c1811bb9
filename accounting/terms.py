"""Typed terms: an expression as integer SQL with its unit, its scale and a proven interval.

A term's real value is its integer times `unit.ratio` base units of `unit.dimensions`. Constants stay exact
fractions until they meet a column; multiplying by one changes only the scale, so nothing is rounded here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from accounting.expressions import COMPARISONS, LOGIC, Operator
from accounting.quantities import INTEGER_LIMIT, PURE, Unit
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID


@dataclass(frozen=True, slots=True)
class Constant:
    """An exact number of base units."""

    value: Fraction
    unit: Unit


@dataclass(frozen=True, slots=True)
class Integer:
    """An SQL expression of BIGINT between low and high, in steps of its unit."""

    sql: str
    low: int
    high: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Key:
    """A VARCHAR column."""

    sql: str


@dataclass(frozen=True, slots=True)
class Truth:
    """An SQL condition that is never NULL."""

    sql: str


Number = Constant | Integer
Term = Constant | Integer | Key | Truth


def invalid(problem: str, remedy: str = "") -> Malformed:
    """Make the PACK_INVALID of a formula that does not type."""
    return Malformed(REASON_PACK_INVALID, f"Formula: {problem}.", remedy=remedy)


def bounded(low: int, high: int, what: str) -> tuple[int, int]:
    """Prove that an interval stays inside 64 bits, signs included."""
    if max(-low, high) >= INTEGER_LIMIT:
        raise invalid(
            f"{what} can reach {max(-low, high)}, which is not below 2^63",
            "Narrow the activity's ranges or records per day, cap the event, or use coarser factors.",
        )
    return low, high


def constant(value: Fraction, unit: Unit) -> Constant:
    """Make a constant of so many units."""
    return Constant(value * unit.ratio, Unit(unit.dimensions, Fraction(1)))


def multiply(left: Number, right: Number) -> Number:
    """Multiply; a constant factor only changes scale and sign."""
    if isinstance(left, Constant):
        left, right = right, left
    if isinstance(left, Constant) and isinstance(right, Constant):
        return Constant(left.value * right.value, left.unit.times(right.unit))
    assert isinstance(left, Integer)
    if isinstance(right, Constant):
        return _times_constant(left, right)
    corners = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
    low, high = bounded(min(corners), max(corners), "a product")
    return Integer(f"({left.sql} * {right.sql})", low, high, left.unit.times(right.unit))


def _times_constant(left: Integer, right: Constant) -> Number:
    unit = left.unit.times(right.unit)
    if right.value == 0:
        return Constant(Fraction(0), Unit(unit.dimensions, Fraction(1)))
    scaled = Unit(unit.dimensions, unit.ratio * abs(right.value))
    if right.value > 0:
        return replace(left, unit=scaled)
    return Integer(f"(-{left.sql})", -left.high, -left.low, scaled)


def divide(left: Number, right: Number) -> Number:
    """Divide by a constant other than zero; anything else is not exact."""
    if not isinstance(right, Constant) or right.value == 0:
        raise invalid("division is by a constant other than zero", "Divide by parameters or numbers only.")
    return multiply(left, Constant(1 / right.value, PURE.times(right.unit, -1)))


def combine(operator: Operator, left: Term, right: Term) -> Term:
    """Apply a binary operator other than `*` and `/`."""
    if operator in LOGIC:
        return Truth(f"({truth(left).sql} {operator.value} {truth(right).sql})")
    if isinstance(left, Key) or isinstance(right, Key):
        return _compare_keys(operator, left, right)
    a, b = number(left), number(right)
    if isinstance(a, Constant) and isinstance(b, Constant):
        return _fold(operator, a, b)
    first, second = _aligned(a, b)
    if operator in COMPARISONS:
        return Truth(f"({first.sql} {operator.value} {second.sql})")
    return _arithmetic(operator, first, second)


def choose(condition: Truth, then: Number, otherwise: Number) -> Number:
    """Take one of two values."""
    first, second = _aligned(then, otherwise)
    low, high = min(first.low, second.low), max(first.high, second.high)
    return Integer(
        f"(CASE WHEN {condition.sql} THEN {first.sql} ELSE {second.sql} END)", low, high, first.unit
    )


def number(term: Term) -> Number:
    """Take a term as a number."""
    if isinstance(term, Constant | Integer):
        return term
    raise invalid("a number is expected where a key or a condition stands")


def truth(term: Term) -> Truth:
    """Take a term as a condition."""
    if isinstance(term, Truth):
        return term
    raise invalid("a condition is expected where a value stands", "Compare it with something.")


def integer(term: Number) -> Integer:
    """Give a constant as one step of its own size; integers stay as they are."""
    return term if isinstance(term, Integer) else _in_steps(term, term.unit, abs(term.value) or Fraction(1))


def floor_sql(column: str, low: int, divisor: int) -> str:
    """Divide a column by a positive constant towards minus infinity; low is its proved least value."""
    if divisor == 1:
        return column
    if low >= 0:
        return f"{column} // {divisor}"
    negative = f"-((-{column} + {divisor - 1}) // {divisor})"
    return f"CASE WHEN {column} >= 0 THEN {column} // {divisor} ELSE {negative} END"


def floored(value: Integer, step: Fraction) -> Integer:
    """Round a value down to whole multiples of a step in base units."""
    scale = value.unit.ratio / step
    low, high = floored_interval(value.low, value.high, scale, "a rounded value")
    sql = floor_sql(f"({value.sql} * {scale.numerator})", value.low, scale.denominator)
    return Integer(f"({sql})", low, high, Unit(value.unit.dimensions, step))


def floored_interval(low: int, high: int, scale: Fraction, what: str) -> tuple[int, int]:
    """Prove that scaling and flooring an interval stays inside 64 bits; give it floored."""
    bounded(low * scale.numerator - scale.denominator, high * scale.numerator + scale.denominator, what)
    return math.floor(low * scale), math.floor(high * scale)


def _aligned(left: Number, right: Number) -> tuple[Integer, Integer]:
    """Bring two numbers to the coarsest scale that holds both; zero fits any unit."""
    unit = _common_unit(left, right)
    ratio = _common_step(_own_step(left), _own_step(right))
    return _in_steps(left, unit, ratio), _in_steps(right, unit, ratio)


def _common_unit(left: Number, right: Number) -> Unit:
    if left.unit.dimensions == right.unit.dimensions:
        return left.unit
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Constant) and one.value == 0:
            return other.unit
    raise invalid(f"{str(left.unit) or 'a pure number'} meets {str(right.unit) or 'a pure number'}")


def _own_step(term: Number) -> Fraction:
    return term.unit.ratio if isinstance(term, Integer) else abs(term.value)


def _common_step(a: Fraction, b: Fraction) -> Fraction:
    """Give the greatest step of which both are whole multiples; zero is a multiple of any."""
    numerator = math.gcd(a.numerator * b.denominator, b.numerator * a.denominator)
    return Fraction(numerator, a.denominator * b.denominator) if numerator else Fraction(1)


def _in_steps(term: Number, unit: Unit, ratio: Fraction) -> Integer:
    stepped = Unit(unit.dimensions, ratio)
    if isinstance(term, Constant):
        steps = term.value / ratio
        low, high = bounded(steps.numerator, steps.numerator, "a constant")
        return Integer(f"CAST({low} AS BIGINT)", low, high, stepped)
    factor = (term.unit.ratio / ratio).numerator
    if factor == 1:
        return replace(term, unit=stepped)
    low, high = bounded(term.low * factor, term.high * factor, "a rescaled value")
    return Integer(f"({term.sql} * {factor})", low, high, stepped)


def _arithmetic(operator: Operator, a: Integer, b: Integer) -> Integer:
    if operator is Operator.ADD:
        low, high = bounded(a.low + b.low, a.high + b.high, "a sum")
        return Integer(f"({a.sql} + {b.sql})", low, high, a.unit)
    if operator is Operator.SUBTRACT:
        low, high = bounded(a.low - b.high, a.high - b.low, "a difference")
        return Integer(f"({a.sql} - {b.sql})", low, high, a.unit)
    pick = min if operator is Operator.LEAST else max
    sql = f"{operator.value.upper()}({a.sql}, {b.sql})"
    return Integer(sql, pick(a.low, b.low), pick(a.high, b.high), a.unit)


def _fold(operator: Operator, a: Constant, b: Constant) -> Term:
    unit = _common_unit(a, b)
    match operator:
        case Operator.ADD:
            return Constant(a.value + b.value, unit)
        case Operator.SUBTRACT:
            return Constant(a.value - b.value, unit)
        case Operator.LEAST:
            return Constant(min(a.value, b.value), unit)
        case Operator.GREATEST:
            return Constant(max(a.value, b.value), unit)
    raise invalid("two constants are compared", "A condition needs an input.")


def _compare_keys(operator: Operator, left: Term, right: Term) -> Truth:
    if operator in (Operator.EQUAL, Operator.UNEQUAL) and isinstance(left, Key) and isinstance(right, Key):
        return Truth(f"({left.sql} {operator.value} {right.sql})")
    raise invalid("a key can only be compared with a word", 'Write key == "word".')
