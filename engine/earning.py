"""Positions in a programme's points, over the released files: one code at the hub and at an auditor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from accounting.accounts import anchored_sql
from accounting.programmes.earn_rules import EarnFrom
from accounting.programmes.earning import EARNING_COLUMNS, earning_rows, positions_sql, unbroken_cover_sql
from accounting.programmes.matching import ReleasedMeasure
from accounting.programmes.versions import Span
from engine.engine import Columns, Engine
from engine.released import STATEMENT_COLUMNS, ReleasedFiles, register_anchors, view_links
from privacy.policy import Policy
from privacy.series import MeasureKind
from protos.epochs import Epoch, checked_epoch

_ARRAYS = {"VARCHAR": np.object_, "INTEGER": np.int32}


def released_measures(policy: Policy) -> tuple[ReleasedMeasure, ...]:
    """Say what each measure of a policy sums, as earn rules are matched against it."""
    domains = {pack.id: pack.domain for pack in policy.packs}
    return tuple(
        ReleasedMeasure(
            enterprise.enterprise_id,
            measure.id,
            EarnFrom.POINTS if measure.kind is MeasureKind.POINTS else EarnFrom.GRAMS,
            measure.pack_ids,
            tuple(domains[pack] for pack in measure.pack_ids),
        )
        for enterprise in policy.enterprises
        for measure in enterprise.measures
    )


def lay_out_positions(
    engine: Engine,
    spans: Sequence[Span],
    released: Sequence[ReleasedFiles],
    links: Sequence[Path],
    policy_for: Callable[[Epoch], Policy],
) -> str:
    """Name the tables a programme's positions are read from, and give the SQL for them.

    (account, position, variance, excess) ascending by account, over all files given.
    """
    engine.view("statement", [one.months for one in released], STATEMENT_COLUMNS)
    engine.view("points", [one.points for one in released if one.points is not None], STATEMENT_COLUMNS)
    view_links(engine, released, links)
    rows = list(earning_rows(spans, _measures_of(released, policy_for)))
    columns: Columns = {
        name: np.array([row[place] for row in rows], dtype=_ARRAYS[kind])
        for place, (name, kind) in enumerate(EARNING_COLUMNS.items())
    }
    engine.register("earning", columns, EARNING_COLUMNS)
    anchors = [one.anchors for one in released if one.anchors is not None]
    if not anchors:
        return positions_sql(spans)
    engine.view("anchor", anchors, STATEMENT_COLUMNS)
    register_anchors(engine, released)
    return positions_sql(spans, statement=f"({anchored_sql(cover=unbroken_cover_sql(spans))})")


def _measures_of(
    released: Sequence[ReleasedFiles], policy_for: Callable[[Epoch], Policy]
) -> list[tuple[Epoch, ReleasedMeasure]]:
    found = []
    for one in released:
        epoch = checked_epoch(one.epoch)
        measures = released_measures(policy_for(epoch))
        found += [(epoch, measure) for measure in measures if measure.enterprise == one.enterprise]
    return found
