"""Exact conversion of a source's numbers into the steps an activity keeps, as integer SQL.

A conversion is one positive fraction; the bounds of the activity are carried back to the source's steps, so
that nothing is multiplied that could overflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from accounting.quantities import INTEGER_LIMIT, parse_decimal, parse_unit
from enterprise_node.quarantine import Flaw
from enterprise_node.sql_text import literal
from protos.problems import Malformed, Problem
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID

if TYPE_CHECKING:
    from accounting.activities import ActivityInput
    from enterprise_node.configuration import Input


@dataclass(frozen=True, slots=True)
class Conversion:
    """A factor from source steps to activity steps, and the source steps inside the activity's range."""

    factor: Fraction
    lowest: int
    highest: int
    rounding: str


def conversions(
    settings: Input, target: ActivityInput, decimals: int, where: str
) -> list[tuple[str | None, Conversion]]:
    """Give the conversion of each unit word (None: the one declared unit)."""
    if settings.unit_column is None:
        return [(None, _conversion(settings, settings.unit or target.unit, target, decimals, where))]
    return [
        (word, _conversion(settings, unit, target, decimals, where)) for word, unit in settings.units.items()
    ]


def _conversion(settings: Input, unit: str, target: ActivityInput, decimals: int, where: str) -> Conversion:
    try:
        given = parse_unit(unit)
    except Problem as problem:
        raise configured_wrong(where, problem.message, problem.remedy) from problem
    if given.dimensions != target.dimension.dimensions:
        raise configured_wrong(
            where, f"{unit} does not measure what {target.unit} measures.", "Correct unit."
        )
    times = parse_decimal(settings.times) if settings.times else Fraction(1)
    factor = given.ratio * times / 10**decimals / target.step
    if factor <= 0:
        raise configured_wrong(where, "times is not positive.", "Multiply by a positive decimal.")
    if settings.rounding != "exact" and target.minimum < 0:
        raise configured_wrong(where, "a quantity that may be negative is never rounded.", "Drop rounding.")
    lowest, highest = math.ceil(target.minimum / factor), math.floor(target.maximum / factor)
    if max(abs(lowest), abs(highest)) * factor.numerator * 2 + factor.denominator >= INTEGER_LIMIT:
        raise configured_wrong(where, "the conversion does not fit 63 bits.", "Declare fewer decimals.")
    return Conversion(factor, lowest, highest, settings.rounding)


def steps_sql(number: str, unit: str | None, cases: list[tuple[str | None, Conversion]]) -> str:
    """Give the activity's steps; NULL where a test below fails."""

    def converted(one: Conversion) -> str:
        inside = f"{number} BETWEEN {one.lowest} AND {one.highest}"
        if one.rounding == "exact" and one.factor.denominator > 1:
            inside += f" AND ({number} * {one.factor.numerator}) % {one.factor.denominator} = 0"
        return f"CASE WHEN {inside} THEN {_multiplied(number, one)} END"

    return _by_unit(unit, cases, converted)


def _multiplied(number: str, one: Conversion) -> str:
    up, down = one.factor.numerator, one.factor.denominator
    product = number if up == 1 else f"{number} * {up}"
    if down == 1:
        return product
    return (
        f"({product} * 2 + {down}) // {2 * down}" if one.rounding == "half-up" else f"({product}) // {down}"
    )


def flaws_sql(
    number: str, unit: str | None, cases: list[tuple[str | None, Conversion]], target: ActivityInput
) -> list[tuple[str, Flaw]]:
    """Give the tests a number can fail, in order."""
    tests: list[tuple[str, Flaw]] = []
    if unit is not None:
        words = ", ".join(literal(word) for word, _ in cases if word is not None)
        tests += [(f"{unit} IS NULL", Flaw.MISSING_VALUE), (f"{unit} NOT IN ({words})", Flaw.UNKNOWN_UNIT)]
    if target.minimum >= 0:
        tests.append((f"{number} < 0", Flaw.NEGATIVE_QUANTITY))
    tests += [
        (_by_unit(unit, cases, lambda one: f"{number} < {one.lowest}"), Flaw.BELOW_MINIMUM),
        (_by_unit(unit, cases, lambda one: f"{number} > {one.highest}"), Flaw.ABOVE_MAXIMUM),
    ]
    if any(one.rounding == "exact" and one.factor.denominator > 1 for _, one in cases):
        tests.append((f"({steps_sql(number, unit, cases)}) IS NULL", Flaw.NOT_EXACT))
    return tests


def _by_unit(
    unit: str | None, cases: list[tuple[str | None, Conversion]], sql: Callable[[Conversion], str]
) -> str:
    """Choose by the row's unit word, where there is one."""
    if unit is None:
        return sql(cases[0][1])
    whens = " ".join(f"WHEN {literal(word)} THEN {sql(one)}" for word, one in cases if word is not None)
    return f"(CASE {unit} {whens} END)"


def configured_wrong(where: str, said: str, remedy: str) -> Malformed:
    """Say what is wrong in node.toml."""
    return Malformed(REASON_CONFIGURATION_INVALID, f"node.toml, {where}: {said}", remedy=remedy)
