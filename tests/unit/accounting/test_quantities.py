"""Units and decimals: exact or refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.quantities import PURE, Rounding, is_decimal, parse_decimal, parse_unit, scaled
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID, REASON_RECORD_INVALID


@pytest.mark.parametrize(
    ("text", "dimensions", "ratio"),
    [
        ("km", (("length", 1),), Fraction(1000)),
        ("kgCO2e/km", (("co2e", 1), ("length", -1)), Fraction(1000)),
        ("kgCO2e/kWh", (("co2e", 1), ("energy", -1)), Fraction(1000)),
        ("USD2022/USD2017", (("USD2017", -1), ("USD2022", 1)), Fraction(1)),
        ("kWh/km*share", (("energy", 1), ("length", -1)), Fraction(1)),
        ("km/m", (), Fraction(1000)),
        ("1/trip", (("trip", -1),), Fraction(1)),
        ("kg/m3", (("mass", 1), ("volume", -1)), Fraction(1)),
    ],
)
def test_units_are_products_of_dimensions(text: str, dimensions: object, ratio: Fraction) -> None:
    unit = parse_unit(text)
    assert (unit.dimensions, unit.ratio) == (dimensions, ratio)


@pytest.mark.parametrize("text", ["", "furlong", "kg CO2e", "km//h", "km/", "/km", "k" * 65, "km^2", "usd"])
def test_unknown_units_are_refused(text: str) -> None:
    with pytest.raises(Malformed) as raised:
        parse_unit(text)
    assert raised.value.reason == REASON_PACK_INVALID


def test_units_multiply_and_divide() -> None:
    km, hour = parse_unit("km"), parse_unit("h")
    assert km.times(hour, -1).times(hour) == km
    assert km.times(km, -1) == PURE
    assert str(km.times(km)) == "length^2"


@pytest.mark.parametrize(
    "text", ["", "1e3", "+1", ".5", "5.", "1,000", " 1", "1_000", "NaN", "inf", "0x1", "1/2", "９", "1" * 31]
)
def test_only_plain_decimal_text_is_a_number(text: str) -> None:
    assert not is_decimal(text)
    with pytest.raises(Malformed) as raised:
        parse_decimal(text)
    assert raised.value.reason == REASON_RECORD_INVALID
    assert not text or text not in raised.value.message


@given(steps=st.integers(-(10**18), 10**18), decimals=st.integers(0, 9))
def test_whole_steps_come_back_exactly(steps: int, decimals: int) -> None:
    digits = f"{abs(steps):0{decimals + 1}d}"
    text = ("-" if steps < 0 else "") + (f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits)
    assert scaled(text, Fraction(1, 10**decimals)) == steps


@pytest.mark.parametrize(
    ("text", "rounding", "expected"),
    [
        ("2.5", Rounding.HALF_UP, 3),
        ("2.4999", Rounding.HALF_UP, 2),
        ("2.9", Rounding.DOWN, 2),
        ("-2.1", Rounding.DOWN, -3),
        ("7", Rounding.EXACT, 7),
    ],
)
def test_rounding_is_asked_for(text: str, rounding: Rounding, expected: int) -> None:
    assert scaled(text, Fraction(1), rounding) == expected


@pytest.mark.parametrize(("text", "rounding"), [("2.5", Rounding.EXACT), ("-2.5", Rounding.HALF_UP)])
def test_what_is_not_exact_is_refused(text: str, rounding: Rounding) -> None:
    with pytest.raises(Malformed) as raised:
        scaled(text, Fraction(1), rounding)
    assert raised.value.reason == REASON_RECORD_INVALID
    assert text not in str(raised.value)
