"""The registry of activities: what is stored, and what no record may hold."""

from __future__ import annotations

import pytest

from accounting.activities import parse_activities
from accounting.quantities import Rounding
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID, REASON_RECORD_INVALID
from tests.unit.accounting import samples

TRIP = samples.activities()["test.trip"]


def test_columns_are_the_common_ones_and_the_inputs() -> None:
    assert list(TRIP.columns().items()) == [
        ("record", "VARCHAR"),
        ("person", "BIGINT"),
        ("day", "INTEGER"),
        ("region", "VARCHAR"),
        ("distance", "BIGINT"),
        ("detour", "BIGINT"),
        ("mode", "VARCHAR"),
    ]


@pytest.mark.parametrize(
    ("text", "unit", "rounding", "expected"),
    [
        ("2.345", "km", Rounding.EXACT, 2345),
        ("1500", None, Rounding.EXACT, 1500),
        ("1500.0", "m", Rounding.EXACT, 1500),
        ("0.0015", "km", Rounding.HALF_UP, 2),
        ("1.9", "m", Rounding.DOWN, 1),
    ],
)
def test_quantities_are_stored_in_steps(
    text: str, unit: str | None, rounding: Rounding, expected: int
) -> None:
    assert TRIP.input("distance").value(text, unit, rounding) == expected


@pytest.mark.parametrize(
    ("name", "text", "unit"),
    [
        ("distance", "0.0001", "km"),
        ("distance", "301", "km"),
        ("distance", "-1001", None),
        ("distance", "2", "kWh"),
        ("distance", "two", None),
        ("mode", "it's", None),
        ("mode", "", None),
        ("mode", "a" * 65, None),
        ("mode", "a\nb", None),
        ("mode", "back\\slash", None),
    ],
)
def test_values_that_do_not_fit_are_refused_without_being_told(
    name: str, text: str, unit: str | None
) -> None:
    with pytest.raises(Malformed) as raised:
        TRIP.input(name).value(text, unit)
    assert raised.value.reason == REASON_RECORD_INVALID
    assert not text or f"'{text}'" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["BEANS - CANNED GLASS & MW", "DRY BN/VEG/POTATO/RICE", "311422", "公交", "a.b:c+d"]
)
def test_keys_may_be_words_of_any_script(text: str) -> None:
    assert TRIP.input("mode").value(text) == text


GOOD = samples.ACTIVITIES


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ("x = 1", "x"),
        ('["test.x"]\nname_en = "a"', "test.x"),
        (GOOD.replace('maximum = "300000"', "maximum = 3.5"), "activities.toml"),
        (GOOD.replace('maximum = "300000"', 'maximum = "0.5"'), "distance"),
        (GOOD.replace('maximum = "300000"', 'maximum = "-2000"'), "distance"),
        (GOOD.replace('unit = "m"', 'unit = "furlong"'), "distance"),
        (GOOD.replace("inputs.mode", "inputs.day"), "test.trip"),
        (GOOD.replace('name_zh = "行程"', ""), "name_zh"),
        (GOOD.replace("test.trip", "Test Trip"), "code"),
        (GOOD.replace("decimals = 0", 'decimals = 0, colour = "red"'), "colour"),
        (GOOD.replace("inputs.mode = { kind", "inputs.mode = 3 #"), "mode"),
        ("not toml", "activities.toml"),
    ],
)
def test_a_wrong_registry_says_where(data: str, key: str) -> None:
    with pytest.raises(Malformed) as raised:
        parse_activities(data.encode())
    assert raised.value.reason == REASON_PACK_INVALID
    assert key in raised.value.message


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(Malformed, match="UTF-8"):
        parse_activities(b"\xff\xfe")
    with pytest.raises(Malformed, match="at most"):
        parse_activities(b"#" * (5 * 1024 * 1024))


def test_an_unknown_input_names_the_known_ones() -> None:
    with pytest.raises(Malformed, match="distance, detour, mode"):
        TRIP.input("weight")
