"""Positions in a programme's points, over the released files: one code at the hub and at an auditor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from accounting.programmes.earn_rules import EarnFrom
from accounting.programmes.earning import EARNING_COLUMNS, earning_rows, positions_sql, unbroken_cover_sql
from accounting.programmes.matching import ReleasedMeasure
from accounting.programmes.versions import Span
from engine.engine import Columns, Engine
from engine.folding import lay_out_links, lay_out_months
from engine.released import STATEMENT_COLUMNS, Released, ReleasedFiles
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
    released: Released,
    policy_for: Callable[[Epoch], Policy],
) -> str:
    """Name the tables a programme's positions are read from, and give the SQL for them.

    (account, position, variance, excess) ascending by account, over all releases given: what was moved of
    others earns by no rule.
    """
    engine.view("points", released.points, STATEMENT_COLUMNS)
    rows = list(earning_rows(spans, _measures_of(released.files, policy_for)))
    columns: Columns = {
        name: np.array([row[place] for row in rows], dtype=_ARRAYS[kind])
        for place, (name, kind) in enumerate(EARNING_COLUMNS.items())
    }
    engine.register("earning", columns, EARNING_COLUMNS)
    statement = lay_out_months(engine, released, unbroken_cover_sql(spans))
    return positions_sql(spans, statement=statement, link=lay_out_links(engine, released))


def _measures_of(
    released: Sequence[ReleasedFiles], policy_for: Callable[[Epoch], Policy]
) -> list[tuple[Epoch, ReleasedMeasure]]:
    found = []
    for one in released:
        epoch = checked_epoch(one.epoch)
        measures = released_measures(policy_for(epoch))
        found += [(epoch, measure) for measure in measures if measure.enterprise == one.enterprise]
    return found
