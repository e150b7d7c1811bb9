"""A programme's TOML is refused with the line and the reason, and its canonical form reads back to itself."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.programmes.parse import PROGRAMME_BYTES_MAX, line_of, parse_canonical, parse_programme
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PROGRAMME_INVALID
from tests.unit.accounting.programmes.programmes import programme

TEXT = """\
id = "city"
version = 1
names = { en = "City", zh = "城市" }
cited = { source = "made for tests", illustrative = true }
unit = { code = "COIN", names = { en = "coin", zh = "币" } }
first_epoch = 202501

[earn.base]
names = { en = "All", zh = "全部" }
ratio = [1, 10]

[funds.city]
names = { en = "City", zh = "城市" }
sources = ["government"]

[rewards.bus]
names = { en = "Bus", zh = "公交" }
kind = "commercial"
cost_points = 5000
funds = ["city"]
unit_cost_fen = 500
partner = "bus-company"
"""


def test_a_programme_is_read_whole() -> None:
    found = parse_programme(TEXT.encode())
    assert (found.id, found.rewards["bus"].fund, found.earn["base"].ratio) == ("city", "city", (1, 10))


@pytest.mark.parametrize(
    ("before", "after", "line", "reason"),
    [
        ("ratio = [1, 10]", "ratio = [1, 0.5]", 10, "has a point"),
        ("ratio = [1, 10]", "ratio = [1, 10]\ncolour = 1", 11, "earn.base.colour"),
        ('funds = ["city"]', 'funds = ["state"]', 20, "has no state"),
        ('kind = "commercial"', 'kind = "gift"', 18, "commercial"),
        ("version = 1", "version = true", 2, "version"),
        ("version = 1", "version = 1979-05-27", 0, "date"),
        ('sources = ["government"]', 'sources = ["lottery"]', 14, "sources"),
        ("[earn.base]", "[earn.Base]", 8, "pattern"),
        ('partner = "bus-company"', "", 16, "partner"),
        ("first_epoch = 202501", "first_epoch = 202500", 6, "not an epoch"),
        ("version = 1", "version = ", 2, "not TOML"),
    ],
)
def test_a_fault_is_told_with_its_line(before: str, after: str, line: int, reason: str) -> None:
    changed = TEXT.replace(before, after, 1)
    assert changed != TEXT
    with pytest.raises(Malformed, match=re.escape(reason)) as refused:
        parse_programme(changed.encode())
    assert refused.value.reason == REASON_PROGRAMME_INVALID
    assert f"line {line}" in refused.value.message or line == 0


@pytest.mark.parametrize("data", [b"\xff", b"a" * (PROGRAMME_BYTES_MAX + 1), b"[" * 5_000, b""])
def test_what_is_no_programme_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_programme(data)
    with pytest.raises(Malformed):
        parse_canonical(data)


def test_canonical_bytes_read_back_and_any_changed_byte_is_another_programme_or_none() -> None:
    data = programme().canonical_bytes()
    assert parse_canonical(data) == programme()
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            assert parse_canonical(changed) != programme()
        except Malformed as refused:
            assert refused.reason == REASON_PROGRAMME_INVALID


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=200), st.lists(st.text(max_size=5), max_size=4))
def test_any_text_gives_a_line_or_none(text: str, place: list[str]) -> None:
    assert 0 <= line_of(text, place) <= len(text.splitlines())


def test_the_nearest_place_above_is_named() -> None:
    assert line_of(TEXT, ("rewards", "bus", "funds", "0")) == 20
    assert line_of(TEXT, ("rewards", "bus", "tree")) == 16
    assert line_of(TEXT, ("unit", "names", "zh")) == 5
    assert line_of(TEXT, ("boards", "x")) == 0
