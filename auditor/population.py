"""Population totals recomputed from released cells, with 95 % intervals from the noise they claim."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import Any

from auditor.findings import Check, Results
from auditor.replay import Replay
from privacy.laplace import interval_halfwidth
from privacy.policy import REGION_DOMAIN
from protos.epochs import Epoch, format_epoch
from protos.v1.release_pb2 import TABLE_KIND_SUM

CONFIDENCE = 0.95


def check_population(replayed: Replay, results: Results) -> dict[str, Any]:
    """Add each epoch's region-by-domain cells over enterprises; grams and persons, with half-widths."""
    totals: dict[int, dict[str, int]] = defaultdict(lambda: {"grams": 0, "persons": 0})
    scales: dict[int, dict[str, list[int]]] = defaultdict(lambda: {"grams": [], "persons": []})
    for released in replayed.releases:
        message = released.message
        for table in message.tables:
            results[Check.POPULATION].examined += len(table.values)
            if table.table_id != REGION_DOMAIN:
                continue
            what = "grams" if table.kind == TABLE_KIND_SUM else "persons"
            totals[message.epoch][what] += sum(table.values)
            scales[message.epoch][what] += [table.claim.scale] * len(table.values)
    return {
        format_epoch(Epoch(epoch)): {
            what: {
                "total": totals[epoch][what],
                "halfwidth_95": _halfwidth(tuple(scales[epoch][what])),
            }
            for what in ("grams", "persons")
        }
        for epoch in sorted(totals)
    }


@lru_cache(maxsize=256)
def _halfwidth(scales: tuple[int, ...]) -> int:
    """Give the half-width of a sum of noises; epochs of one policy have the same."""
    return interval_halfwidth(scales, CONFIDENCE)
