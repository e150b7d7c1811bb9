"""Packs over activities: exact milligrams per person-day, and what releases are made from.

Everything here is exact and stays in the node; noise is added by whoever makes a release. A session sums the
person-days of an epoch once, into a table for each pack, of which statements, cells, losses and totals are
made; it sums them again when activities, contracts or packs have changed.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from accounting.contributions import (
    CellTable,
    Measure,
    Relations,
    dense_tables,
    histogram_loss_sql,
    histogram_months_sql,
    histogram_sql,
    person_totals_sql,
    plan_histogram,
    plan_measure,
    statement_loss_sql,
    statement_sql,
)
from accounting.packs import Purpose
from accounting.periods import PeriodMeasure, period_statement_sql, plan_period
from accounting.tariffs import plan_points, points_month_sql, points_statement_sql
from enterprise_node.relations import LiveRelations
from privacy.series import MeasureKind
from protos.epochs import Epoch, format_epoch, parse_epoch
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_PACK_UNKNOWN
from runtime.configuration import write_atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accounting.compiler import CompiledPack
    from accounting.histograms import Histogram as HistogramPlan
    from engine.engine import Engine
    from enterprise_node.activities import Activities
    from enterprise_node.persons import Persons
    from enterprise_node.relations import PersonNumbers
    from enterprise_node.store.selections import SelectionTable

_CELL_MONTHS = "cell_months"
_MONTHS = "person_months"
_MONTHS_FILE = "person_months.parquet"
_INPUTS_FILE = "inputs.json"


@dataclass(frozen=True, slots=True)
class MeasureSpec:
    """One series of statements as the policy names it: packs to sum, clamp of a unit (0: none)."""

    id: str
    pack_ids: tuple[str, ...]
    day_clamp_grams: int
    kind: MeasureKind = MeasureKind.DAY


@dataclass(frozen=True, slots=True)
class HistogramSpec:
    """The public cells, this enterprise's packs among the policy's, the clamp of a person-month's vector."""

    regions: tuple[str, ...]
    domains: tuple[str, ...]
    pack_order: tuple[str, ...]
    pack_ids: tuple[str, ...]
    month_clamp_grams: int


