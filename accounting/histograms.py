"""A person-month's clamped vector of cells, as SQL: region x domain, and methodology x pooled or not.

A person is in an epoch's histogram only with a record of that month, in the region of the latest of them.
Cells are limited to 1,000 tonnes a person-month first, so that the proportional clamp stays below 2^63.
"""

# ruff: noqa: S608  (SQL is what this module makes; every word in it passed `literal` or a checked pattern)

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from accounting.compiler import CompiledPack
from accounting.documents import is_word
from accounting.packs import Purpose
from accounting.quantities import MG_PER_GRAM
from accounting.reach import histogram_reach
from accounting.relations import Relations, invalid_plan
from accounting.terms import bounded
from protos.epochs import Epoch

REGION_DOMAIN = "region_domain"
DOMAIN_METHODOLOGY_POOLED = "domain_methodology_pooled"
TABLES = (REGION_DOMAIN, DOMAIN_METHODOLOGY_POOLED)
COUNT_CELLS_MAX = 4
CELL_MG_MAX = 10**12
CLAMP_GRAMS_MAX = 4_000_000


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
    # Of the sums' reach, what falls on later months' histograms: (months after, grams).
    sum_later: tuple[tuple[int, int], ...] = ()

    def cells(self, table_id: str) -> int:
        """Count a table's cells: regions x domains, or packs x (not pooled, pooled)."""
        if table_id == REGION_DOMAIN:
            return len(self.regions) * len(self.domains)
        return len(self.pack_order) * 2


@dataclass(frozen=True, slots=True)
class CellTable:
    """One table's exact cells, zeros included: grams and persons by cell index."""

    grams: tuple[int, ...]
    persons: tuple[int, ...]


def plan_histogram(
    packs: Sequence[CompiledPack],
    *,
    pack_order: Sequence[str],
    regions: Sequence[str],
    domains: Sequence[str],
    month_clamp_grams: int,
) -> Histogram:
    """Put the histogram together: `packs` are the enterprise's own, the orders are the policy's."""
    for name, words in (("regions", regions), ("domains", domains), ("packs", pack_order)):
        if not words or len(set(words)) < len(words) or not all(map(is_word, words)):
            raise invalid_plan(
                "histogram", f"its {name} are empty, repeated or no keys", "Correct the policy."
            )
    # A footprint is no credit and has no cell.
    credits = tuple(one for one in packs if one.pack.purpose is Purpose.CREDIT)
    for one in credits:
        if one.pack.id not in pack_order or one.pack.domain not in domains:
            raise invalid_plan("histogram", f"pack {one.pack.id} or its domain is not in the policy's lists")
    if month_clamp_grams > CLAMP_GRAMS_MAX:
        raise invalid_plan("histogram", f"its month clamp is above {CLAMP_GRAMS_MAX} g")
    bounded(
        sum(one.month_bounds_mg[0] for one in credits),
        sum(one.month_bounds_mg[1] for one in credits),
        "a person's month",
    )
    reach = histogram_reach(credits, month_clamp_grams)
    return Histogram(
        credits,
        tuple(pack_order),
        tuple(regions),
        tuple(domains),
        month_clamp_grams,
        sum_reach_grams=reach.grams,
        count_reach=COUNT_CELLS_MAX,
        sum_later=reach.later,
    )


def histogram_months_sql(histogram: Histogram, relations: Relations, epoch: Epoch) -> str:
    """Give (person, pack, domain, mg, code): the months all cells are made of, read several times."""
    parts = [_pack_month(histogram, one, relations, epoch) for one in histogram.packs] or [_NOBODY]
    return " UNION ALL ".join(parts)


def histogram_sql(histogram: Histogram, relations: Relations, epoch: Epoch, months: str | None = None) -> str:
    """Give (table_id, cell, grams, persons) after the person-month clamp, cells without anybody left out.

    `months` names a table of `histogram_months_sql`.
    """
    clamp = histogram.month_clamp_grams
    whole = _truncated("c.mg", str(MG_PER_GRAM))
    part = _truncated(f"(c.mg * {clamp})", "c.norm")
    grams = f"CASE WHEN c.norm <= {clamp * MG_PER_GRAM} THEN {whole} ELSE {part} END"
    rank = "ROW_NUMBER() OVER (PARTITION BY c.tab, c.person ORDER BY c.cell)"
    counted = "1" if len(histogram.packs) <= COUNT_CELLS_MAX else f"CASE WHEN {rank} <= 4 THEN 1 ELSE 0 END"
    clamped = f"SELECT c.tab, c.cell, {grams} AS grams, {counted} AS counted FROM cells AS c"
    return (
        f"{_cells(histogram, relations, epoch, months)} SELECT {_names('tab')} AS table_id, "
        "CAST(cell AS INTEGER) AS cell, CAST(SUM(grams) AS BIGINT) AS grams, "
        "CAST(SUM(counted) AS BIGINT) AS persons "
        f"FROM ({clamped}) AS t GROUP BY tab, cell ORDER BY tab, cell"
    )


