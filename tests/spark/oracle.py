"""The plain-Python evaluation of the world's records, a process a core, put into Parquet to compare with."""

from __future__ import annotations

import math
import multiprocessing
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from accounting.compiler import CompiledPack
from accounting.evaluator import Record, evaluate_record, person_days
from accounting.months import person_months, person_points
from accounting.packs import Pack
from engine.duckdb_engine import DuckDbEngine
from engine.engine import Engine
from tests.spark.world import EPOCH, World, all_packs

PROCESSES = 2

_PARTS = 2
_SCHEMAS = {
    "records": {"place": "INTEGER", "record": "VARCHAR", "value": "BIGINT"},
    "days": {"place": "INTEGER", "person": "BIGINT", "day": "INTEGER", "mg": "BIGINT"},
    "months": {"place": "INTEGER", "person": "BIGINT", "mg": "BIGINT"},
    "points": {"place": "INTEGER", "person": "BIGINT", "points": "BIGINT"},
}


@dataclass(frozen=True, slots=True)
class EvaluatedRecord(Record):
    """A record whose reduction under one pack is asked for in many slices, and evaluated once."""

    pack: Pack
    value: Fraction | None

    def reduction(self, pack: Pack) -> Fraction | None:
        """Give what was evaluated."""
        assert pack is self.pack
        return self.value


def evaluate_world(world: World, folder: Path) -> dict[str, list[Path]]:
    """Evaluate everybody; give files of records, days, months and points."""
    tasks = [(world, code, part, folder) for code in world.codes for part in range(_PARTS)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        list(pool.map(_evaluate, *zip(*tasks, strict=True)))
    return {name: sorted(folder.glob(f"{name}-*.parquet")) for name in _SCHEMAS}


def _evaluate(world: World, code: str, part: int, folder: Path) -> None:
    """Evaluate one part of one activity's persons under every pack of the activity."""
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _SCHEMAS}
    with DuckDbEngine(memory_limit_mb=256, threads=1, temp_dir=folder) as engine:
        packs = [(place, one) for place, one in enumerate(all_packs()) if one.pack.activity.code == code]
        engine.view("records", [world.activities(code)], packs[0][1].pack.activity.columns())
        world.define_persons(engine)
        chosen = f"person % {_PARTS} = {part}"
        names = [one.name for one in packs[0][1].pack.activity.inputs]
        stored = engine.rows(f"SELECT * FROM records WHERE {chosen}")
        contracts = {row[0]: (row[1], row[2]) for row in engine.rows("SELECT * FROM persons")}
        for place, one in packs:
            records = list(_records(one, names, stored))
            rows["records"] += _values(place, one, records)
            if not one.own_history:
                found = person_days(one.pack, (record for _, record in records))
                rows["days"] += [(place, *key, mg) for key, mg in found.items()]
            by_person: defaultdict[int, list[Record]] = defaultdict(list)
            for _, record in records:
                by_person[record.person].append(record)
            for own in by_person.values():
                months = person_months(one.pack, own, contracts, EPOCH)
                rows["months"] += [(place, *pair) for pair in months.items()]
                if one.pack.tariff is not None:
                    points = person_points(one.pack, own, contracts, EPOCH)
                    rows["points"] += [(place, *pair) for pair in points.items()]
        for name, schema in _SCHEMAS.items():
            _write(engine, rows[name], schema, folder / f"{name}-{code}-{part}.parquet")


def _records(
    one: CompiledPack, names: Sequence[str], stored: Iterable[tuple[Any, ...]]
) -> Iterable[tuple[str, EvaluatedRecord]]:
    """Give the records that have all inputs the pack reads, each evaluated once."""
    for record, person, day, region, *values in stored:
        inputs = dict(zip(names, values, strict=True))
        if all(inputs[name] is not None for name in one.pack.inputs):
            value = evaluate_record(one.pack, inputs, day, region)
            yield record, EvaluatedRecord(person, day, region, inputs, one.pack, value)


def _values(
    place: int, one: CompiledPack, records: Iterable[tuple[str, EvaluatedRecord]]
) -> Iterable[tuple[int, str, int]]:
    for name, record in records:
        if record.value is not None:
            steps = record.value / one.milligrams_per_step
            assert steps.denominator == 1
            yield place, name, math.floor(steps)


def _write(engine: Engine, rows: list[tuple[Any, ...]], schema: dict[str, str], path: Path) -> None:
    columns = {
        name: np.array([row[index] for row in rows], dtype=object if kind == "VARCHAR" else np.int64)
        for index, (name, kind) in enumerate(schema.items())
    }
    engine.register("answers", columns, schema)
    engine.write_parquet("SELECT * FROM answers", path)
