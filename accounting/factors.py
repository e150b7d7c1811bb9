"""Factor tables: published figures by key and validity, with where they come from.

A table lies in factors/<id>/<version>/: table.toml (unit, decimals, source) and table.csv (key, value, since,
until, note). A row holds from its date since up to, and without, its date until; empty dates are open.
"""

from __future__ import annotations

import csv
import enum
import io
import itertools
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from accounting.documents import DateText, DecimalText, Strict, Word, checked, day_of, invalid, read_toml
from accounting.quantities import Unit, parse_unit, scaled
from protos.problems import Problem

COLUMNS = ("key", "value", "since", "until", "note")
ROWS_MAX = 5000

Title = Annotated[str, Field(min_length=1, max_length=1000)]
TableId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
Version = Annotated[int, Field(ge=1, le=1_000_000)]


class Confidence(enum.StrEnum):
    """How well founded a figure is; an illustrative one never issues units."""

    OFFICIAL = "official"
    PROGRAMME_VALUE = "programme_value"
    PUBLISHED_ESTIMATE = "published_estimate"
    ILLUSTRATIVE = "illustrative"


class FactorRow(Strict):
    """One figure and the days it holds."""

    key: Word
    value: DecimalText
    since: DateText = ""
    until: DateText = ""
    note: Annotated[str, Field(max_length=400)] = ""

    @property
    def since_day(self) -> int | None:
        """Give the first day, None if open."""
        return day_of(self.since)

    @property
    def until_day(self) -> int | None:
        """Give the first day after, None if open."""
        return day_of(self.until)

    def holds(self, day: int) -> bool:
        """Tell whether the row is valid on a day."""
        after = self.since_day is None or day >= self.since_day
        return after and (self.until_day is None or day < self.until_day)


class FactorTable(Strict):
    """A table of figures in one unit; values are whole numbers of 10^-decimals units."""

    id: TableId
    version: Version
    unit: str
    decimals: Annotated[int, Field(ge=0, le=9)]
    source: Title
    licence: Title
    confidence: Confidence
    rows: Annotated[tuple[FactorRow, ...], Field(min_length=1, max_length=ROWS_MAX)]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        try:
            parse_unit(self.unit)
            for row in self.rows:
                self.steps(row)
        except Problem as problem:
            raise ValueError(f"{problem.message} {problem.remedy}") from problem
        self._check_overlaps()
        return self

    def _check_overlaps(self) -> None:
        ordered = sorted(self.rows, key=lambda row: (row.key, row.since))
        for row in ordered:
            if row.until and row.until <= row.since:
                raise ValueError(f"the row {row.key} ends before it begins")
        for before, after in itertools.pairwise(ordered):
            if before.key == after.key and (not before.until or before.until > after.since):
                raise ValueError(f"two rows of {before.key} hold on the same day")

    @property
    def dimension(self) -> Unit:
        """Give the unit of one step."""
        unit = parse_unit(self.unit)
        return Unit(unit.dimensions, unit.ratio / 10**self.decimals)

    @property
    def dated(self) -> bool:
        """Tell whether any row's validity is bounded."""
        return any(row.since or row.until for row in self.rows)

    def steps(self, row: FactorRow) -> int:
        """Give a row's value in steps."""
        return scaled(row.value, Fraction(1, 10**self.decimals))

    def find(self, key: str, day: int) -> FactorRow | None:
        """Find the row of a key valid on a day."""
        return next((row for row in self.rows if row.key == key and row.holds(day)), None)


def table_files(table_id: str, version: int) -> tuple[str, str]:
    """Name a table's two files, relative to the packs folder."""
    folder = f"factors/{table_id}/{version}"
    return f"{folder}/table.toml", f"{folder}/table.csv"


def parse_table(description: bytes, rows: bytes, file: str) -> dict[str, Any]:
    """Read a table's files as a checked document; PACK_INVALID names file and line or key."""
    document = {**read_toml(description, file), "rows": _rows(rows, file.replace(".toml", ".csv"))}
    return checked(FactorTable, document, file).model_dump(mode="json")


def _rows(data: bytes, file: str) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise invalid(file, "", f"is not CSV in UTF-8 ({error}).") from error
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise invalid(file, "line 1", "has other columns.", f"The header is {','.join(COLUMNS)}.")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise invalid(file, f"line {number}", f"has not {len(COLUMNS)} fields.")
    return rows
