"""A pack tried on real records: exact grams and points, keys without a factor, and what its caps cut."""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accounting.compiler import prove_pack
from accounting.packs import CapPer, Pack
from accounting.quantities import MG_PER_GRAM
from accounting.tariffs import points_month_sql
from enterprise_node.sql_text import literal, quoted
from protos.epochs import Epoch, end_day, epoch_of, first_day, next_epoch
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID

if TYPE_CHECKING:
    from accounting.activities import Activity
    from accounting.compiler import CompiledPack
    from engine.engine import Engine

MONTHS_MAX = 120


def _file(data: Path, activity: Activity) -> str:
    """Name a file of activities as SQL; types are declared, never guessed."""
    if data.suffix != ".csv":
        return f"read_parquet({literal(data)})"
    types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in activity.columns().items())
    return f"read_csv({literal(data)}, header = true, columns = {{{types}}})"


@contextmanager
def records_of(data: Path, activity: Activity) -> Iterator[tuple[Engine, str, str]]:
    """Give an engine, the activity's records and the persons: a home's own, or everybody as always there."""
    if data.is_dir():
        from enterprise_node.store.outward import SCHEMAS
        from enterprise_node.workspace import open_workspace

        workspace = open_workspace(data, schemas=SCHEMAS)
        try:
            views = workspace.lookups.views()
            name = views.activities.get(activity.code)
            if name is None:
                workspace.engine.view("acts", [], activity.columns())
            yield workspace.engine, name or "acts", views.persons
        finally:
            workspace.close()
        return
    from engine.duckdb_engine import DuckDbEngine

    with DuckDbEngine(memory_limit_mb=1024, threads=2) as engine:
        names = ", ".join(map(quoted, activity.columns()))
        engine.execute(f"CREATE TABLE acts AS SELECT {names} FROM {_file(data, activity)}")
        engine.execute(
            "CREATE TABLE persons AS SELECT DISTINCT person, CAST(-100000 AS INTEGER) AS since_day, "
            "CAST(NULL AS INTEGER) AS until_day FROM acts"
        )
        yield engine, "acts", "persons"


@dataclass(frozen=True, slots=True)
class Tested:
    """What one pack makes of real records: exact mg and points, and what each kind of cap took away."""

    pack: Pack
    records: int
    persons: int
    milligrams: int
    points: int | None
    unmatched: int
    capped: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Say it to programs."""
        return {
            "pack": self.pack.id,
            "version": self.pack.version,
            "records": self.records,
            "persons": self.persons,
            "milligrams": self.milligrams,
            "grams": self.milligrams // MG_PER_GRAM,
            "points": self.points,
            "unmatched": self.unmatched,
            "caps": {per: {"hit": hit, "lost_mg": lost} for per, (hit, lost) in self.capped.items()},
        }

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        name = f"{self.pack.id} version {self.pack.version}"
        counted = f"{self.persons:,} persons 人, {self.records:,} records 条"
        yield f"{name}: {self.milligrams // MG_PER_GRAM:,} g, {counted}"
        if self.points is not None:
            yield f"  points 积分: {self.points:,}"
        if self.unmatched:
            yield f"  keys without a factor 无因子记录: {self.unmatched:,}"
        for per, (hit, lost) in self.capped.items():
            yield f"  cap per {per} 上限: {hit:,} hit 次, {lost // MG_PER_GRAM:,} g cut 扣减"


def try_pack(engine: Engine, pack: Pack, activities: str, persons: str) -> Tested:
    """Run a pack over a relation of its activity's columns; persons is as statements read it."""
    compiled = prove_pack(pack)
    [(low, high)] = engine.rows(f"SELECT MIN(day), MAX(day) FROM {activities}")
    if low is None:
        return Tested(pack, 0, 0, 0, None, 0)
    months = _months(int(low), int(high))
    begin, end = first_day(months[0]), end_day(months[-1])
    totals = [engine.rows(_totals_sql(compiled, activities, persons, month)) for month in months]
    people = {int(row[0]) for rows in totals for row in rows}
    points = None
    if pack.tariff is not None:
        sums = [points_month_sql(compiled, activities, persons, month) for month in months]
        points = sum(int(row[1]) for sql in sums for row in engine.rows(sql))
    [(unmatched,)] = engine.rows(
        f"SELECT COUNT(*) FROM ({compiled.unmatched_sql(activities, begin, end)}) AS u"
    )
    return Tested(
        pack,
        records=sum(int(row[2]) for rows in totals for row in rows),
        persons=len(people),
        milligrams=sum(int(row[1]) for rows in totals for row in rows),
        points=points,
        unmatched=int(unmatched),
        capped=_caps_hit(engine, compiled, activities, persons, months),
    )


def _months(low: int, high: int) -> list[Epoch]:
    months = [epoch_of(low)]
    while months[-1] < epoch_of(high):
        months.append(next_epoch(months[-1]))
    if len(months) > MONTHS_MAX:
        raise Malformed(
            REASON_PACK_INVALID,
            f"The records lie over {len(months)} months.",
            remedy=f"Give at most {MONTHS_MAX} months of them.",
        )
    return months


def _totals_sql(compiled: CompiledPack, activities: str, persons: str, month: Epoch) -> str:
    months = compiled.person_month_sql(activities, persons, month)
    return f"SELECT person, mg, records FROM ({months}) AS m WHERE records > 0"


def _caps_hit(
    engine: Engine, compiled: CompiledPack, activities: str, persons: str, months: list[Epoch]
) -> dict[str, tuple[int, int]]:
    """Count by kind of cap the person-days (months) it lowered, and by how much."""
    pack = compiled.pack
    found = {}
    for per in CapPer:
        if not any(cap.per is per for cap in pack.caps):
            continue
        without = prove_pack(
            pack.model_copy(update={"caps": tuple(one for one in pack.caps if one.per is not per)})
        )
        hit = lost = 0
        for month in months:
            both = [_by_unit(one, per, activities, persons, month) for one in (without, compiled)]
            sql = (
                "SELECT COUNT(*), COALESCE(CAST(SUM(a.mg - b.mg) AS BIGINT), 0) "
                f"FROM ({both[0]}) AS a JOIN ({both[1]}) AS b ON a.person = b.person AND a.day = b.day "
                "WHERE a.mg > b.mg"
            )
            [(count, mg)] = engine.rows(sql)
            hit, lost = hit + int(count), lost + int(mg)
        found[per.value] = (hit, lost)
    return found


def _by_unit(one: CompiledPack, per: CapPer, activities: str, persons: str, month: Epoch) -> str:
    if per is CapPer.MONTH:
        return f"SELECT person, 0 AS day, mg FROM ({one.person_month_sql(activities, persons, month)}) AS m"
    return one.person_day_sql(activities, None, first_day(month), end_day(month))
