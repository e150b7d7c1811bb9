"""The oracle: formulas evaluated in exact fractions, record by record, with nothing of the compiler's lowering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from accounting.packs import Pack


@dataclass(frozen=True, slots=True)
class Record:
    """One activity record; inputs hold stored values (steps or keys)."""

    person: int
    day: int
    region: str
    inputs: Mapping[str, int | str]


def evaluate_record(pack: Pack, inputs: Mapping[str, int | str], day: int) -> Fraction | None:
    """Give one record's reduction in mg, exact; None where the pack does not apply or a key is unknown."""
    raise NotImplementedError


def person_days(pack: Pack, records: Iterable[Record]) -> dict[tuple[int, int], int]:
    """Give mg by (person, day), floored once."""
    raise NotImplementedError


def person_months(
    pack: Pack, records: Sequence[Record], persons: Mapping[int, tuple[int, int | None]], epoch: int
) -> dict[int, int]:
    """Give a month's mg by person; persons map to (since_day, until_day)."""
    raise NotImplementedError
