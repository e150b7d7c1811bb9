"""Conversions into activity steps are the same as exact fractions, and never overflow."""

from __future__ import annotations

import functools
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.activities import ActivityInput, InputKind
from accounting.quantities import Rounding
from enterprise_node.configuration import Input
from enterprise_node.quantities import conversions, flaws_sql, steps_sql
from enterprise_node.quarantine import Flaw
from protos.problems import Malformed


@functools.cache
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def target(**changes: Any) -> ActivityInput:
    settings: dict[str, Any] = {
        "name": "distance",
        "kind": InputKind.QUANTITY,
        "unit": "m",
        "decimals": 0,
        "minimum": 0,
        "maximum": 300_000,
    }
    return ActivityInput(**(settings | changes))


def declared(**values: Any) -> Input:
    return Input(**values)


def converted(steps: int, settings: Input, one: ActivityInput, decimals: int, unit: str = "") -> int | str:
    cases = conversions(settings, one, decimals, "test")
    word = f"'{unit}'" if settings.unit_column else None
    tests = " ".join(f"WHEN {test} THEN '{flaw}'" for test, flaw in flaws_sql("n", word, cases, one))
    sql = f"SELECT {steps_sql('n', word, cases)}, CASE {tests} END FROM (SELECT CAST({steps} AS BIGINT) AS n)"
    [(found, flaw)] = connection().execute(sql).fetchall()
    assert (found is None) == (flaw is not None)
    return str(flaw) if flaw is not None else int(found)


@pytest.mark.parametrize(
    ("steps", "rounding", "expected"),
    [
        (1_250, "exact", 1_250),
        (300_000_000, "exact", Flaw.ABOVE_MAXIMUM),
        (-1, "exact", Flaw.NEGATIVE_QUANTITY),
        (0, "exact", 0),
    ],
)
def test_thousandths_of_a_kilometre(steps: int, rounding: str, expected: int | str) -> None:
    assert converted(steps, declared(column="km", unit="km", rounding=rounding), target(), 3) == expected


@pytest.mark.parametrize(("rounding", "expected"), [("exact", Flaw.NOT_EXACT), ("half-up", 9), ("down", 8)])
def test_half_a_step_is_rounded_only_as_declared(rounding: str, expected: int | str) -> None:
    assert converted(85, declared(column="m", unit="m", rounding=rounding), target(), 1) == expected


@given(
    steps=st.integers(0, 4_000_000),
    decimals=st.integers(0, 4),
    unit=st.sampled_from(["m", "km", "mm"]),
    rounding=st.sampled_from(["exact", "half-up", "down"]),
)
@settings(max_examples=80, deadline=None)
def test_agrees_with_the_registry(steps: int, decimals: int, unit: str, rounding: str) -> None:
    one = target()
    found = converted(steps, declared(column="q", unit=unit, rounding=rounding), one, decimals)
    text = f"{Decimal(steps).scaleb(-decimals):f}"
    try:
        assert found == one.value(text, unit, Rounding(rounding))
    except Malformed:
        assert found in {Flaw.NOT_EXACT, Flaw.ABOVE_MAXIMUM, Flaw.BELOW_MINIMUM}


def test_unit_of_the_row() -> None:
    settings = declared(column="q", unit_column="u", units={"km": "km", "米": "m"})
    assert converted(2, settings, target(), 0, "km") == 2000
    assert converted(2, settings, target(), 0, "米") == 2
    assert converted(2, settings, target(), 0, "mile") == Flaw.UNKNOWN_UNIT
    assert converted(301, settings, target(), 0, "km") == Flaw.ABOVE_MAXIMUM
    assert converted(301, settings, target(), 0, "米") == 301


def test_times_is_exact() -> None:
    assert converted(100, declared(column="q", unit="m", times="0.07"), target(), 0) == 7
    assert converted(101, declared(column="q", unit="m", times="0.07"), target(), 0) == Flaw.NOT_EXACT


def test_minimum() -> None:
    assert converted(4, declared(column="q", unit="m"), target(minimum=5), 0) == Flaw.BELOW_MINIMUM
    assert converted(-3, declared(column="q", unit="m"), target(minimum=-5), 0) == -3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit": "kWh"}, "does not measure"),
        ({"unit": "furlong"}, "no unit"),
        ({"unit": "m", "times": "0"}, "not positive"),
    ],
)
def test_conversions_that_cannot_be_are_refused(changes: dict[str, str], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        conversions(declared(column="q", **changes), target(), 0, "input q")


def test_numbers_that_would_not_fit_are_refused() -> None:
    wide = target(maximum=10**18)
    with pytest.raises(Malformed, match="63 bits"):
        conversions(declared(column="q", unit="m", times="0.123456789"), wide, 9, "input q")


def test_factor_is_in_lowest_terms() -> None:
    [(_, one)] = conversions(declared(column="q", unit="km"), target(), 2, "input q")
    assert one.factor == Fraction(10)
    assert (one.lowest, one.highest) == (0, 30_000)
