"""The noised vectors of a release: statements by slot, annual anchors beside them, tables by public cell."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from privacy.claims import Claim
from protos.v1.release_pb2 import TABLE_KIND_COUNT, TABLE_KIND_SUM, TableKind


class SeriesKind(enum.Enum):
    """What a series is made of."""

    STATEMENT = "statement"
    ANCHOR = "anchor"
    SUM = "sum"
    COUNT = "count"


class MeasureKind(enum.IntEnum):
    """What a statement's rows count, as on the wire; period records are bounded by person-month."""

    DAY = 0
    POINTS = 1
    PERIOD = 2


# What a unit moves by months after its own, that one first.
ReachParts: TypeAlias = tuple[tuple[int, int], ...]


def reach_parts(whole: int, later: ReachParts) -> ReachParts:
    """Put what is not later in front, as what a unit moves in its own month."""
    return ((0, whole - sum(reach for _, reach in later)), *later)


@dataclass(frozen=True, slots=True)
class Series:
    """One noised vector: by slot (`cells` is None, one row a slot) or a table of `cells` cells."""

    name: str
    kind: SeriesKind
    subject: str
    claim: Claim
    cells: int | None = None
    measure_kind: MeasureKind = MeasureKind.DAY
    # Of the claim's reach, what falls on later months' releases: (months after, reach), ascending.
    later: ReachParts = ()

    @property
    def parts(self) -> tuple[tuple[int, Fraction], ...]:
        """Give what one draw costs the unit, and units so many months before that it reads as a baseline."""
        parts = reach_parts(self.claim.reach, self.later)
        return tuple((months, Fraction(reach, self.claim.scale)) for months, reach in parts)

    @property
    def by_slot(self) -> bool:
        """Say whether the vector has a row for each slot."""
        return self.cells is None

    @property
    def measure_id(self) -> str:
        """The statement's or anchor's measure."""
        return self.subject

    @property
    def table_id(self) -> str:
        """The histogram's table."""
        return self.subject

    @property
    def table_kind(self) -> TableKind.ValueType:
        """SUM or COUNT of a histogram series."""
        return TABLE_KIND_COUNT if self.kind is SeriesKind.COUNT else TABLE_KIND_SUM