class Vector(NamedTuple):
    """Grams of every known person in the epoch, persons ascending, zeros included."""

    persons: NDArray[np.int64]
    grams: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Losses:
    """What clamping took away, known only here: persons and days (0 in histograms) touched, mass in mg."""

    persons: int
    days: int
    mg: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Exact clamped cells of one table, row-major over its public keys: grams and persons."""

    table_id: str
    sums: NDArray[np.int64]
    counts: NDArray[np.int64]


class Reductions:
    """Runs the node's packs over its activities."""

    def __init__(
        self,
        home: Path,
        engine: Engine,
        activities: Activities,
        persons: Persons,
        packs: Mapping[str, CompiledPack],
        selections: SelectionTable,
    ) -> None:
        self._home = home
        self._engine = engine
        self._packs = packs
        self._relations = LiveRelations(engine, activities, persons, packs, selections)
        # What the session's tables of person-days are made of, and the regions they tell.
        self._days_of: tuple[Epoch, str] | None = None
        self._days_regions: tuple[str, ...] = ()

    @property
    def engine(self) -> Engine:
        """Give the engine this runs on, where `views` and `reckoned` name tables."""
        return self._engine

    @property
    def packs(self) -> Mapping[str, CompiledPack]:
        """Give the compiled packs this node runs, by id."""
        return self._packs

    def measure(self, spec: MeasureSpec) -> Measure:
        """Put a measure together with its reach; raises Refused PACK_UNKNOWN for a pack this node lacks."""
        return plan_measure(spec.id, self._chosen(spec.pack_ids), spec.day_clamp_grams)

    def reach(self, spec: MeasureSpec) -> tuple[tuple[int, int], ...]:
        """Give how far one unit moves a measure, in grams (points), by months after its own.

        Raises what planning it does.
        """
        match spec.kind:
            case MeasureKind.POINTS:
                return plan_points(spec.id, self._chosen(spec.pack_ids)).reach.parts
            case MeasureKind.PERIOD:
                return self._period(spec).reach.parts
            case MeasureKind.DAY:
                return self.measure(spec).reach.parts

    def grams(self, spec: MeasureSpec) -> Measure | PeriodMeasure:
        """Put a measure in grams together, of whichever kind."""
        return self._period(spec) if spec.kind is MeasureKind.PERIOD else self.measure(spec)

    def _period(self, spec: MeasureSpec) -> PeriodMeasure:
        return plan_period(spec.id, self._chosen(spec.pack_ids), spec.day_clamp_grams)

    def _statement_sql(self, spec: MeasureSpec, epoch: Epoch, relations: Relations, late: str | None) -> str:
        """Give (person, grams) of a measure; points stand where grams do."""
        match spec.kind:
            case MeasureKind.POINTS:
                planned = plan_points(spec.id, self._chosen(spec.pack_ids))
                points = points_statement_sql(planned, relations, epoch)
                return f"SELECT person, points AS grams FROM ({points}) AS p"
            case MeasureKind.PERIOD:
                return period_statement_sql(self._period(spec), relations, epoch)
            case MeasureKind.DAY:
                return statement_sql(self.measure(spec), relations, epoch, late)

    def histogram_plan(self, spec: HistogramSpec) -> HistogramPlan:
        """Put the histogram together with the reach of its tables."""
        return plan_histogram(
            self._chosen(spec.pack_ids),
            pack_order=spec.pack_order,
            regions=spec.regions,
            domains=spec.domains,
            month_clamp_grams=spec.month_clamp_grams,
        )

    def compute(self, epoch: Epoch) -> None:
        """Make the epoch's file of person-months if its inputs changed."""
        relations, folder = self._relations.current(), self._folder(epoch)
        note = json.dumps({"inputs": self._relations.inputs}).encode()
        if (folder / _INPUTS_FILE).exists() and (folder / _INPUTS_FILE).read_bytes() == note:
            return
        relations = self._reckoned(epoch, relations)
        (folder / _INPUTS_FILE).unlink(missing_ok=True)
        credited = [one for one in self._packs.values() if one.pack.purpose is Purpose.CREDIT]
        months = person_totals_sql(credited, relations, epoch)
        self._engine.write_parquet(f"SELECT * FROM ({months}) AS m", folder / _MONTHS_FILE)
        write_atomic(folder / _INPUTS_FILE, note, mode=0o600)

    def _reckoned(self, epoch: Epoch, relations: Relations, regions: Sequence[str] = ()) -> Relations:
        """Give the relations with the epoch's person-days, summed in this session if they were not.

        With regions the days tell where they were, by a place in this list; a histogram needs that.
        """
        known_regions = self._days_regions if self._days_of == (epoch, self._relations.inputs) else None
        if known_regions is None or (regions and tuple(regions) != known_regions):
            self._folder(epoch).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._days_of = None
            for name, one in self._by_day().items():
                days = relations.days_of(one, epoch, regions)
                self._engine.execute(f"CREATE OR REPLACE TABLE {name} AS {days}")
            self._days_of, self._days_regions = (epoch, self._relations.inputs), tuple(regions)
        return replace(relations, days={(one.pack.id, epoch): name for name, one in self._by_day().items()})

    def _by_day(self) -> dict[str, CompiledPack]:
        """Give the credited packs whose reductions are summed by day, by the table of their days."""
        packs = [one for one in self._packs.values() if one.pack.purpose is Purpose.CREDIT]
        by_day = [one for one in packs if not one.own_history]
        return {f"person_days_{number}": one for number, one in enumerate(by_day)}

    def computed(self) -> list[Epoch]:
        """List the epochs that were reckoned, ascending."""
        return sorted(parse_epoch(folder.name) for folder in (self._home / "reductions").glob("*-*"))

    def statement_vector(self, epoch: Epoch, measure: MeasureSpec, late: str | None = None) -> Vector:
        """Give each person's clamped days of the epoch, summed and floored once to grams.

        `late` names a table (person, day, mg) of the earlier days' parts that are carried.
        """
        sql = self._statement_sql(measure, epoch, self.reckoned(epoch), late)
        columns = self._engine.columns(f"SELECT person, grams FROM ({sql}) AS v ORDER BY person")
        return Vector(columns["person"].astype(np.int64), columns["grams"].astype(np.int64))

    def statement_losses(self, epoch: Epoch, measure: MeasureSpec) -> Losses:
        """Tell what the day clamp took away; of points and period records nothing is told."""
        if measure.kind is not MeasureKind.DAY:
            return Losses(0, 0, 0)
        relations = self.reckoned(epoch)
        [(persons, days, mg, _)] = self._engine.rows(
            statement_loss_sql(self.measure(measure), relations, epoch)
        )
        return Losses(persons, days, mg)

    def histogram(self, epoch: Epoch, spec: HistogramSpec, persons: PersonNumbers) -> list[Histogram]:
        """Give both tables ("region_domain", "domain_methodology_pooled") over these persons, clamped."""
        plan, relations = self.histogram_plan(spec), self._with_cells(epoch, spec, persons)
        rows = self._engine.rows(histogram_sql(plan, relations, epoch, _CELL_MONTHS))
        return [_table(table_id, cells) for table_id, cells in dense_tables(plan, rows).items()]

    def histogram_losses(
        self, epoch: Epoch, spec: HistogramSpec, persons: PersonNumbers
    ) -> dict[str, Losses]:
        """Tell what the person-month clamp took away over these persons, by table."""
        plan, relations = self.histogram_plan(spec), self._with_cells(epoch, spec, persons)
        rows = self._engine.rows(histogram_loss_sql(plan, relations, epoch, _CELL_MONTHS))
        return {row[0]: Losses(persons=row[1], days=0, mg=row[2]) for row in rows}

    def _with_cells(self, epoch: Epoch, spec: HistogramSpec, persons: PersonNumbers) -> Relations:
        """Give the relations of these persons, with the months their cells are made of in a table."""
        relations = self._reckoned(epoch, self._relations.current(persons), spec.regions)
        months = histogram_months_sql(self.histogram_plan(spec), relations, epoch)
        self._engine.execute(f"CREATE OR REPLACE TABLE {_CELL_MONTHS} AS {months}")
        return relations

    def totals(self, epoch: Epoch) -> int:
        """Give the exact total of all credited reductions in the epoch in mg, before any clamp."""
        return sum(self.pack_totals(epoch).values())

    def pack_totals(self, epoch: Epoch) -> dict[str, int]:
        """Give the same total by pack id."""
        self.compute(epoch)
        self._engine.view(_MONTHS, [self._folder(epoch) / _MONTHS_FILE])
        rows = self._engine.rows(
            f"SELECT pack_id, CAST(SUM(mg) AS BIGINT) FROM {_MONTHS} GROUP BY pack_id ORDER BY pack_id"
        )
        return {str(pack_id): int(mg) for pack_id, mg in rows}

    def person_months(self, epoch: Epoch, person: int) -> dict[str, tuple[int, int]]:
        """Give one person's exact mg and number of records in the epoch by pack id, footprints included."""
        totals = person_totals_sql(list(self._packs.values()), self._relations.current(), epoch)
        rows = self._engine.rows(
            f"SELECT pack_id, mg, records FROM ({totals}) AS t WHERE person = {int(person)} ORDER BY pack_id"
        )
        return {str(pack_id): (int(mg), int(records)) for pack_id, mg, records in rows}

    def person_points(self, epoch: Epoch, person: int) -> dict[str, int]:
        """Give one person's exact points in the epoch by pack id, of the packs with a tariff."""
        relations = self._relations.current()
        found = {}
        for pack_id, one in self._packs.items():
            if one.pack.tariff is not None:
                sql = points_month_sql(one, relations.of(one), relations.persons, epoch)
                for _, points in self._engine.rows(
                    f"SELECT * FROM ({sql}) AS p WHERE person = {int(person)}"
                ):
                    found[pack_id] = int(points)
        return found

    def insufficient_history(self, epoch: Epoch, persons: PersonNumbers | None = None) -> int:
        """Count the persons whose contract does not cover what an own-history pack compares."""
        relations = self._relations.current(persons)
        longest = max(
            (one for one in self._packs.values() if one.own_history),
            key=lambda one: one.months_back,
            default=None,
        )
        if longest is None:
            return 0
        sql = longest.ineligible_sql(relations.persons, epoch)
        return int(self._engine.rows(f"SELECT count(*) FROM ({sql}) AS i")[0][0])

    def reckoned(self, epoch: Epoch) -> Relations:
        """Give the same with the epoch's person-days, which this session sums once."""
        return self._reckoned(epoch, self._relations.current())

    def views(self) -> Relations:
        """Give the names of the engine's tables and views over activities and persons, up to date."""
        return self._relations.current()

    def _chosen(self, pack_ids: Sequence[str]) -> list[CompiledPack]:
        missing = [pack_id for pack_id in pack_ids if pack_id not in self._packs]
        if missing:
            raise Refused(
                REASON_PACK_UNKNOWN,
                f"The policy counts {', '.join(missing)}, which this node does not have.",
                remedy="Add the pack's folder to `packs` in node.toml.",
            )
        return [self._packs[pack_id] for pack_id in pack_ids]

    def _folder(self, epoch: Epoch) -> Path:
        return self._home / "reductions" / format_epoch(epoch)


def _table(table_id: str, cells: CellTable) -> Histogram:
    sums, counts = np.array(cells.grams, dtype=np.int64), np.array(cells.persons, dtype=np.int64)
    return Histogram(table_id, sums, counts)
