"""Positions in points equal a plain reckoning with fractions, whatever is matched, capped and restated."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.programmes.earn_rules import EarnFrom, EarnRule
from accounting.programmes.earning import (
    EARNING_COLUMNS,
    earning_rows,
    positions_sql,
    rate_upper,
    rules_of,
    unbroken_cover_sql,
)
from accounting.programmes.matching import ReleasedMeasure, rule_of, twice_taken
from accounting.programmes.programme import Programme
from accounting.programmes.versions import Span, in_force, spans_of
from engine.engine import Engine
from engine.released import LINK_COLUMNS, STATEMENT_COLUMNS
from protos.epochs import Epoch
from tests.unit.accounting import samples
from tests.unit.accounting.programmes.programmes import NAMES, programme

MEASURES = (
    ReleasedMeasure("bikes", "trips", EarnFrom.GRAMS, ("trv.bike_mix",), ("travel",)),
    ReleasedMeasure("grid", "power", EarnFrom.GRAMS, ("life.electricity_saving",), ("life",)),
    ReleasedMeasure("grid", "tiers", EarnFrom.POINTS, ("life.elec_own2y",), ("life",)),
    ReleasedMeasure(
        "mall", "mixed", EarnFrom.GRAMS, ("trv.bike_mix", "con.own_cup"), ("travel", "consumption")
    ),
)
EPOCHS = (202411, 202412, 202501, 202502, 202601)
ACCOUNTS = [bytes([n]) * 16 for n in (1, 128, 255)]
KINDS: dict[str, Any] = {"VARCHAR": object, "BLOB": object, "INTEGER": np.int32, "BIGINT": np.int64}

Row = tuple[int, int, int, int, int]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with samples.new_engine() as opened:
        yield opened


def register(engine: Engine, name: str, schema: dict[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
    columns = {
        column: np.array([row[place] for row in rows], dtype=KINDS[kind])
        for place, (column, kind) in enumerate(schema.items())
    }
    engine.register(name, columns, schema)


def load(engine: Engine, spans: Sequence[Span], rows: Sequence[Row]) -> None:
    """Register statements (measure, epoch, account, grams, variance): an account's pseudonym is its id."""
    for name, counts in (("statement", EarnFrom.GRAMS), ("points", EarnFrom.POINTS)):
        found = [
            (one.enterprise, EPOCHS[epoch], one.measure, 0, ACCOUNTS[account], grams, variance)
            for measure, epoch, account, grams, variance in rows
            if (one := MEASURES[measure]).counts is counts
        ]
        register(engine, name, STATEMENT_COLUMNS, found)
    register(engine, "link", LINK_COLUMNS, [(one, one) for one in ACCOUNTS])
    released = [(Epoch(epoch), one) for epoch in EPOCHS for one in MEASURES]
    register(engine, "earning", EARNING_COLUMNS, list(earning_rows(spans, released)))


def points_of(rule: EarnRule, amount: int) -> int:
    starts = [one.since for one in rule.steps]
    total = 0
    for place, step in enumerate(rule.steps):
        inside = amount if place == 0 else max(amount - step.since, 0)
        if place + 1 < len(starts):
            inside = min(inside, starts[place + 1] - step.since)
        total += math.floor(Fraction(inside * step.ratio[0], step.ratio[1]))
    return total


def most(amount: int, maximum: int) -> int:
    return min(amount, maximum) if maximum else amount


