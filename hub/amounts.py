"""Whole numbers written for people, exactly: grams as kilograms, fen as yuan, basis points as per cent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

_YUAN: Mapping[str, str] = {"en": "yuan", "zh": "元"}
_TONNES: Mapping[str, str] = {"en": "t CO2e", "zh": "吨 CO2e"}
_KILOGRAMS: Mapping[str, str] = {"en": "kg CO2e", "zh": "千克 CO2e"}
_PERSONS: Mapping[str, str] = {"en": "persons", "zh": "人"}
_POINTS: Mapping[str, str] = {"en": "points", "zh": "积分"}
_PER_CENT: Mapping[str, str] = {"en": "%", "zh": "%"}


class _Written(NamedTuple):
    """How a unit is written: its value is divided by `parts` and shown with so many decimals."""

    parts: int
    decimals: int
    names: Mapping[str, str]


_UNITS: Mapping[str, _Written] = {
    "mg": _Written(1_000_000, 2, _KILOGRAMS),
    "g": _Written(1_000, 1, _KILOGRAMS),
    "fen": _Written(100, 2, _YUAN),
    "bp": _Written(100, 2, _PER_CENT),
    "t": _Written(1, 0, _TONNES),
    "persons": _Written(1, 0, _PERSONS),
    "points": _Written(1, 0, _POINTS),
}


def written(amount: int, unit: str) -> str:
    """Write an amount in the unit people use, rounded half away from zero."""
    parts, decimals, _ = _UNITS.get(unit, _Written(1, 0, {}))
    scale = 10**decimals
    whole = (2 * abs(amount) * scale + parts) // (2 * parts)
    sign = "-" if amount < 0 and whole else ""
    digits = f"{whole // scale:,}"
    return f"{sign}{digits}.{whole % scale:0{decimals}}" if decimals else f"{sign}{digits}"


def unit_word(unit: str, language: str) -> str:
    """Name the unit an amount is written in; a programme's own unit names itself."""
    found = _UNITS.get(unit)
    return unit if found is None else found.names[language]


def kilograms(grams: int) -> str:
    """Write grams as kilograms with one decimal."""
    return written(grams, "g")
