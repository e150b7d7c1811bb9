"""Reward conditions: typed and boolean or refused, bounded whatever they try, and the same every time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.programmes.eligibility import FACT_NAMES, Facts, check_conditions
from accounting.programmes.rewards import ELIGIBILITY_CHARACTERS_MAX
from engine.eligibility import CelConditions
from protos.problems import Malformed
from tests.unit.accounting.programmes.programmes import coupon, programme

CONDITIONS = CelConditions()
FACTS = Facts(points=500, lifetime_points=900, grams=17_000, lifetime_grams=17_900, epoch=202512)
NINE = "[0,1,2,3,4,5,6,7,8]"


def nested(depth: int) -> str:
    """Give a macro in a macro: nine to the power of the depth steps."""
    return "true" if depth == 0 else f"{NINE}.all(x{depth}, {nested(depth - 1)})"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("lifetime_grams >= 17900", True),
        ("lifetime_grams > 17900", False),
        ("points >= 500 && epoch % 100 == 12", True),
        ("grams / (points - 500) > 0", False),
        ("9223372036854775807 + points > 0", False),
        (nested(7), False),
    ],
)
def test_a_condition_holds_or_not(text: str, *, holds: bool) -> None:
    assert CONDITIONS.holds(text, FACTS) is holds
    assert CelConditions().holds(text, FACTS) is holds


@pytest.mark.parametrize(
    "text",
    [
        "points + 1",
        "'yes'",
        "balance > 1",
        "points > 1.5",
        "points > ",
        "points.foo == 1",
        "__import__('os')",
        "points == 1; true",
        "(" * 60 + "true" + ")" * 60,
        "true || " * 100 + "true",
        "has(points)",
        "\x00",
        "\ud800",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="no yes-or-no question"):
        CONDITIONS.check(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="points grams()<>=!&|+-*/%.[]{},:'\"0123456789x", max_size=80))
def test_any_text_is_refused_or_answers_yes_or_no(text: str) -> None:
    try:
        CONDITIONS.check(text)
    except Malformed:
        return
    assert CONDITIONS.holds(text, FACTS) in (True, False)


@given(st.builds(Facts, *(st.integers(-(2**70), 2**70) for _ in FACT_NAMES)), st.integers(0, 2**62))
def test_comparison_equals_pythons_within_64_bits(facts: Facts, least: int) -> None:
    assert CONDITIONS.holds(f"lifetime_grams >= {least}", facts) is (facts.lifetime_grams >= least)


def test_a_programme_with_a_bad_condition_is_refused() -> None:
    check_conditions(programme(rewards={"bus": coupon(eligible="points > 5")}), CONDITIONS)
    with pytest.raises(Malformed, match="undeclared"):
        check_conditions(programme(rewards={"bus": coupon(eligible="wallet > 5")}), CONDITIONS)
    with pytest.raises(Malformed, match="eligible"):
        programme(rewards={"bus": coupon(eligible=" " * (ELIGIBILITY_CHARACTERS_MAX + 1))})
