"""Runs the policy's packs again on opened raw records, each leaf alone: what its amounts should be.

A leaf's number stands in the person's place, so that no two leaves' records meet; the SQL is the node's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accounting.activities import Activity
from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import Measure, plan_measure
from accounting.leaves import WHOLE_MONTH, leaves_sql
from accounting.packs import parse_canonical
from accounting.periods import PeriodMeasure, plan_period
from accounting.relations import Relations
from auditor.replay import Replay
from engine.duckdb_engine import DuckDbEngine
from privacy import policy as policies
from privacy.openings import OpenedLeaf
from privacy.policy import Policy
from privacy.series import MeasureKind
from protos.epochs import Epoch, end_day, epoch_of, first_day
from protos.problems import Malformed, Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_RECORD_INVALID

_NEVER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a leaf's records come to in mg, and what they would if every overlap class were recorded here."""

    plus: int
    minus: int
    unselected: tuple[int, int]


def planned_measures(
    replayed: Replay, policy: Policy, enterprise_id: str
) -> list[tuple[policies.Measure, Measure | PeriodMeasure]]:
    """Plan the measures a tree holds, in order, from the packs in the log; raises Unavailable without one."""
    compiled: dict[str, CompiledPack] = {}
    for reference in policy.packs:
        body = replayed.packs.get((reference.id, reference.version))
        if body is None:
            raise Unavailable(
                REASON_NOT_FOUND,
                f"The body of pack {reference.id}@{reference.version} is not at hand.",
                remedy="Give a bundle that cgsp-hub export wrote with bodies.",
            )
        compiled[reference.id] = compile_pack(parse_canonical(body))
    found: list[tuple[policies.Measure, Measure | PeriodMeasure]] = []
    for one in policy.enterprise(enterprise_id).measures:
        if one.kind is not MeasureKind.POINTS:
            plan = plan_period if one.kind is MeasureKind.PERIOD else plan_measure
            packs = [compiled[pack_id] for pack_id in one.pack_ids]
            found.append((one, plan(one.id, packs, one.day_clamp_grams)))
    return found


def evaluate(
    leaves: Sequence[OpenedLeaf],
    planned: Measure | PeriodMeasure,
    epoch: Epoch,
    excluded: Mapping[int, Sequence[str]],
) -> list[Amounts]:
    """Evaluate opened leaves of one measure; `excluded` gives the overlap classes left out by slot."""
    with DuckDbEngine() as engine:
        tables = _load(engine, leaves, planned)
        _exclude(engine, leaves, epoch, excluded)
        selected = Relations(tables, "persons", exclusions="exclusions")
        months = {epoch, *(epoch_of(one.leaf.day) for one in leaves if one.leaf.day != WHOLE_MONTH)}
        obeying = _amounts(engine, leaves, planned, selected, months, epoch)
        alone = _amounts(engine, leaves, planned, Relations(tables, "persons"), months, epoch)
    return [Amounts(*mine, other) for mine, other in zip(obeying, alone, strict=True)]


def _amounts(
    engine: DuckDbEngine,
    leaves: Sequence[OpenedLeaf],
    planned: Measure | PeriodMeasure,
    relations: Relations,
    months: set[Epoch],
    epoch: Epoch,
) -> list[tuple[int, int]]:
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for month in sorted(months):
        for person, day, plus, minus in engine.rows(leaves_sql(planned, relations, month)):
            if day != WHOLE_MONTH or month == epoch:
                found[person, day] = (plus, minus)
    return [found.get((number, one.leaf.day), (0, 0)) for number, one in enumerate(leaves)]


def _load(
    engine: DuckDbEngine, leaves: Sequence[OpenedLeaf], planned: Measure | PeriodMeasure
) -> dict[str, str]:
    """Put the records into one table for each activity, and the persons' dates beside them."""
    tables: dict[str, str] = {}
    for activity in {one.pack.activity.code: one.pack.activity for one in planned.packs}.values():
        rows = [
            {**record, "person": number}
            for number, one in enumerate(leaves)
            for record in one.records
            if record.get("activity") == activity.code
        ]
        tables[activity.code] = "opened_" + activity.code.replace(".", "_")
        engine.register(tables[activity.code], _columns(activity, rows), activity.columns())
    dates = [one.contract or (0, None) for one in leaves]
    columns = {
        "person": np.arange(len(leaves), dtype=np.int64),
        "since_day": np.array([since for since, _ in dates], dtype=np.int64),
        "until_day": np.array([_NEVER if until is None else until for _, until in dates], dtype=np.int64),
    }
    engine.register("persons", columns, {"person": "BIGINT", "since_day": "INTEGER", "until_day": "INTEGER"})
    return tables


def _columns(activity: Activity, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, kind in activity.columns().items():
        wanted = str if kind == "VARCHAR" else int
        values = [row.get(name) for row in rows]
        if any(value is not None and type(value) is not wanted for value in values):
            raise Malformed(
                REASON_RECORD_INVALID, f"An opened record's {name} is not what {activity.code} has."
            )
        kept = object if wanted is str or None in values else np.int64
        columns[name] = np.array(values, dtype=kept)
    return columns


def _exclude(
    engine: DuckDbEngine, leaves: Sequence[OpenedLeaf], epoch: Epoch, excluded: Mapping[int, Sequence[str]]
) -> None:
    """Say which classes others record for the leaf's slot, in the epoch's own days."""
    pairs = [(number, name) for number, one in enumerate(leaves) for name in excluded.get(one.leaf.slot, ())]
    count = len(pairs)
    columns = {
        "epoch": np.full(count, epoch, dtype=np.int64),
        "person": np.array([number for number, _ in pairs], dtype=np.int64),
        "overlap_class": np.array([name for _, name in pairs], dtype=object),
        "first_day": np.full(count, first_day(epoch), dtype=np.int64),
        "end_day": np.full(count, end_day(epoch), dtype=np.int64),
    }
    schema = dict.fromkeys(columns, "INTEGER") | {"person": "BIGINT", "overlap_class": "VARCHAR"}
    engine.register("exclusions", columns, schema)
