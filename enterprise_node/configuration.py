"""What node.toml may say: the enterprise, its sources and how their columns become activities.

Every key is declared here with its limit; unknown keys are errors. Paths are relative to node.toml's folder.
"""

from __future__ import annotations

import datetime
import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator, model_validator

from enterprise_node.file_settings import (
    ColumnName,
    Columns,
    FileFormat,
    FileSettings,
    Text,
    TextForm,
)
from runtime.configuration import Settings, load_settings
from runtime.engines import ENGINE_NAMED, EngineSettings

NODE_FILE = "node.toml"
# Stands for the register where sources are named.
REGISTER_SOURCE = "persons"

SOURCES_MAX = 64

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$")]
DecimalText = Annotated[str, Field(pattern=r"^-?\d{1,12}(\.\d{1,9})?$")]


class Lookup(FileSettings):
    """A file keyed by one column that gives other columns; later lookups may use what earlier ones gave."""

    # The column known so far, and its name in the file where that differs.
    key: ColumnName
    file_key: ColumnName | None = None
    # The columns this file adds.
    columns: Columns


class Time(Settings):
    """Where a record's start lies in time and how it becomes a UTC+8 civil day."""

    column: ColumnName
    # strptime format of a text column.
    format: Text = "%Y-%m-%d %H:%M:%S"
    # The zone in which the column's clock was read; instants become UTC+8 civil days.
    time_zone: Text = "Asia/Shanghai"
    # Months added to every date, keeping the day of the month.
    shift_months: Annotated[int, Field(ge=-1200, le=1200)] = 0
    # What happens to a day the target month lacks: quarantined, or the month's last day is taken.
    shift_overflow: Literal["quarantine", "last-day"] = "quarantine"
    # Days before this one (after the shift) are out of range; days after today always are.
    first_day: datetime.date = datetime.date(2000, 1, 1)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("is no known time zone, for example Asia/Shanghai") from error
        return value


class Choice(Settings):
    """A value taken from a column or the same for every record."""

    column: ColumnName | None = None
    constant: Text | None = None
    # Translates the column's values; a value not listed is an unknown code.
    codes: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.column is None) == (self.constant is None):
            raise ValueError("needs either column or constant")
        return self


def _choice(value: object) -> object:
    """Let `"bike-trip"` stand for `{ constant = "bike-trip" }`."""
    return {"constant": value} if isinstance(value, str) else value


ChoiceDeclaration = Annotated[Choice, BeforeValidator(_choice)]


class Input(Choice):
    """How one activity input is taken: from which column, in which unit."""

    # The unit of the column or constant; exact conversion into the activity's unit.
    unit: Text | None = None
    # Or a column that names each row's unit, and what its words mean: { "km" = "km", "公里" = "km" }.
    unit_column: ColumnName | None = None
    units: dict[Text, Text] = Field(default_factory=dict)
    # Multiplied in before the conversion, for example a price level: an exact decimal.
    times: DecimalText | None = None
    # What happens to digits finer than the activity keeps: quarantined as not exact, or rounded once.
    rounding: Literal["exact", "half-up", "down"] = "exact"

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if self.unit is not None and self.unit_column is not None:
            raise ValueError("takes unit or unit_column, not both")
        if (self.unit_column is None) != (not self.units):
            raise ValueError("takes units exactly when unit_column is given")
        return self


class Rule(Settings):
    """A condition on one column that keeps rows out: counted as excluded, or quarantined."""

    column: ColumnName
    at_most: DecimalText | None = None
    at_least: DecimalText | None = None
    equals: tuple[str, ...] = ()
    then: Literal["exclude", "quarantine"] = "exclude"
    # A name for the count.
    reason: Id

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [self.at_most is not None, self.at_least is not None, bool(self.equals)]
        if sum(given) != 1:
            raise ValueError("needs exactly one of at_most, at_least, equals")
        return self


