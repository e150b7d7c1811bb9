"""Raw columns to SQL: exact or named as not exact, in the right order of blame."""

from __future__ import annotations

import datetime
import functools
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enterprise_node.configuration import Time
from enterprise_node.fields import Field, Number, day_number, day_of, moment_of, number_of, shifted, text_of
from enterprise_node.file_settings import Column
from enterprise_node.quarantine import Flaw


@functools.cache
def connection() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    opened.execute("SET TimeZone = 'America/New_York'")
    return opened


def field(sql: str, sql_type: str = "VARCHAR", **declared: Any) -> Field:
    return Field("raw", sql, sql_type, Column(**declared))


def value(sql: str, *arguments: object) -> Any:
    return connection().execute(f"SELECT {sql} FROM (SELECT $1 AS raw)", list(arguments)).fetchall()[0][0]


def judged(number: Number, raw: object) -> int | Flaw:
    """Give the steps, or the first test that fails."""
    tests = " ".join(f"WHEN {test} THEN '{flaw}'" for test, flaw in number.tests)
    steps, flaw = (
        value(number.steps, raw),
        value(f"CASE WHEN ({number.steps}) IS NULL THEN CASE {tests} END END", raw),
    )
    assert (steps is None) == (flaw is not None)
    return Flaw(flaw) if flaw is not None else int(steps)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("12.34", 1234),
        (" 12.3 ", 1230),
        ("12.340", 1234),
        ("-0.01", -1),
        ("+7", 700),
        ("12.345", Flaw.NOT_EXACT),
        ("1e3", Flaw.NOT_EXACT),
        ("twelve", Flaw.WRONG_TYPE),
        ("nan", Flaw.WRONG_TYPE),
        ("inf", Flaw.WRONG_TYPE),
        ("", Flaw.MISSING_VALUE),
        ("   ", Flaw.MISSING_VALUE),
        (None, Flaw.MISSING_VALUE),
        ("9" * 17, Flaw.ABOVE_MAXIMUM),
        ("9" * 40, Flaw.ABOVE_MAXIMUM),
    ],
)
def test_decimal_text(raw: str | None, expected: int | Flaw) -> None:
    number = number_of(field("CAST(raw AS VARCHAR)", type="decimal", decimals=2))
    assert judged(number, raw) == expected


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=5, allow_nan=False))
@settings(max_examples=60, deadline=None)
def test_decimal_text_is_never_rounded(raw: Decimal) -> None:
    number = number_of(field("CAST(raw AS VARCHAR)", type="decimal", decimals=3))
    scaled = raw * 1000
    exact = scaled == scaled.to_integral_value()
    assert judged(number, f"{raw:f}") == (int(scaled) if exact else Flaw.NOT_EXACT)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (0.1 + 0.2, 30),
        (4.35, 435),
        (1.0000001, 100),
        (1.001, Flaw.NOT_EXACT),
        (float("nan"), Flaw.WRONG_TYPE),
        (float("inf"), Flaw.WRONG_TYPE),
        (None, Flaw.MISSING_VALUE),
        (1e15, Flaw.ABOVE_MAXIMUM),
    ],
)
def test_double_is_taken_only_within_a_millionth(raw: float | None, expected: int | Flaw) -> None:
    number = number_of(field("CAST(raw AS DOUBLE)", "DOUBLE", type="double", decimals=2))
    assert judged(number, raw) == expected


def test_integer_column_of_parquet() -> None:
    assert judged(number_of(field("CAST(raw AS BIGINT)", "BIGINT", type="integer")), 42) == 42


def test_default_takes_the_place_of_nothing() -> None:
    assert value(text_of(field("raw", default="other")), "  ") == "other"
    assert value(text_of(field("raw")), "  ") is None


@pytest.mark.parametrize(
    ("zone", "raw", "expected"),
    [
        ("Asia/Shanghai", "2021-01-31 23:59:59", "2021-01-31"),
        ("UTC", "2021-01-31 15:59:59", "2021-01-31"),
        ("UTC", "2021-01-31 16:00:00", "2021-02-01"),
        ("America/New_York", "2021-01-31 11:00:00", "2021-02-01"),
    ],
)
def test_days_are_those_of_the_civil_clock(zone: str, raw: str, expected: str) -> None:
    moment = moment_of(field("raw"), Time(column="raw", time_zone=zone))
    assert value(day_of(f"({moment})"), raw) == datetime.date.fromisoformat(expected)


def test_instants_carry_their_own_offset() -> None:
    time = Time(column="raw", format="%Y-%m-%dT%H:%M:%S%z")
    moment = moment_of(field("raw"), time)
    assert value(day_of(f"({moment})"), "2021-01-31T18:00:00+0100") == datetime.date(2021, 2, 1)


def test_text_of_another_form_has_no_moment() -> None:
    moment = moment_of(field("raw"), Time(column="raw"))
    assert value(moment, "31/01/2021") is None
    assert value(moment, "2021-02-30 00:00:00") is None


@pytest.mark.parametrize(
    ("raw", "months", "expected"),
    [
        ("2017-11-30", 37, "2020-12-30"),
        ("2017-01-31", 37, "2020-02-29"),
        ("2013-12-01", 84, "2020-12-01"),
        ("2021-03-31", -1, "2021-02-28"),
        ("2021-03-31", 0, "2021-03-31"),
    ],
)
def test_shift_keeps_the_day_or_takes_the_last(raw: str, months: int, expected: str) -> None:
    assert value(shifted("CAST(raw AS DATE)", months), raw) == datetime.date.fromisoformat(expected)


def test_day_number() -> None:
    assert value(day_number("CAST(raw AS DATE)"), "1970-01-02") == 1
    assert value(day_number("CAST(raw AS DATE)"), "1969-12-31") == -1


@pytest.mark.parametrize("decimals", range(10))
def test_all_digits_a_declaration_allows_are_read(decimals: int) -> None:
    number = number_of(field("CAST(raw AS VARCHAR)", type="decimal", decimals=decimals))
    whole, part = "9" * (18 - decimals), "9" * decimals
    assert judged(number, f"{whole}.{part}") == int(whole + part)
