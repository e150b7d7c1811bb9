"""Anchors and months combined: one SQL text, exact to the gram against plain arithmetic, never clipped."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.accounts import WHOLE_MAX, anchor_weight, anchored_sql, sources_sql
from engine.engine import Engine

KINDS = {"VARCHAR": object, "BLOB": object, "INTEGER": np.int32, "BIGINT": np.int64}
STATEMENT = {
    "enterprise": "VARCHAR",
    "epoch": "INTEGER",
    "measure": "VARCHAR",
    "slot": "BIGINT",
    "pseudonym": "BLOB",
    "grams": "BIGINT",
    "variance": "BIGINT",
}
COVER = {"enterprise": "VARCHAR", "measure": "VARCHAR", "anchor": "INTEGER", "epoch": "INTEGER"}
WEIGHT = dict.fromkeys(("months", "share", "whole", "variance"), "BIGINT")
ANCHOR = 202012
YEAR = tuple(range(202001, 202013))
VARIANCES = st.one_of(st.integers(1, 10**6), st.integers(1, 2**62))


def register(engine: Engine, name: str, schema: dict[str, str], rows: list[tuple[object, ...]]) -> None:
    columns = {
        column: np.array([row[position] for row in rows], dtype=KINDS[kind])
        for position, (column, kind) in enumerate(schema.items())
    }
    engine.register(name, columns, schema)


@given(st.integers(1, 12), st.integers(1, 1 << 40))
def test_at_equal_scales_the_weight_is_n_of_n_and_one(months: int, variance: int) -> None:
    weight = anchor_weight([variance] * months, variance)
    assert (weight.share, weight.whole) == (months, months + 1)
    assert weight.variance == -(-variance * months // (months + 1))


@given(st.lists(VARIANCES, min_size=1, max_size=12), VARIANCES)
def test_any_weights_fit_the_sql_and_say_their_own_variance(months: list[int], anchor: int) -> None:
    weight = anchor_weight(months, anchor)
    assert 0 < weight.share < weight.whole <= WHOLE_MAX
    share = Fraction(weight.share, weight.whole)
    variance = (1 - share) ** 2 * sum(months) + share**2 * anchor
    assert weight.variance - 1 < variance <= weight.variance
    best = Fraction(sum(months) * anchor, sum(months) + anchor)
    if max(sum(months), anchor) <= min(sum(months), anchor) << 16:
        assert variance <= best * (1 + Fraction(1, 1 << 12))
    if (sum(months) + anchor) < WHOLE_MAX:
        assert variance == best


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_months_and_anchor_combine_exactly(data: st.DataObject, engine: Engine) -> None:
    grams = st.integers(-(10**12), 10**12)
    month_variances = {epoch: data.draw(st.integers(1, 10**7)) for epoch in YEAR}
    anchor_variance = data.draw(st.integers(1, 10**7))
    covered = YEAR[data.draw(st.integers(0, 11)) :]
    months: list[tuple[object, ...]] = []
    anchors: list[tuple[object, ...]] = []
    expected: dict[bytes, list[int]] = defaultdict(lambda: [0, 0])
    for slot in range(data.draw(st.integers(1, 5))):
        pseudonym = bytes([data.draw(st.integers(0, 2))]) * 16
        since = data.draw(st.sampled_from(YEAR))
        mine = {epoch: data.draw(grams) for epoch in YEAR if epoch >= since}
        months += [
            ("a", epoch, "m", slot, pseudonym, value, month_variances[epoch]) for epoch, value in mine.items()
        ]
        book = expected[pseudonym]
        for epoch in set(mine) - set(covered):
            book[0] += mine[epoch]
            book[1] += month_variances[epoch]
        inside = [epoch for epoch in covered if epoch in mine]
        total, spread = (sum(side[epoch] for epoch in inside) for side in (mine, month_variances))
        if data.draw(st.booleans()):
            anchor = data.draw(grams)
            anchors.append(("a", ANCHOR, "m", slot, pseudonym, anchor, anchor_variance))
            total = (total * anchor_variance + anchor * spread) // (spread + anchor_variance)
            spread = -(-spread * anchor_variance // (spread + anchor_variance))
        book[0] += total
        book[1] += spread
    weights = [
        (n, *anchor_weight([month_variances[one] for one in covered[-n:]], anchor_variance))
        for n in range(1, len(covered) + 1)
    ]
    register(engine, "statement", STATEMENT, data.draw(st.permutations(months)))
    register(engine, "anchor", STATEMENT, anchors)
    register(engine, "cover", COVER, [("a", "m", ANCHOR, epoch) for epoch in covered])
    named = dict(list(COVER.items())[:3]) | WEIGHT
    register(engine, "weight", named, [("a", "m", ANCHOR, *weight) for weight in weights])
    rows = engine.rows(
        f"SELECT pseudonym, CAST(SUM(grams) AS BIGINT), CAST(SUM(variance) AS BIGINT) "
        f"FROM ({anchored_sql()}) AS r GROUP BY pseudonym ORDER BY pseudonym"
    )
    assert [(bytes(row[0]), [row[1], row[2]]) for row in rows] == sorted(expected.items())
    # A year is one source, its anchor's epoch; months outside keep theirs.
    everybody = "(SELECT DISTINCT pseudonym, pseudonym AS account FROM statement)"
    given = {row[2]: row[3] for row in engine.rows(sources_sql(f"({anchored_sql()})", everybody))}
    assert sum(given.values()) == sum(row[1] for row in rows) * 1_000
    assert not set(given) & set(covered) - {ANCHOR}
    for epoch in set(given) - {ANCHOR}:
        assert given[epoch] == 1_000 * sum(int(str(row[5])) for row in months if row[1] == epoch)
