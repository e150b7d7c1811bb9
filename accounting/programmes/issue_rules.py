"""How a pool becomes whole tonnes: whose cells, the deduction, the buffer, the caps, the proceeds."""

from __future__ import annotations

import enum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from accounting.documents import Strict
from accounting.programmes.words import (
    WHOLE_BASIS_POINTS,
    AmountOrZero,
    BasisPoints,
    Identifier,
    Names,
    Words,
)

SHARES_MAX = 16
# A confidence of one half deducts nothing; 0.9999 is the highest with a table of its own.
CONFIDENCE_BASIS_POINTS_MIN, CONFIDENCE_BASIS_POINTS_MAX = 5_000, 9_999


class Deduction(enum.StrEnum):
    """What of a pooled figure is not issued because it is uncertain."""

    NONE = "none"
    LOWER_BOUND = "lower_bound"
    THRESHOLD_90_10 = "threshold_90_10"
    UNC_T = "unc_t"


class OffsetCaps(Strict):
    """The most a buyer may surrender: of its obligation, and all buyers together in a year; 0 is none."""

    obligation_basis_points: BasisPoints = 0
    year_tonnes_max: AmountOrZero = 0


class IssueRule(Strict):
    """One kind of batch. The pool is the pooled cells of these packs, released by these enterprises.

    `methodology_bp` and `duplicates_bp` are deducted of the pooled figure besides the noise; the split names
    "fund", the programme's proceeds fund, and any others.
    """

    names: Names
    registry: Identifier
    table: Literal["domain_methodology_pooled"] = "domain_methodology_pooled"
    packs: Annotated[Words, Field(min_length=1)]
    enterprises: Annotated[Words, Field(min_length=1)]
    period_epochs: Annotated[int, Field(ge=1, le=120)] = 12
    deduction: Deduction = Deduction.LOWER_BOUND
    confidence_bp: Annotated[int, Field(ge=CONFIDENCE_BASIS_POINTS_MIN, le=CONFIDENCE_BASIS_POINTS_MAX)] = (
        9_500
    )
    methodology_bp: BasisPoints = 0
    duplicates_bp: BasisPoints = 0
    buffer_bp: BasisPoints = 0
    min_tonnes: Annotated[int, Field(ge=1, le=10**9)] = 1
    proceeds_fund: Identifier
    proceeds_split_bp: Annotated[dict[Identifier, BasisPoints], Field(min_length=1, max_length=SHARES_MAX)]
    offset: OffsetCaps = OffsetCaps()

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if sum(self.proceeds_split_bp.values()) != WHOLE_BASIS_POINTS:
            raise ValueError(f"the shares of the proceeds add up to {WHOLE_BASIS_POINTS}")
        if "fund" not in self.proceeds_split_bp:
            raise ValueError('the shares of the proceeds name "fund", what goes back to the participants')
        if (
            self.buffer_bp == WHOLE_BASIS_POINTS
            or self.methodology_bp + self.duplicates_bp >= WHOLE_BASIS_POINTS
        ):
            raise ValueError("deductions and buffer leave something to issue")
        return self