class PostgresSettings(Settings):
    """What a source of kind "postgresql" reads: a table or query, over the enterprise's own connection."""

    # Where the connection string is kept: a file of mode 0600, or an environment variable.
    dsn_file: Text | None = None
    dsn_variable: Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]{0,63}$")] | None = None
    # One of both; a table may be schema.table.
    table: Text | None = None
    query: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    # A column that grows with every new or changed row; without it everything is read every time.
    watermark: ColumnName | None = None


class SourceSettings(TextForm, PostgresSettings):
    """One [[source]]: files, a query or pushed records of one shape, and their mapping to activities."""

    id: Id
    # A file's format (else told by each file's ending), a database, or records other systems push.
    kind: FileFormat | Literal["postgresql", "push"] | None = None
    # Of files: one path, glob, or folder (all files below it with a known ending).
    path: Text | None = None
    # A column that tells the later version of a record: a growing integer, a timestamp or a date. Without it
    # what was read later is the later version.
    version: ColumnName | None = None
    columns: Columns
    time: Time
    # Columns that together name a record; joined with "/".
    record: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=8)]
    # The column that holds the person's identifier, often given by a lookup.
    person: ColumnName
    # Where it differs from the enterprise's.
    identifier_kind: Text | None = None
    # The activity's code, and the record's region where it differs from the enterprise's.
    activity: ChoiceDeclaration
    region: ChoiceDeclaration | None = None
    lookup: tuple[Lookup, ...] = ()
    constants: dict[ColumnName, Text] = Field(default_factory=dict)
    inputs: dict[ColumnName, Input]
    rule: tuple[Rule, ...] = ()

    def files(self) -> FileSettings:
        """Give the declaration of a source that reads files."""
        assert self.path is not None
        assert self.kind != "postgresql"
        assert self.kind != "push"
        return FileSettings(
            kind=self.kind,
            path=self.path,
            encoding=self.encoding,
            delimiter=self.delimiter,
            header=self.header,
        )

    def activity_codes(self) -> tuple[str, ...]:
        """List the activities the source can yield."""
        if self.activity.constant is not None:
            return (self.activity.constant,)
        return tuple(sorted(set(self.activity.codes.values())))

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        is_database = self.kind == "postgresql"
        if (self.path is None) != (self.kind in ("postgresql", "push")):
            raise ValueError('needs path, unless its kind is "postgresql" or "push"')
        given = (self.dsn_file, self.dsn_variable, self.table, self.query, self.watermark)
        if not is_database and any(value is not None for value in given):
            raise ValueError('takes dsn_file, dsn_variable, table, query, watermark only as "postgresql"')
        if is_database and (self.dsn_file is None) == (self.dsn_variable is None):
            raise ValueError("needs either dsn_file or dsn_variable")
        if is_database and (self.table is None) == (self.query is None):
            raise ValueError("needs either table or query")
        return self

    @model_validator(mode="after")
    def _versions_ordered(self) -> Self:
        if self.version is None:
            return self
        _need(set(self.columns), self.version, "version")
        if self.columns[self.version].type not in ("integer", "timestamp", "date"):
            raise ValueError(f"version column {self.version!r} is declared integer, timestamp or date")
        return self

    @model_validator(mode="after")
    def _columns_known(self) -> Self:
        known = set(self.columns) | set(self.constants)
        for lookup in self.lookup:
            _need(known, lookup.key, "lookup key")
            if twice := known & set(lookup.columns):
                raise ValueError(
                    f"lookup column {min(twice)!r} is declared already; use name and another word"
                )
            known |= set(lookup.columns)
        if self.activity.column is not None and not self.activity.codes:
            raise ValueError("activity taken from a column needs codes")
        needed = [*self.record, self.person, self.time.column, *(rule.column for rule in self.rule)]
        choices = [self.activity, *([self.region] if self.region else []), *self.inputs.values()]
        needed += [choice.column for choice in choices if choice.column is not None]
        needed += [item.unit_column for item in self.inputs.values() if item.unit_column is not None]
        for column in needed:
            _need(known, column, "column")
        return self