def histogram_loss_sql(
    histogram: Histogram, relations: Relations, epoch: Epoch, months: str | None = None
) -> str:
    """Give (table_id, persons_clamped, lost_mg, persons_without_region) by table: local figures only."""
    limit = histogram.month_clamp_grams * MG_PER_GRAM
    without = "(SELECT COUNT(DISTINCT person) FROM methods WHERE code IS NULL)"
    clamped = f"SELECT DISTINCT tab, person, norm FROM cells WHERE norm > {limit}"
    return (
        f"{_cells(histogram, relations, epoch, months)} "
        f"SELECT {_names('k.tab')} AS table_id, "
        "CAST(COUNT(n.person) AS BIGINT) AS persons_clamped, "
        f"CAST(COALESCE(SUM(n.norm - {limit}), 0) AS BIGINT) AS lost_mg, "
        f"CAST(CASE WHEN k.tab = 0 THEN {without} ELSE 0 END AS BIGINT) AS persons_without_region "
        f"FROM (VALUES (0), (1)) AS k(tab) LEFT JOIN ({clamped}) AS n ON n.tab = k.tab "
        "GROUP BY k.tab ORDER BY k.tab"
    )


def _truncated(sql: str, divisor: str) -> str:
    return f"CASE WHEN c.mg >= 0 THEN {sql} // {divisor} ELSE -(-{sql} // {divisor}) END"


def _cells(histogram: Histogram, relations: Relations, epoch: Epoch, months: str | None) -> str:
    """Give the WITH clause up to cells (tab, person, cell, mg, norm): each person's vector and its L1.

    A person has one row a pack, and so one cell a pack in the second table. It is one cell a domain in the
    first where no two packs share a domain; else their months are added up before.
    """
    raw = f"SELECT * FROM {months}" if months else histogram_months_sql(histogram, relations, epoch)
    regions, domains = len(histogram.regions), len(histogram.domains)
    consenting = f"SELECT person FROM {relations.pooled} WHERE epoch = {int(epoch)}"
    pooled = f"CASE WHEN m.person IN ({consenting}) THEN 1 ELSE 0 END"
    place = f"({regions - 1} - m.code % {regions}) * {domains} + m.domain"
    method = f"m.pack * 2 + {pooled if relations.pooled else '0'}"
    clauses = [
        f"raw AS ({raw})",
        f"months AS (SELECT person, pack, domain, {_limited('mg')} AS mg, code FROM raw)",
        f"methods AS ({_vectors('months', histogram)})",
    ]
    placed = "methods"
    if len({one.pack.domain for one in histogram.packs}) < len(histogram.packs):
        summed = _limited("CAST(SUM(mg) AS BIGINT)")
        placed = "places"
        clauses += [
            f"shared AS (SELECT person, 0 AS pack, domain, {summed} AS mg, MAX(code) AS code FROM raw "
            "GROUP BY person, domain)",
            f"places AS ({_vectors('shared', histogram)})",
        ]
    first = f"SELECT 0 AS tab, m.person, {place} AS cell, m.mg, m.norm FROM {placed} AS m"
    second = f"SELECT 1 AS tab, m.person, {method} AS cell, m.mg, m.norm FROM methods AS m"
    clauses.append(f"cells AS ({first} WHERE m.code IS NOT NULL UNION ALL {second})")
    return f"WITH {', '.join(clauses)}"


def _vectors(rows: str, histogram: Histogram) -> str:
    """Give (person, pack, domain, mg, code, norm): to each row its person's region code and L1."""
    if len(histogram.packs) <= 1:
        return f"SELECT person, pack, domain, mg, code, ABS(mg) AS norm FROM {rows}"
    return (
        "SELECT r.person, r.pack, r.domain, r.mg, q.code, q.norm "
        f"FROM {rows} AS r JOIN (SELECT person, MAX(code) AS code, CAST(SUM(ABS(mg)) AS BIGINT) AS norm "
        f"FROM {rows} GROUP BY person) AS q ON r.person = q.person"
    )


def _limited(mg: str) -> str:
    """Bound a cell: times the clamp it must stay below 2^63, and 10^12 * 4 * 10^6 does."""
    return f"LEAST(GREATEST({mg}, -{CELL_MG_MAX}), {CELL_MG_MAX})"


_NOBODY = (
    "SELECT CAST(0 AS BIGINT) AS person, 0 AS pack, 0 AS domain, CAST(0 AS BIGINT) AS mg, "
    "CAST(NULL AS BIGINT) AS code WHERE 1 = 0"
)


def _pack_month(histogram: Histogram, one: CompiledPack, relations: Relations, epoch: Epoch) -> str:
    month = relations.months_of(one, epoch, histogram.regions)
    # Without own history there are rows of persons with records alone, and nobody needs their count.
    active = "x.records > 0" if one.own_history else "1 = 1"
    pack, domain = histogram.pack_order.index(one.pack.id), histogram.domains.index(one.pack.domain)
    return (
        f"SELECT x.person, {pack} AS pack, {domain} AS domain, x.mg, CAST(x.region_code AS BIGINT) AS code "
        f"FROM ({month}) AS x JOIN {relations.persons} AS o ON x.person = o.person "
        f"WHERE {active} AND {relations.included(one, 'x', epoch)}"
    )


def dense_tables(histogram: Histogram, rows: Iterable[tuple[str, int, int, int]]) -> dict[str, CellTable]:
    """Fill histogram_sql's rows up to all public cells."""
    grams = {table_id: [0] * histogram.cells(table_id) for table_id in TABLES}
    persons = {table_id: [0] * histogram.cells(table_id) for table_id in TABLES}
    for table_id, cell, cell_grams, cell_persons in rows:
        grams[table_id][cell] = int(cell_grams)
        persons[table_id][cell] = int(cell_persons)
    return {table_id: CellTable(tuple(grams[table_id]), tuple(persons[table_id])) for table_id in TABLES}


def _names(column: str) -> str:
    return f"CASE WHEN {column} = 0 THEN '{REGION_DOMAIN}' ELSE '{DOMAIN_METHODOLOGY_POOLED}' END"
