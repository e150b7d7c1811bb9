"""Programmes the tests read, as the documents TOML gives; each test changes what it is about."""

from __future__ import annotations

from typing import Any

from accounting.documents import checked
from accounting.programmes.programme import Programme

NAMES = {"en": "Carbon coin", "zh": "碳币"}


def document(**changes: Any) -> dict[str, Any]:
    """Give a small valid programme as a document."""
    return {
        "id": "city",
        "version": 1,
        "names": NAMES,
        "cited": {"source": "made for tests", "illustrative": True},
        "unit": {"code": "CARBON_COIN", "names": NAMES},
        "first_epoch": 202501,
        "earn": {"base": {"names": NAMES, "ratio": [1, 10]}},
        "funds": {"city": {"names": NAMES, "sources": ["government", "sale"]}},
        "rewards": {"bus": coupon()},
    } | changes


def coupon(**changes: Any) -> dict[str, Any]:
    """Give a commercial reward paid from the fund "city"."""
    paid = {"funds": ["city"], "unit_cost_fen": 500, "partner": "bus"}
    return {"names": NAMES, "kind": "commercial", "cost_points": 5_000, **paid} | changes


def programme(**changes: Any) -> Programme:
    """Give that document as a programme."""
    return checked(Programme, document(**changes), "test")
