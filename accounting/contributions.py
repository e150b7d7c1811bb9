"""What a person contributes to an epoch's release: a statement's grams and a histogram's clamped cells, as SQL.

Relations: `activities` maps an activity code to a table or view; `persons` is (person, since_day, until_day); the
statement has one row for each of its persons, zeros included. `pooled` holds the persons (column person) who let
their reductions be pooled; `exclusions` (person, overlap_class) what another enterprise records for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from accounting.compiler import CompiledPack, Reach
from protos.epochs import Epoch

REGION_DOMAIN = "region_domain"
DOMAIN_METHODOLOGY_POOLED = "domain_methodology_pooled"
COUNT_CELLS_MAX = 4


@dataclass(frozen=True, slots=True)
class Relations:
    """Names of the tables or views the SQL reads."""

    activities: Mapping[str, str]
    persons: str
    exclusions: str | None = None
    pooled: str | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """One statement series: packs of one kind, either clamped by day (D grams) or own-history (D = 0)."""

    id: str
    packs: tuple[CompiledPack, ...]
    day_clamp_grams: int
    reach: Reach


@dataclass(frozen=True, slots=True)
class Histogram:
    """The cells an epoch's histogram has, row-major, and how far one person-month can move them."""

    packs: tuple[CompiledPack, ...]
    pack_order: tuple[str, ...]
    regions: tuple[str, ...]
    domains: tuple[str, ...]
    month_clamp_grams: int
    sum_reach_grams: int
    count_reach: int

    def cells(self, table_id: str) -> int:
        """Count a table's cells: regions x domains, or packs x (not pooled, pooled)."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class CellTable:
    """One table's exact cells, zeros included: grams and persons by cell index."""

    grams: tuple[int, ...]
    persons: tuple[int, ...]


def plan_measure(measure_id: str, packs: Sequence[CompiledPack], day_clamp_grams: int) -> Measure:
    """Put a measure together with its reach; PACK_INVALID on a mix of kinds or a footprint pack."""
    raise NotImplementedError


def plan_histogram(
    packs: Sequence[CompiledPack],
    *,
    pack_order: Sequence[str],
    regions: Sequence[str],
    domains: Sequence[str],
    month_clamp_grams: int,
) -> Histogram:
    """Put the histogram together: `packs` are the enterprise's own, the orders are the policy's."""
    raise NotImplementedError


def statement_sql(measure: Measure, relations: Relations, epoch: Epoch) -> str:
    """Give (person, grams), one row for each person of `persons`."""
    raise NotImplementedError


def statement_loss_sql(measure: Measure, relations: Relations, epoch: Epoch) -> str:
    """Give one row (persons_clamped, days_clamped, lost_mg, insufficient_history): local figures only."""
    raise NotImplementedError


def histogram_sql(histogram: Histogram, relations: Relations, epoch: Epoch) -> str:
    """Give (table_id, cell, grams, persons) after the person-month clamp, cells without anybody left out."""
    raise NotImplementedError


def histogram_loss_sql(histogram: Histogram, relations: Relations, epoch: Epoch) -> str:
    """Give (table_id, persons_clamped, lost_mg, persons_without_region): local figures only."""
    raise NotImplementedError


def dense_tables(histogram: Histogram, rows: Iterable[tuple[str, int, int, int]]) -> dict[str, CellTable]:
    """Fill histogram_sql's rows up to all public cells."""
    raise NotImplementedError


def reductions_sql(packs: Sequence[CompiledPack], relations: Relations, first_day: int, end_day: int) -> str:
    """Give (person, day, pack_id, version, mg, records), exact, for local use; no own-history kinds."""
    raise NotImplementedError


def person_totals_sql(packs: Sequence[CompiledPack], relations: Relations, epoch: Epoch) -> str:
    """Give (person, pack_id, version, mg, records) of the month, exact and unclamped, all kinds, for local use."""
    raise NotImplementedError