def reckoned(spans: Sequence[Span], rows: Sequence[Row], account: int) -> tuple[int, int] | None:
    """Give (position, excess) by going through years, rules and versions one by one."""
    if not any(row[2] == account for row in rows if taken(spans, row)):
        return None
    position = uncapped = 0
    for span in spans:
        by_year: dict[int, int] = defaultdict(int)
        for name in sorted(span.programme.earn):
            rule, so_far, given_so_far = span.programme.earn[name], 0, 0
            for year in sorted({epoch // 100 for epoch in EPOCHS}):
                amount = sum(
                    row[3] for row in rows if row[2] == account and taken(spans, row) == (span, name, year)
                )
                gain = points_of(rule, so_far + amount) - points_of(rule, so_far)
                so_far += amount
                uncapped += gain
                kept = most(gain, rule.year_points_max)
                overall = rule.overall_points_max
                by_year[year] += most(given_so_far + kept, overall) - most(given_so_far, overall)
                given_so_far += kept
        caps = span.programme.caps
        position += most(sum(most(one, caps.year_points) for one in by_year.values()), caps.overall_points)
    return position, uncapped - position


def taken(spans: Sequence[Span], row: Row) -> tuple[Span, str, int] | None:
    epoch = Epoch(EPOCHS[row[1]])
    span = next((one for one in spans if one.holds(epoch)), None)
    name = None if span is None else rule_of(span.programme, MEASURES[row[0]])
    return None if span is None or name is None else (span, name, epoch // 100)


ROWS = st.lists(
    st.tuples(
        st.integers(0, len(MEASURES) - 1),
        st.integers(0, len(EPOCHS) - 1),
        st.integers(0, len(ACCOUNTS) - 1),
        st.integers(-(10**6), 10**6),
        st.integers(0, 10**12),
    ),
    max_size=25,
)
RATIOS = st.tuples(st.integers(1, 1_000), st.integers(1, 10**6)).map(list)
LIMITS = st.one_of(st.just(0), st.integers(1, 10**6))
MATCHES = st.sampled_from(
    [
        {},
        {"enterprises": ["bikes"]},
        {"domains": ["travel"]},
        {"packs": ["life.elec_own2y"]},
        {"measures": ["mixed"]},
    ]
)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "names": NAMES,
        "counts": draw(st.sampled_from(["grams", "points"])),
        "match": draw(MATCHES),
        "year_points_max": draw(LIMITS),
        "overall_points_max": draw(LIMITS),
    }
    if draw(st.booleans()):
        return {**rule, "ratio": draw(RATIOS)}
    starts = [0, *sorted(draw(st.sets(st.integers(1, 10**6), max_size=3)))]
    return {**rule, "brackets": [{"since": start, "ratio": draw(RATIOS)} for start in starts]}


@st.composite
def versions(draw: st.DrawFn) -> list[Programme]:
    made = []
    for version in range(1, draw(st.integers(1, 2)) + 1):
        caps = {"year_points": draw(LIMITS), "overall_points": draw(LIMITS)}
        earn = draw(st.dictionaries(st.sampled_from(["a", "b", "c"]), rules(), min_size=1))
        first = draw(st.sampled_from([202410, 202412, 202501]))
        made.append(programme(version=version, first_epoch=first, caps=caps, earn=earn))
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=versions(), rows=ROWS, data=st.data())
def test_positions_equal_the_plain_reckoning(
    made: list[Programme], rows: list[Row], data: st.DataObject, engine: Engine
) -> None:
    spans = spans_of(made)
    load(engine, spans, data.draw(st.permutations(rows)))
    found = {bytes(row[0]): (row[1], row[3]) for row in engine.rows(positions_sql(spans))}
    expected = {
        one: value
        for place, one in enumerate(ACCOUNTS)
        if (value := reckoned(spans, rows, place)) is not None
    }
    assert found == expected


@given(ratio=st.tuples(st.integers(1, 1_000), st.integers(1, 10**9)))
def test_a_rate_is_never_shortened_downwards(ratio: tuple[int, int]) -> None:
    rule = programme(earn={"a": {"names": NAMES, "ratio": list(ratio)}}).earn["a"]
    numerator, denominator = rate_upper(rule.steps)
    assert Fraction(numerator, denominator) >= Fraction(*ratio)
    assert numerator * denominator < 1 << 31
    assert Fraction(numerator, denominator) <= Fraction(*ratio) * 2


def test_variance_is_the_rates_square_rounded_up(engine: Engine) -> None:
    spans = spans_of([programme(earn={"a": {"names": NAMES, "ratio": [1, 10]}})])
    load(engine, spans, [(0, 2, 0, 55, 12_345), (1, 3, 0, -6, 56)])
    assert engine.rows(positions_sql(spans)) == [(ACCOUNTS[0], 4, 125, 0)]


def test_versions_follow_one_another_until_the_programme_is_withdrawn() -> None:
    one, two = programme(last_epoch=202512), programme(version=2, first_epoch=202503)
    spans = spans_of([two, one], withdrawn_from=Epoch(202505))
    assert [(span.programme.version, span.first, span.last) for span in spans] == [
        (1, 202501, 202502),
        (2, 202503, 202504),
    ]
    assert spans_of([two], withdrawn_from=Epoch(202503)) == ()
    held = [in_force(spans, Epoch(epoch)) for epoch in (202412, 202502, 202504, 202505)]
    assert held == [
        None,
        one,
        two,
        None,
    ]


def test_a_measure_that_mixes_what_a_rule_asks_for_is_not_taken() -> None:
    match = {"domains": ["travel"]}
    found = programme(earn={"a": {"names": NAMES, "ratio": [1, 1], "match": match}})
    assert [rule_of(found, one) for one in MEASURES] == ["a", None, None, None]
    both = programme(earn={name: {"names": NAMES, "ratio": [1, 1]} for name in ("b", "a")})
    assert {rules for _, rules in twice_taken(both, MEASURES)} == {("a", "b")}
    assert rule_of(both, MEASURES[0]) == "a"


def test_an_anchor_across_a_versions_border_is_left_out(engine: Engine) -> None:
    rows = [("bikes", "trips", 202512, epoch) for epoch in (202411, 202412, 202501)]
    rows += [("bikes", "trips", 202602, 202601)]
    schema = {"enterprise": "VARCHAR", "measure": "VARCHAR", "anchor": "INTEGER", "epoch": "INTEGER"}
    register(engine, "cover", schema, rows)
    spans = spans_of([programme(first_epoch=202412)])
    assert engine.rows(f"SELECT anchor FROM {unbroken_cover_sql(spans)} AS c") == [(202602,)]


def test_rules_are_numbered_without_gaps_over_all_versions() -> None:
    spans = spans_of([programme(), programme(version=2, first_epoch=202512)])
    assert [(one.number, one.span.programme.version) for one in rules_of(spans)] == [(0, 1), (1, 2)]
