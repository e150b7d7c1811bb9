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
# Shares of the proceeds with a meaning: the programme's own fund, and those whose grams a batch was made of.
FUND, PARTICIPANTS = "fund", "participants"
# One-sided quantiles in thousandths of a standard deviation, by confidence in basis points: the larger of the
# normal's and the Laplace's, rounded up. A sum of Laplace draws lies between the two.
QUANTILES = {9_000: 1_282, 9_500: 1_645, 9_750: 2_119, 9_900: 2_767, 9_950: 3_257}


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

    The deduction is for the known noise together with the methodology's, whose standard deviation is
    `methodology_bp` of the pooled figure; `duplicates_bp` is deducted besides. The split names "fund", the
    programme's proceeds fund, may name "participants", who are paid for their grams, and any others.
    """

    names: Names
    registry: Identifier
    table: Literal["domain_methodology_pooled"] = "domain_methodology_pooled"
    packs: Annotated[Words, Field(min_length=1)]
    enterprises: Annotated[Words, Field(min_length=1)]
    deduction: Deduction = Deduction.LOWER_BOUND
    confidence_bp: int = 9_500
    methodology_bp: BasisPoints = 0
    duplicates_bp: BasisPoints = 0
    buffer_bp: BasisPoints = 0
    min_tonnes: Annotated[int, Field(ge=1, le=10**9)] = 1
    proceeds_fund: Identifier
    proceeds_split_bp: Annotated[dict[Identifier, BasisPoints], Field(min_length=1, max_length=SHARES_MAX)]
    offset: OffsetCaps = OffsetCaps()

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.confidence_bp not in QUANTILES:
            raise ValueError(f"a confidence is one of {', '.join(map(str, QUANTILES))} basis points")
        if sum(self.proceeds_split_bp.values()) != WHOLE_BASIS_POINTS:
            raise ValueError(f"the shares of the proceeds add up to {WHOLE_BASIS_POINTS}")
        if FUND not in self.proceeds_split_bp:
            raise ValueError('the shares of the proceeds name "fund": what pays for rewards')
        if (
            self.buffer_bp == WHOLE_BASIS_POINTS
            or self.methodology_bp + self.duplicates_bp >= WHOLE_BASIS_POINTS
        ):
            raise ValueError("deductions and buffer leave something to issue")
        return self
