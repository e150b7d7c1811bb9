"""Methodology packs: strict data with a canonical form whose SHA-256 is what policies name.

A pack's folder holds pack.toml and, if it likes, vectors.toml; factor tables lie apart and are named
"factors/<table>/<version>/table.toml" and ".../table.csv" among the files given to `parse_pack`.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from accounting.activities import Activity, Code, InputKind, InputName
from accounting.conditions import Applicability, Curve, Exclusion, RoundedTo, Tariff, UnitText
from accounting.documents import DateText, DecimalText, Strict, checked, day_of, invalid, read_toml
from accounting.factors import Confidence, FactorTable, TableId, Title, Version, parse_table, table_files
from accounting.quantities import parse_unit
from protos.json_text import canonical_json, parse_json
from protos.problems import Malformed, Problem
from protos.v1.problem_pb2 import REASON_PACK_INVALID

FORMAT = "cgsp-pack-v1"
KEY_UNIT = "key"
CANONICAL_BYTES_MAX = 4 * 1024 * 1024

FormulaText = Annotated[str, Field(min_length=1, max_length=1000)]


class Purpose(enum.StrEnum):
    """Whether grams are credited, points are given, or a footprint is only shown at the enterprise."""

    CREDIT = "credit"
    POINTS = "points"
    FOOTPRINT = "footprint"


class Domain(enum.StrEnum):
    """Field of life."""

    LIFE = "life"
    PUBLIC_GOOD = "public_good"
    CONSUMPTION = "consumption"
    TOURISM = "tourism"
    TRAVEL = "travel"


class BaselineKind(enum.StrEnum):
    """What a behaviour is compared with."""

    HIGH_CARBON_ALTERNATIVE = "high_carbon_alternative"
    SUBSTITUTION_MIX = "substitution_mix"
    CITY_MEAN = "city_mean"
    PROGRAMME_FIXED = "programme_fixed"
    PERFORMANCE_STANDARD = "performance_standard"
    GRID_AVERAGE = "grid_average"
    REMOVAL_GROWTH = "removal_growth"
    SPEND_INTENSITY = "spend_intensity"
    NONE = "none"
    OWN_HISTORY_SAME_MONTH = "own_history_same_month"
    OWN_MOVING_AVERAGE = "own_moving_average"
    OWN_HISTORY_MEAN = "own_history_mean"
    OWN_HISTORY_SPEND = "own_history_spend"
    DUAL_POPULATION_THEN_OWN = "dual_population_then_own7"


class Names(Strict):
    """What people read."""

    en: Title
    zh: Title


class Validity(Strict):
    """First day, and first day after, of the records the pack applies to; empty is open."""

    since: DateText = ""
    until: DateText = ""


class Amount(Strict):
    """A decimal with its unit."""

    value: DecimalText
    unit: UnitText


class Parameter(Amount):
    """A figure of the methodology and where it comes from."""

    source: Title
    confidence: Confidence


class Baseline(Strict):
    """The comparison; own-history kinds name the quantity, its clamp by day and what is averaged.

    `years` is of the same month, `months` of months before, `days` of a moving average, `line` the parameter
    that is a population's use by day; a spend history clamps the day's footprint and names no quantity.
    """

    kind: BaselineKind
    text: Title
    quantity: InputName | None = None
    day_maximum: Amount | None = None
    years: Annotated[int, Field(ge=1, le=5)] | None = None
    months: Annotated[int, Field(ge=1, le=24)] | None = None
    days: Annotated[int, Field(ge=1, le=28)] | None = None
    line: InputName | None = None

    @property
    def own_history(self) -> bool:
        """Tell whether the person's own earlier days are the baseline, wholly or in part."""
        return self.kind in OWN_HISTORY_KINDS


OWN_HISTORY_KINDS = frozenset(
    {
        BaselineKind.OWN_HISTORY_SAME_MONTH,
        BaselineKind.OWN_MOVING_AVERAGE,
        BaselineKind.OWN_HISTORY_MEAN,
        BaselineKind.OWN_HISTORY_SPEND,
        BaselineKind.DUAL_POPULATION_THEN_OWN,
    }
)


