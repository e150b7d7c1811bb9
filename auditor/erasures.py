"""Erasures held against their orders: empty are the rows that signed orders name, and links follow.

A row emptied without an order hides a person from the fold; a row still there after one breaks a promise.
"""

from __future__ import annotations

from typing import Any

from auditor.findings import Check, Result, Results
from auditor.replay import Replay
from privacy import envelope
from privacy.chunks import HALF_BYTES
from privacy.envelope import Kind
from protos.problems import Problem

_NAMED_MAX = 8


def check_erasures(replayed: Replay, results: Results) -> dict[str, Any]:
    """Compare empty rows with orders, links with rosters; give the orders counted."""
    result = results[Check.ERASURES]
    if replayed.state.unchecked:
        result.unchecked.append("not all bodies are at hand")
        return _counted(replayed)
    for enterprise_id, rows in sorted(replayed.pseudonyms.items()):
        result.examined += len(rows) // HALF_BYTES
        _compare_rows(replayed, enterprise_id, rows, result)
    if replayed.state.erasures or replayed.links_erased:
        _compare_links(replayed, result)
    return _counted(replayed)


def is_erasure(data: bytes) -> bool:
    """Say whether an entry claims to be an erasure order."""
    try:
        return envelope.open_envelope(data).kind in (Kind.ERASURE_ORDER, Kind.HUB_ERASURE_ORDER)
    except Problem:
        return False


def _counted(replayed: Replay) -> dict[str, Any]:
    slots: dict[str, int] = {}
    for order in replayed.state.erasures:
        slots[order.enterprise_id] = slots.get(order.enterprise_id, 0) + len(order.slots)
    return {"orders": len(replayed.state.erasures), "slots": slots}


def _compare_rows(replayed: Replay, enterprise_id: str, rows: bytearray, result: Result) -> None:
    ordered = replayed.state.erased_slots(enterprise_id)
    empty = replayed.erased.get(enterprise_id, set[int]())
    if unordered := sorted(empty - ordered):
        result.find(enterprise_id, f"Slots {_named(unordered)} are empty; no signed order says so.")
    if kept := sorted(ordered - empty):
        result.find(
            enterprise_id, f"Slots {_named(kept)} were ordered to be erased; their openings are still there."
        )


def _compare_links(replayed: Replay, result: Result) -> None:
    """Every link left names a pseudonym of some slot."""
    linked = replayed.state.linked
    named = {
        bytes(rows[at : at + HALF_BYTES])
        for rows in replayed.pseudonyms.values()
        for at in range(0, len(rows), HALF_BYTES)
    }
    if kept := len(linked.keys() - named):
        result.find(
            "links", f"{kept} links name pseudonyms that no slot has any more: they were to be erased."
        )


def _named(slots: list[int]) -> str:
    text = ", ".join(map(str, slots[:_NAMED_MAX]))
    return text + (f" and {len(slots) - _NAMED_MAX} more" if len(slots) > _NAMED_MAX else "")
