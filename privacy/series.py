"""The noised vectors of a release: statements by slot, annual anchors beside them, tables by public cell."""

from __future__ import annotations

import enum
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Series:
    """One noised vector: by slot (`cells` is None, one row a slot) or a table of `cells` cells."""

    name: str
    kind: SeriesKind
    subject: str
    claim: Claim
    cells: int | None = None
    measure_kind: MeasureKind = MeasureKind.DAY

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
