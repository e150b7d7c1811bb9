"""Packs over activities: exact milligrams per person-day, and what releases are made from.

Everything here is exact and stays in the node; noise is added by whoever makes a release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from accounting.packs import Pack
    from protos.epochs import Epoch


@dataclass(frozen=True, slots=True)
class MeasureSpec:
    """One series of statements as the policy names it: packs to sum, clamp of a person-day (0: none)."""

    id: str
    pack_ids: tuple[str, ...]
    day_clamp_grams: int


@dataclass(frozen=True, slots=True)
class HistogramSpec:
    """The public cells and the clamps of a person-month's vector in each table."""

    regions: tuple[str, ...]
    domains: tuple[str, ...]
    pack_ids: tuple[str, ...]
    month_clamp_grams: int
    count_cells_max: int = 4


class Vector(NamedTuple):
    """Grams of each person with any reduction in the epoch, persons ascending."""

    persons: NDArray[np.int64]
    grams: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Losses:
    """What clamping took away, known only here: person-days (or persons) touched, mass in mg."""

    touched: int
    mg: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Exact clamped cells of one table, row-major over its public keys: grams and persons."""

    table_id: str
    sums: NDArray[np.int64]
    counts: NDArray[np.int64]
    losses: Losses


class Reductions:
    """Runs the node's packs over its activities."""

    @property
    def packs(self) -> Mapping[str, Pack]:
        """The packs this node runs, by id."""
        raise NotImplementedError

    def compute(self, epoch: Epoch) -> None:
        """Make the epoch's person-day reductions if their inputs changed; otherwise do nothing."""
        raise NotImplementedError

    def statement_vector(self, epoch: Epoch, measure: MeasureSpec) -> Vector:
        """Give each person's clamped days of the epoch, summed and floored once to grams."""
        raise NotImplementedError

    def statement_losses(self, epoch: Epoch, measure: MeasureSpec) -> Losses:
        """Tell what the day clamp took away."""
        raise NotImplementedError

    def histogram(
        self, epoch: Epoch, spec: HistogramSpec, persons: Sequence[int] | NDArray[np.int64]
    ) -> list[Histogram]:
        """Give both tables ("region_domain", "domain_methodology_pooled") over these persons, clamped."""
        raise NotImplementedError

    def totals(self, epoch: Epoch) -> int:
        """Give the exact total of all credited reductions in the epoch in mg, before any clamp."""
        raise NotImplementedError

    def pack_totals(self, epoch: Epoch) -> dict[str, int]:
        """Give the same total by pack id."""
        raise NotImplementedError

    def insufficient_history(self, epoch: Epoch) -> int:
        """Count persons with activity but too little history for an own-history pack."""
        raise NotImplementedError