class CapPer(enum.StrEnum):
    """Whether a cap binds one record, a person's whole day, or a person's whole month."""

    EVENT = "event"
    DAY = "day"
    MONTH = "month"


class Cap(Strict):
    """The most of an input, or of "reduction", that counts."""

    per: CapPer
    of: InputName
    maximum: DecimalText
    unit: UnitText
    source: Title
    confidence: Confidence


class VectorRecord(Strict):
    """One of a worked example's records."""

    date: DateText
    inputs: dict[InputName, str]


class Vector(Strict):
    """A worked example: one record's inputs; or records, or day quantities by month, of the month of `date`.

    `months` has this month's days, then each earlier year's. milligrams is the result floored once, None
    where the pack does not apply; points are those of the month.
    """

    inputs: dict[InputName, str] = Field(default_factory=dict)
    records: Annotated[tuple[VectorRecord, ...], Field(max_length=400)] = ()
    months: tuple[tuple[DecimalText, ...], ...] = ()
    date: DateText = ""
    region: str = ""
    milligrams: int | None = None
    points: int | None = None


class Pack(Strict):
    """One methodology, complete: activity, formula, parameters, factor rows, caps and vectors."""

    id: Code
    version: Version
    names: Names
    domain: Domain
    overlap_class: Annotated[str, Field(pattern=r"^OC-[A-Z]{2,12}$")]
    purpose: Purpose
    activity: Activity
    validity: Validity = Validity()
    baseline: Baseline
    inputs: Annotated[dict[InputName, UnitText], Field(min_length=1)]
    parameters: dict[InputName, Parameter] = Field(default_factory=dict)
    tables: dict[InputName, FactorTable] = Field(default_factory=dict)
    curves: dict[InputName, Curve] = Field(default_factory=dict)
    formula: FormulaText
    applies_when: FormulaText | None = None
    applicability: Applicability = Applicability()
    exclusions: Annotated[tuple[Exclusion, ...], Field(max_length=20)] = ()
    caps: tuple[Cap, ...] = ()
    rounding: RoundedTo | None = None
    tariff: Tariff | None = None
    notes: tuple[Title, ...] = ()
    vectors: Annotated[tuple[Vector, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        names = [*self.inputs, *self.parameters, *self.tables, *self.curves]
        if len(set(names)) < len(names):
            raise ValueError("inputs, parameters, tables and curves must have different names")
        keyed = [*self.applicability.only, *(one.input for one in self.exclusions)]
        if any(self.inputs.get(name) != KEY_UNIT for name in keyed):
            raise ValueError("applicability and exclusions name key inputs that stand under [inputs]")
        if any(self.inputs.get(one.of, KEY_UNIT) == KEY_UNIT for one in self.curves.values()):
            raise ValueError("a curve is of one of the quantities under [inputs]")
        if (self.purpose is Purpose.POINTS) != (self.tariff is not None):
            raise ValueError("a tariff is what a pack of purpose points has, and no other")
        if any(cap.of not in {*self.inputs, "reduction"} for cap in self.caps):
            raise ValueError("a cap is of one of the inputs or of reduction")
        try:
            for name, unit in self.inputs.items():
                self._check_input(name, unit)
            for unit in self._units():
                parse_unit(unit)
        except Problem as problem:
            raise ValueError(problem.message) from problem
        return self

    def _units(self) -> list[str]:
        figures: list[Parameter | Cap | Curve] = [
            *self.parameters.values(),
            *self.caps,
            *self.curves.values(),
        ]
        return [one.unit for one in figures] + [one.of_unit for one in self.curves.values()]

    def _check_input(self, name: str, unit: str) -> None:
        one = self.activity.input(name)
        if one.kind is InputKind.KEY or unit == KEY_UNIT:
            if (one.kind is InputKind.KEY) != (unit == KEY_UNIT):
                raise ValueError(
                    f"input {name} is a {one.kind.value}: a key's unit is {KEY_UNIT!r}, no other's"
                )
        elif parse_unit(unit).dimensions != one.dimension.dimensions:
            raise ValueError(f"input {name} is in {one.unit}, which {unit} does not measure")

    @property
    def name_en(self) -> str:
        """Give the English name."""
        return self.names.en

    @property
    def name_zh(self) -> str:
        """Give the Chinese name."""
        return self.names.zh

    @property
    def illustrative(self) -> bool:
        """Tell whether any figure is only illustrative (caps aside, they only lower): then no units."""
        figures: list[Parameter | FactorTable | Curve] = [
            *self.parameters.values(),
            *self.tables.values(),
            *self.curves.values(),
        ]
        return any(one.confidence is Confidence.ILLUSTRATIVE for one in figures)

    @property
    def since_day(self) -> int | None:
        """Give the first day of validity, None if open."""
        return day_of(self.validity.since)

    @property
    def until_day(self) -> int | None:
        """Give the first day after validity, None if open."""
        return day_of(self.validity.until)

    def canonical_bytes(self) -> bytes:
        """Give the deterministic JSON, factor rows and activity included."""
        return canonical_json({"format": FORMAT, **self.model_dump(mode="json")})

    @property
    def sha256(self) -> bytes:
        """Hash the canonical bytes."""
        return hashlib.sha256(self.canonical_bytes()).digest()


class _TableReference(Strict):
    table: TableId
    version: Version


def required_files(pack_toml: bytes) -> tuple[str, ...]:
    """Name the factor files a pack.toml needs besides itself, relative to the packs folder."""
    return tuple(
        name
        for reference in _references(read_toml(pack_toml, "pack.toml")).values()
        for name in table_files(reference.table, reference.version)
    )


def _references(document: dict[str, Any]) -> dict[str, _TableReference]:
    tables = document.get("tables", {})
    if not isinstance(tables, dict):
        raise invalid(
            "pack.toml", "tables", "is not a table.", 'Write [tables] intensity = { table = "…", … }.'
        )
    return {
        name: checked(_TableReference, body, f"pack.toml, key tables.{name}") for name, body in tables.items()
    }


def parse_pack(files: Mapping[str, bytes], activities: Mapping[str, Activity]) -> Pack:
    """Read a pack from "pack.toml", optionally "vectors.toml", and the files `required_files` names."""
    document = read_toml(_file(files, "pack.toml"), "pack.toml")
    if "vectors.toml" in files:
        document |= read_toml(files["vectors.toml"], "vectors.toml")
    code = str(document.get("activity"))
    if code not in activities:
        known = ", ".join(activities)
        raise invalid("pack.toml", "activity", f"{code!r} is not registered.", f"Registered are {known}.")
    tables = {}
    for name, reference in _references(document).items():
        description, rows = table_files(reference.table, reference.version)
        table = parse_table(_file(files, description), _file(files, rows), description)
        if (table["id"], table["version"]) != (reference.table, reference.version):
            raise invalid(description, "id, version", "are not those of its folder.")
        tables[name] = table
    document |= {"activity": activities[code].model_dump(mode="json"), "tables": tables}
    return checked(Pack, document, "pack.toml")


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise invalid(name, "", "is missing.", "Put the file into the packs folder.")
    return files[name]


def parse_canonical(data: bytes) -> Pack:
    """Read canonical bytes back; PACK_INVALID unless they are exactly what the pack itself writes."""
    if len(data) > CANONICAL_BYTES_MAX:
        raise Malformed(REASON_PACK_INVALID, f"A pack has at most {CANONICAL_BYTES_MAX} bytes.")
    try:
        document = parse_json(data)
    except ValueError as error:
        raise Malformed(REASON_PACK_INVALID, "The pack is not JSON in UTF-8.") from error
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise Malformed(REASON_PACK_INVALID, f"The pack is not of format {FORMAT}.")
    pack = checked(Pack, document, "canonical pack")
    if pack.canonical_bytes() != data:
        raise Malformed(REASON_PACK_INVALID, "The pack's bytes are not its canonical form.")
    return pack
