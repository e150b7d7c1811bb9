"""Population totals recomputed from released cells, with 95 % intervals from the noise they claim."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import Any

from auditor.findings import Check, Results
from auditor.replay import Replay
from privacy.laplace import interval_halfwidth, sigma_upper
from privacy.policy import Policy
from privacy.populations import Population, Total, population
from protos.epochs import Epoch, format_epoch
from protos.v1.release_pb2 import TABLE_KIND_COUNT, TABLE_KIND_SUM, Release

CONFIDENCE = 0.95

_KINDS = {"grams": TABLE_KIND_SUM, "persons": TABLE_KIND_COUNT}


def check_population(replayed: Replay, results: Results) -> dict[str, Any]:
    """Add each epoch's cells over enterprises; grams and persons, with half-widths."""
    by_epoch: dict[Epoch, list[tuple[Policy, Release]]] = defaultdict(list)
    for released in replayed.releases:
        message = released.message
        results[Check.POPULATION].examined += sum(len(table.values) for table in message.tables)
        by_epoch[Epoch(message.epoch)].append((replayed.state.policy_by_hash(message.policy_hash), message))
    return {
        format_epoch(epoch): {what: _figures(population(releases, kind)) for what, kind in _KINDS.items()}
        for epoch, releases in sorted(by_epoch.items())
    }


def _figures(found: Population) -> dict[str, Any]:
    return {
        **_told(found.total),
        "domains": {domain: _told(total) for domain, total in sorted(found.domains.items())},
        "regions": {region: _told(total) for region, total in sorted(found.regions.items())},
        "methodologies": {pack_id: _told(total) for pack_id, total in sorted(found.methodologies.items())},
    }


def _told(total: Total) -> dict[str, int]:
    return {
        "total": total.value,
        "standard_deviation": sigma_upper(total.scales),
        "halfwidth_95": _halfwidth(tuple(sorted(total.scales))),
    }


@lru_cache(maxsize=256)
def _halfwidth(scales: tuple[int, ...]) -> int:
    """Give the half-width of a sum of noises; epochs of one policy have the same."""
    return interval_halfwidth(scales, CONFIDENCE)
