"""The words and numbers a programme is written with, each with its bound."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from accounting.documents import Strict, Word
from accounting.factors import Title
from protos.epochs import checked_epoch
from protos.problems import Problem

# Points, fen and grams of one figure stay far below 2^63, so that their products do.
AMOUNT_MAX = 10**15
RATIO_MAX = 10**9
WHOLE_BASIS_POINTS = 10_000
NAMES_MAX = 100


def _epoch(value: int) -> int:
    try:
        return checked_epoch(value)
    except Problem as problem:
        raise ValueError(problem.message) from problem


Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Amount = Annotated[int, Field(ge=1, le=AMOUNT_MAX)]
AmountOrZero = Annotated[int, Field(ge=0, le=AMOUNT_MAX)]
Factor = Annotated[int, Field(ge=1, le=RATIO_MAX)]
FactorOrZero = Annotated[int, Field(ge=0, le=RATIO_MAX)]
BasisPoints = Annotated[int, Field(ge=0, le=WHOLE_BASIS_POINTS)]
EpochNumber = Annotated[int, AfterValidator(_epoch)]
Words = Annotated[tuple[Word, ...], Field(max_length=NAMES_MAX)]


class Names(Strict):
    """What people read."""

    en: Title
    zh: Title


class Cited(Strict):
    """Where a programme's figures come from; illustrative ones are ours and say so."""

    source: Title
    illustrative: bool = False
