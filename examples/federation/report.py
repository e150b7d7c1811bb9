"""The demo's figures: one summary for machines, one table for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from examples.federation.layout import ENTERPRISES
from examples.federation.operation import Operation
from examples.federation.prepare import RawData
from examples.federation.progress import Progress

Json = dict[str, Any]


def summarise(operation: Operation, raw: RawData, verdicts: Sequence[Json], progress: Progress) -> Json:
    """Collect what the parties say of themselves and what the auditor says of them."""
    nodes = operation.node_figures()
    hub = operation.hub_figures()
    return {
        "enterprises": [enterprise(party.id, nodes[party.id], raw) for party in ENTERPRISES],
        "accounts": hub["accounts"],
        "population": hub["population"],
        "log": verdicts[0]["log"],
        "audit": verdicts[0],
        "seconds": {**progress.seconds, "total": progress.total},
    }


def enterprise(name: str, figures: Json, raw: RawData) -> Json:
    """Give one enterprise's row."""
    return {"id": name, "data": raw.data[name], **figures}


def table(summary: Json) -> Iterator[str]:
    """Give the table line by line."""
    yield str(summary)
