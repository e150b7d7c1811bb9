"""Population totals: released cells added over enterprises, by one rule at hub and auditor.

An enterprise's cells of a domain or methodology that none of its measures can feed are zero by the signed
policy alone; they hold noise and nothing else, so no total takes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from privacy.policy import DOMAIN_METHODOLOGY_POOLED, POOLED, REGION_DOMAIN, Policy, table_keys
from protos.v1 import release_pb2
from protos.v1.release_pb2 import TABLE_KIND_SUM, TableKind


@dataclass(slots=True)
class Total:
    """Cells added up (grams, or persons for counts), and the scales of the noises in them."""

    value: int = 0
    scales: list[int] = field(default_factory=list)

    def add(self, value: int, scale: int) -> None:
        """Add one cell."""
        self.value += value
        self.scales.append(scale)


@dataclass(slots=True)
class Population:
    """One epoch's totals: over everything, by domain, region, both, and methodology (pack id)."""

    total: Total = field(default_factory=Total)
    domains: dict[str, Total] = field(default_factory=lambda: defaultdict(Total))
    regions: dict[str, Total] = field(default_factory=lambda: defaultdict(Total))
    methodologies: dict[str, Total] = field(default_factory=lambda: defaultdict(Total))
    cells: dict[tuple[str, str], Total] = field(default_factory=lambda: defaultdict(Total))


def population(
    releases: Iterable[tuple[Policy, release_pb2.Release]], kind: TableKind.ValueType = TABLE_KIND_SUM
) -> Population:
    """Add the cells of one epoch's releases, each with the policy it was made under."""
    result = Population()
    for policy, release in releases:
        for (region, domain), value, scale in live_cells(policy, release, REGION_DOMAIN, kind):
            levels = (result.total, result.domains[domain], result.regions[region])
            for one in (*levels, result.cells[region, domain]):
                one.add(value, scale)
        for (pack_id, _), value, scale in live_cells(policy, release, DOMAIN_METHODOLOGY_POOLED, kind):
            result.methodologies[pack_id].add(value, scale)
    return result


def pooled(
    releases: Iterable[tuple[Policy, release_pb2.Release]],
    *,
    enterprises: Collection[str],
    pack_ids: Collection[str],
) -> Total:
    """Add the pooled cells of these packs over these enterprises' releases, of any number of epochs."""
    total = Total()
    for policy, release in releases:
        if release.header.issuer not in enterprises:
            continue
        cells = live_cells(policy, release, DOMAIN_METHODOLOGY_POOLED, TABLE_KIND_SUM)
        for (pack_id, is_pooled), value, scale in cells:
            if pack_id in pack_ids and is_pooled == POOLED:
                total.add(value, scale)
    return total


def live_cells(
    policy: Policy, release: release_pb2.Release, table_id: str, kind: TableKind.ValueType
) -> Iterator[tuple[tuple[str, str], int, int]]:
    """Give key, value and noise scale of the cells that the enterprise's measures can feed."""
    pack_ids = set(policy.enterprise(release.header.issuer).credited_pack_ids)
    domains = {pack.domain for pack in policy.packs if pack.id in pack_ids}
    for table in release.tables:
        if (table.table_id, table.kind) != (table_id, kind):
            continue
        for key, value in zip(table_keys(policy, table_id), table.values, strict=True):
            is_live = key[1] in domains if table_id == REGION_DOMAIN else key[0] in pack_ids
            if is_live:
                yield key, value, table.claim.scale
