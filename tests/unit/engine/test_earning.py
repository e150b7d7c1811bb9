"""A programme's positions over released files: months, points, anchored years."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from accounting.programmes.versions import spans_of
from engine.duckdb_engine import DuckDbEngine
from engine.earning import lay_out_positions, released_measures
from engine.released import Released, ReleasedRows, write_links, write_statements
from privacy import releases
from privacy.links import LinkRows
from privacy.policy import EnterprisePolicy, Measure, PackReference, Policy
from privacy.policy_reading import read_policy
from privacy.series import MeasureKind
from protos.v1 import release_pb2
from tests.simulator import Federation
from tests.unit.accounting.programmes.programmes import NAMES, programme
from tests.unit.engine.test_released import ACCOUNTS, released
from tests.unit.engine.test_released import NAMES as PSEUDONYMS

EARN = {
    "rides": {"names": NAMES, "ratio": [1, 10], "match": {"domains": ["travel"]}},
    "tiers": {"names": NAMES, "counts": "points", "ratio": [2, 1]},
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDbEngine]:
    with DuckDbEngine(memory_limit_mb=256, threads=1, temp_dir=tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def policy() -> Policy:
    found = read_policy(Federation().policy_message(), bytes(32))
    measures = (
        Measure("rides", ("bike",), 500, 500),
        Measure("rewards", ("tier",), 0, 5, MeasureKind.POINTS),
    )
    packs = (PackReference("bike", 1, bytes(32), "travel"), PackReference("tier", 1, bytes(32), "life"))
    return replace(found, packs=packs, enterprises=(EnterprisePolicy("metro", measures, 1, 1, 1),))


def positions(
    engine: DuckDbEngine, folder: Path, policy: Policy, rows: list[ReleasedRows]
) -> dict[bytes, int]:
    files = [write_statements(engine, folder, one) for one in rows]
    links = LinkRows(pseudonyms=b"".join(PSEUDONYMS), accounts=b"".join(ACCOUNTS))
    linked = [write_links(engine, folder, bytes(32), links)]
    spans = spans_of([programme(first_epoch=202101, earn=EARN)])
    text = lay_out_positions(engine, spans, Released(files, linked), lambda epoch: policy)
    return {bytes(row[0]): row[1] for row in engine.rows(text)}


def test_measures_carry_what_the_policy_sums(policy: Policy) -> None:
    assert [(one.measure, one.counts.value, one.domains) for one in released_measures(policy)] == [
        ("rides", "grams", ("travel",)),
        ("rewards", "points", ("life",)),
    ]


def test_grams_and_points_earn_each_by_their_rule(
    engine: DuckDbEngine, tmp_path: Path, policy: Policy
) -> None:
    before = released(202012, [9_000, 9_000, 9_000], [9, 9, 9])
    inside = released(202101, [99, -11, 22], [1, 0, 4])
    assert positions(engine, tmp_path, policy, [before, inside]) == {ACCOUNTS[0]: 11, ACCOUNTS[1]: 9}


def test_an_anchor_counts_only_for_a_year_inside_the_version(
    engine: DuckDbEngine, tmp_path: Path, policy: Policy
) -> None:
    months = [released(epoch, [100, 0, 0], [0, 0, 0]) for epoch in (202012, 202101, 202102)]
    crossing = anchored(released(202102, [100, 0, 0], [0, 0, 0]), [202012, 202101, 202102])
    assert positions(engine, tmp_path / "a", policy, [*months[:2], crossing])[ACCOUNTS[0]] == 20
    inside = anchored(released(202102, [100, 0, 0], [0, 0, 0]), [202101, 202102])
    assert (
        positions(engine, tmp_path / "b", policy, [*months[:2], inside])[ACCOUNTS[0]]
        == (200 + 2 * 1_100) // 30
    )


def anchored(one: ReleasedRows, epochs: list[int]) -> ReleasedRows:
    """Add an anchor of 1,100 g for the first person over these epochs, at the months' own scale."""
    one.message.statements.append(
        release_pb2.Statement(measure_id="rides", rows=3, claim=release_pb2.Claim(scale=10), epochs=epochs)
    )
    body = releases.encode_statement_chunk("rides", 0, releases.to_raw([1_100, 0, 0]))
    return replace(one, bodies=[*one.bodies, body])