def _need(known: set[str], column: str, what: str) -> None:
    """Refuse a column nobody declared."""
    if column not in known:
        raise ValueError(f"{what} {column!r} is neither declared nor given by a lookup")


class PersonRegister(FileSettings):
    """[persons]: the register of customers with their contract dates."""

    columns: Columns
    # The column with the identifier; columns with the contract's first day and the first day after it.
    person: ColumnName
    since: ColumnName | None = None
    until: ColumnName | None = None
    # Of since and until when they are text.
    date_format: Text = "%Y-%m-%d"
    # Months added to both dates, as in a source's time section.
    shift_months: Annotated[int, Field(ge=-1200, le=1200)] = 0
    # A column that says yes (1, true, yes, 是) where the person consented to take part. Without it the
    # enterprise declares that everybody in the register did.
    consent: ColumnName | None = None
    identifier_kind: Text | None = None

    @model_validator(mode="after")
    def _columns_known(self) -> Self:
        for column in (self.person, self.since, self.until, self.consent):
            if column is not None:
                _need(set(self.columns), column, "column")
        return self


def _fraction(value: object) -> object:
    """Read "1/2" or "0.5" as an exact fraction."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}([./]\d{1,9})?", value):
        return Fraction(value)
    raise ValueError('is written as text, "1/2" or "0.5"')


FractionText = Annotated[Fraction, BeforeValidator(_fraction), Field(gt=0)]


class Ceilings(Settings):
    """[ceilings]: the enterprise's own limits; a policy above them is refused."""

    person_day_epsilon: FractionText = Fraction(2)
    person_month_epsilon: FractionText = Fraction(4)
    day_clamp_grams: Annotated[int, Field(ge=1, le=10**9)] = 10_000
    month_clamp_grams: Annotated[int, Field(ge=1, le=10**9)] = 300_000
    # What participants may have to keep unspent, in standard deviations of their noise.
    reserve_z: FractionText = Fraction(5)


SamplerName = Literal["opendp", "digits"]


class NoiseSettings(Settings):
    """[noise]: what draws it; both are the exact discrete Laplace, the second is for bulk."""

    sampler: SamplerName = "opendp"


class Retention(Settings):
    """[retention]: how long kept activities stay; without it they stay for good."""

    # Whole months before the present one.
    months: Annotated[int, Field(ge=3, le=1200)] | None = None


class ServiceSettings(Settings):
    """[service]: where the node listens while it runs; port 0 lets the system choose."""

    listen_grpc: Text = "127.0.0.1:0"
    listen_metrics: Text = "127.0.0.1:0"


class NodeConfiguration(Settings):
    """All of node.toml."""

    enterprise_id: Id
    name: Text
    name_zh: Text
    # How persons are named here; one kind is the deployment's primary one (cn_mobile).
    identifier_kind: Text = "cn_mobile"
    # Region of records that name none.
    region: Text
    # Folders: of one pack's version, or of all packs, of which those over the sources' activities are taken.
    packs: Annotated[tuple[Text, ...], Field(min_length=1, max_length=64)]
    # Says on screen and in summaries what the data is: real, synthetic, or both in words.
    data: Text = "real"
    source: Annotated[tuple[SourceSettings, ...], Field(min_length=1, max_length=SOURCES_MAX)]
    persons: PersonRegister | None = None
    engine: Annotated[EngineSettings, ENGINE_NAMED] = EngineSettings()
    ceilings: Ceilings = Ceilings()
    noise: NoiseSettings = NoiseSettings()
    retention: Retention = Retention()
    service: ServiceSettings = ServiceSettings()

    @model_validator(mode="after")
    def _sources_distinct(self) -> Self:
        ids = [source.id for source in self.source]
        if len(set(ids)) != len(ids) or REGISTER_SOURCE in ids:
            raise ValueError(f"two sources share an id, or one is called {REGISTER_SOURCE}")
        return self


def load_configuration(home: Path) -> NodeConfiguration:
    """Read the home's node.toml; raises Malformed CONFIGURATION_INVALID naming file, key and fix."""
    return load_settings(home / NODE_FILE, NodeConfiguration)
