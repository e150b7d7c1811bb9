"""Amounts of CO2e likened to something people know: one versioned table, each entry with its source."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from accounting.activities import InputName
from accounting.conditions import UnitText
from accounting.documents import DecimalText, Strict, checked, invalid, read_toml
from accounting.factors import Confidence, Title, Version
from accounting.quantities import parse_decimal, parse_unit
from protos.problems import Problem


class Equivalence(Strict):
    """What one unit of something familiar comes to."""

    en: Title
    zh: Title
    value: DecimalText
    unit: UnitText
    source: Title
    confidence: Confidence

    def thousandths(self, milligrams: int) -> int:
        """Give an amount of mg in thousandths of this, floored."""
        return math.floor(milligrams * 1000 / (parse_decimal(self.value) * parse_unit(self.unit).ratio))


class Equivalences(Strict):
    """The whole table; a changed figure is a new version of all of it."""

    version: Version
    default: InputName
    entries: Annotated[dict[InputName, Equivalence], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.default not in self.entries:
            raise ValueError("the default is none of the entries")
        try:
            for name, one in self.entries.items():
                if ("co2e", 1) not in parse_unit(one.unit).dimensions or parse_decimal(one.value) <= 0:
                    raise ValueError(f"{name} is not an amount of CO2e above 0")
        except Problem as problem:
            raise ValueError(problem.message) from problem
        return self

    def find(self, name: str = "") -> tuple[str, Equivalence]:
        """Find an entry by its name, the default if it is empty; PACK_INVALID if there is none."""
        chosen = name or self.default
        if chosen not in self.entries:
            known = ", ".join(self.entries)
            raise invalid("equivalences.toml", chosen, "is no entry.", f"Known are {known}.")
        return chosen, self.entries[chosen]


def parse_equivalences(data: bytes, file: str = "equivalences.toml") -> Equivalences:
    """Read the table; PACK_INVALID names file and key."""
    return checked(Equivalences, read_toml(data, file), file)
