"""Points and grams lie in the same release and are never added together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from accounting.ledger.sources import Source
from engine.duckdb_engine import DuckDbEngine
from engine.folding import fold_accounts, fold_points, fold_sources
from engine.released import Released, ReleasedRows, write_links, write_statements
from privacy import releases
from privacy.links import LinkRows
from privacy.series import MeasureKind
from protos.epochs import Epoch
from protos.v1 import envelope_pb2, policy_pb2, release_pb2

NAMES = [bytes([person]) * 16 for person in (1, 2, 3)]
ACCOUNTS = [bytes([person]) * 16 for person in (9, 8, 8)]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDbEngine]:
    with DuckDbEngine(memory_limit_mb=256, threads=1, temp_dir=tmp_path) as opened:
        yield opened


def released(epoch: int, grams: list[int], points: list[int]) -> ReleasedRows:
    message = release_pb2.Release(
        header=envelope_pb2.Header(issuer="metro"), epoch=epoch, active_slots=len(grams)
    )
    for measure, kind, scale in (("rides", MeasureKind.DAY, 10), ("rewards", MeasureKind.POINTS, 3)):
        message.statements.add(
            measure_id=measure,
            rows=len(grams),
            claim=release_pb2.Claim(scale=scale),
            kind=policy_pb2.MeasureKind.ValueType(kind),
        )
    bodies = [
        releases.encode_statement_chunk(measure, 0, releases.to_raw(values))
        for measure, values in (("rides", grams), ("rewards", points))
    ]
    leaf = hashlib.sha256(b"%d" % epoch).digest()
    return ReleasedRows(leaf, message, bodies, b"".join(NAMES[: len(grams)]), range(len(grams)))


def test_points_have_totals_of_their_own(engine: DuckDbEngine, tmp_path: Path) -> None:
    files = [
        write_statements(engine, tmp_path, one)
        for one in (released(202012, [5, -7, 11], [1, 2, 4]), released(202101, [100, 0, 0], [-8, 0, 16]))
    ]
    links = LinkRows(pseudonyms=b"".join(NAMES), accounts=b"".join(ACCOUNTS))
    linked = [write_links(engine, tmp_path, bytes(32), links)]
    grams = {one.account: one.balance_mg for one in fold_accounts(engine, Released(files, linked))}
    points = {one.account: (one.points, one.variance) for one in fold_points(engine, Released(files, linked))}
    assert grams == {ACCOUNTS[0]: 105_000, ACCOUNTS[1]: 4_000}
    assert points == {ACCOUNTS[0]: (-7, 2 * 18), ACCOUNTS[1]: (22, 4 * 18)}


def test_what_was_erased_keeps_its_source(engine: DuckDbEngine, tmp_path: Path) -> None:
    """Erased rows go to their enterprise's `erased` account; where their claims come from does not change."""
    one, links = released(202012, [5, -7, 11], [0, 0, 0]), LinkRows(b"".join(NAMES), b"".join(ACCOUNTS))
    linked = [write_links(engine, tmp_path, bytes(32), links)]
    names = NAMES[0] + bytes(16) + NAMES[2]
    source = {Source("metro", "rides", Epoch(202012)): 9_000}
    for rows in (one, replace(one, pseudonyms=names)):
        files = [write_statements(engine, tmp_path, rows)]
        assert fold_sources(engine, Released(files, linked)) == source
        assert sum(each.balance_mg for each in fold_accounts(engine, Released(files, linked))) == 9_000


def test_without_points_nobody_has_any(engine: DuckDbEngine, tmp_path: Path) -> None:
    one = released(202012, [1, 2, 3], [0, 0, 0])
    del one.message.statements[1]
    files = [write_statements(engine, tmp_path, one)]
    assert files[0].points is None
    assert list(fold_points(engine, Released(files, []))) == []
