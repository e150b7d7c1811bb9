"""The registry of activities: which inputs a raw behaviour record has, in which unit, step and range.

A quantity is stored as a BIGINT count of steps (unit / 10^decimals), a key as VARCHAR.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from accounting.quantities import Rounding


class InputKind(enum.StrEnum):
    """A number to reckon with, or a word to look up."""

    QUANTITY = "quantity"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class ActivityInput:
    """One column of an activity; minimum and maximum are in steps (0 for keys)."""

    name: str
    kind: InputKind
    unit: str
    decimals: int
    minimum: int
    maximum: int

    @property
    def step(self) -> Fraction:
        """Give one step in base units."""
        raise NotImplementedError

    def value(self, text: str, unit: str | None = None, rounding: Rounding = Rounding.EXACT) -> int | str:
        """Take raw text (in `unit`, else the input's own) as the stored value; RECORD_INVALID if it is none."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Activity:
    """A kind of behaviour; a person has at most records_per_day_max records of it on one day."""

    code: str
    name_en: str
    name_zh: str
    records_per_day_max: int
    inputs: tuple[ActivityInput, ...]

    def input(self, name: str) -> ActivityInput:
        """Find an input; PACK_INVALID if the activity has none of that name."""
        raise NotImplementedError

    def columns(self) -> dict[str, str]:
        """Give the columns of its Parquet files and their SQL types, in order."""
        raise NotImplementedError


def parse_activities(data: bytes, file: str = "activities.toml") -> Mapping[str, Activity]:
    """Read packs/activities.toml; PACK_INVALID names file and key."""
    raise NotImplementedError
