"""A source's mapping as one SQL query: declared columns in, activity rows and the first failing test out.

The query runs once over each file. Its rows carry no identifier: persons are numbers, and private columns
appear in record ids only as keyed tokens.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from accounting.activities import Activity, ActivityInput, InputKind
from accounting.quantities import Rounding
from enterprise_node.activities import VERSION
from enterprise_node.configuration import Choice, Input, SourceSettings
from enterprise_node.fields import Field, day_number, day_of, moment_of, number_of, shifted, text_of
from enterprise_node.file_settings import Column
from enterprise_node.quantities import configured_wrong, conversions, flaws_sql, steps_sql
from enterprise_node.quarantine import RULE_PREFIX, Check, Flaw
from enterprise_node.sources.source import BROKEN
from enterprise_node.sql_text import literal, quoted
from enterprise_node.store.persons import ERASED
from protos.problems import Problem

PERSON = "#person"
# Whose the identifier was before, a list of until_day and person, NULL where it never changed hands.
FORMER_HOLDERS = "#former_holders"
_HOLDER = "#holder"
ERASED_RULE = RULE_PREFIX + "erased"
RETENTION_RULE = RULE_PREFIX + "past-retention"
RECORD_JOINER = "/"
TOKEN_DIGITS = 16
# Words that may stand as keys in SQL texts and canonical forms; the same form accounting demands.
KEY_FORM = r"[\p{L}\p{N}_.:+&-]+([ /][\p{L}\p{N}_.:+&-]+)*"
KEY_LENGTH_MAX = 64


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a mapping needs beyond its source: activities by code, default region, token key, today."""

    activities: Mapping[str, Activity]
    region: str
    token_key: bytes
    today: datetime.date
    # What is older is not kept.
    keep_from: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class MappedActivity:
    """One activity a source yields, and the staged column of each of its inputs."""

    activity: Activity
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """The query's two layers over joined rows, the tests by number, and the activities by number.

    Result columns: line, problem (number of the first failing test or NULL), activity (number), record,
    person, day, region, version, and the inputs of every activity.
    """

    parsed: Mapping[str, str]
    results: Mapping[str, str]
    checks: tuple[Check, ...]
    activities: tuple[MappedActivity, ...]

    def select(self, joined: str) -> str:
        """Give the query over a FROM item of joined rows."""
        parsed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in self.parsed.items())
        results = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in self.results.items())
        return f"SELECT {results} FROM (SELECT *, {parsed} FROM ({joined}))"


def plan_source(settings: SourceSettings, types: Mapping[str, str], around: Surroundings) -> Plan:
    """Turn a source's declaration into a plan; raises Malformed CONFIGURATION_INVALID where it cannot."""
    return _Planner(settings, types, around).plan()


def private_columns(settings: SourceSettings) -> frozenset[str]:
    """Name the columns never written: declared so, or leading to the person."""
    columns = dict(settings.columns)
    for lookup in settings.lookup:
        columns |= lookup.columns
    chain = {settings.person}
    for lookup in reversed(settings.lookup):
        if chain & set(lookup.columns):
            chain.add(lookup.key)
    return frozenset(chain | {name for name, column in columns.items() if column.private})


class _Planner:
    """Collects parsed columns, tests in order and results while walking through a source's declaration."""

    def __init__(self, settings: SourceSettings, types: Mapping[str, str], around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        self._fields = source_fields(settings, types)
        self._origin = {name: lookup.key for lookup in settings.lookup for name in lookup.columns}
        self._parsed: dict[str, str] = {}
        self._tests: list[tuple[str, Check]] = []
        self._results: dict[str, str] = {}
        self._is_breakable = BROKEN in types

    def plan(self) -> Plan:
        """Walk in the order of the tests: rules, record, person, time, region, activity, inputs."""
        if self._is_breakable:
            self._test(quoted(BROKEN), Flaw.BROKEN_LINE, "")
        self._rules()
        record = self._record()
        self._test(f"{self._text(self._settings.person)} IS NULL", Flaw.PERSON_MISSING, self._settings.person)
        self._test(f"{quoted(PERSON)} IS NULL", Flaw.IDENTIFIER_INVALID, self._settings.person)
        self._test(f"{quoted(_HOLDER)} = {ERASED}", ERASED_RULE, self._settings.person, excludes=True)
        day = self._day()
        self._parsed[_HOLDER] = _holder()
        version = self._version()
        region = self._region()
        number, activities = self._activities()
        inputs = {name: sql for mapped in activities for name, sql in self._inputs(*mapped).items()}
        self._results = {
            "line": quoted("#line"),
            "problem": self._problem(),
            "activity": f"CAST({number} AS SMALLINT)",
            "record": record,
            "person": quoted(_HOLDER),
            "day": day,
            "region": region,
            VERSION: version,
            **inputs,
        }
        mapped_activities = tuple(
            MappedActivity(activity, {one.name: _staged(index, one) for one in activity.inputs})
            for index, activity in activities
        )
        checks = tuple(check for _, check in self._tests)
        return Plan(self._parsed, self._results, checks, mapped_activities)

    def _problem(self) -> str:
        whens = " ".join(f"WHEN {test} THEN {index}" for index, (test, _) in enumerate(self._tests))
        return f"CAST(CASE {whens} END AS SMALLINT)"

    def _test(self, condition: str, reason: str, column: str, *, excludes: bool = False) -> None:
        self._tests.append((condition, Check(reason, column, excludes)))

    def _text(self, column: str) -> str:
        """Give the name of the parsed text of a column."""
        self._parsed.setdefault(f"#text.{column}", text_of(self._fields[column]))
        return quoted(f"#text.{column}")

    def _number(self, column: str, guard: str = "") -> tuple[str, int]:
        """Give the name of a column's parsed number and its decimals; its tests are added once."""
        name, number = f"#number.{column}", number_of(self._fields[column])
        if name not in self._parsed or guard:
            self._parsed[name] = number.steps
            for test, flaw in number.tests:
                # The cheap test first: an exact number has none of the flaws.
                self._test(f"{guard}{quoted(name)} IS NULL AND {test}", *self._blame(column, flaw))
        return quoted(name), number.decimals

    def _blame(self, column: str, flaw: Flaw) -> tuple[Flaw, str]:
        """Name the column to correct: nothing out of a lookup is an unknown code in the lookup's key."""
        if flaw is Flaw.MISSING_VALUE and column in self._origin:
            return Flaw.UNKNOWN_CODE, self._origin[column]
        return flaw, column

    def _rules(self) -> None:
        for rule in self._settings.rule:
            excludes = rule.then == "exclude"
            if rule.equals:
                words = ", ".join(literal(word) for word in rule.equals)
                condition = f"{self._text(rule.column)} IN ({words})"
            else:
                number, decimals = self._number(rule.column)
                limit, sign = (rule.at_most, "<=") if rule.at_most is not None else (rule.at_least, ">=")
                condition = f"{number} {sign} {limit} * {10**decimals}"
            self._test(condition, RULE_PREFIX + rule.reason, rule.column, excludes=excludes)

    def _record(self) -> str:
        private = private_columns(self._settings)
        parts = []
        for column in self._settings.record:
            text = self._text(column)
            self._test(f"{text} IS NULL", *self._blame(column, Flaw.MISSING_VALUE))
            parts.append(token_sql(self._around.token_key, column, text) if column in private else text)
        return f" || {literal(RECORD_JOINER)} || ".join(parts)

    def _day(self) -> str:
        time = self._settings.time
        field = self._fields[time.column]
        self._parsed["#moment"] = moment_of(field, time)
        text = self._text(time.column)
        self._test(f"{text} IS NULL", *self._blame(time.column, Flaw.MISSING_VALUE))
        self._test(f"{quoted('#moment')} IS NULL", Flaw.WRONG_TYPE, time.column)
        self._parsed["#source_day"] = day_of(quoted("#moment"))
        self._parsed["#day"] = shifted(quoted("#source_day"), time.shift_months)
        day, source_day = quoted("#day"), quoted("#source_day")
        first, last = literal(time.first_day.isoformat()), literal(self._around.today.isoformat())
        inside = f"{day} BETWEEN DATE {first} AND DATE {last}"
        self._test(f"NOT coalesce({inside}, false)", Flaw.DATE_OUT_OF_RANGE, time.column)
        if time.shift_months and time.shift_overflow == "quarantine":
            self._test(f"day({day}) <> day({source_day})", Flaw.NO_SUCH_DAY, time.column)
        if self._around.keep_from is not None:
            past = f"{day} < DATE {literal(self._around.keep_from.isoformat())}"
            self._test(past, RETENTION_RULE, time.column, excludes=True)
        return f"CASE WHEN {inside} THEN {day_number(day)} END"

    def _version(self) -> str:
        """Give what orders a record's versions, NULL where the source declares nothing."""
        column = self._settings.version
        if column is None:
            return "CAST(NULL AS BIGINT)"
        field = self._fields[column]
        if field.column.type == "integer":
            return self._number(column)[0]
        moment = f"TRY_CAST({text_of(field) if field.is_text else field.expression} AS TIMESTAMPTZ)"
        self._parsed["#version"] = f"epoch_us({moment})"
        self._test(f"{self._text(column)} IS NULL", *self._blame(column, Flaw.MISSING_VALUE))
        self._test(f"{quoted('#version')} IS NULL", Flaw.WRONG_TYPE, column)
        return quoted("#version")

    def _region(self) -> str:
        choice = self._settings.region
        if choice is None or choice.column is None:
            return literal(self._around.region if choice is None else str(choice.constant))
        return self._coded(choice, choice.column)

    def _coded(self, choice: Choice, column: str, guard: str = "") -> str:
        """Give a column's value, translated where codes are declared."""
        text = self._text(column)
        self._test(f"{guard}{text} IS NULL", *self._blame(column, Flaw.MISSING_VALUE))
        if not choice.codes:
            return text
        whens = " ".join(
            f"WHEN {literal(given)} THEN {literal(code)}" for given, code in choice.codes.items()
        )
        value = f"(CASE {text} {whens} END)"
        self._test(f"{guard}{value} IS NULL", Flaw.UNKNOWN_CODE, column)
        return value

    def _activities(self) -> tuple[str, list[tuple[int, Activity]]]:
        """Give the SQL for an activity's number, and the activities by number."""
        choice = self._settings.activity
        if choice.column is None:
            return "0", [(0, self._activity(str(choice.constant)))]
        codes = sorted(set(choice.codes.values()))
        translated = self._coded(choice, choice.column)
        whens = " ".join(f"WHEN {literal(code)} THEN {index}" for index, code in enumerate(codes))
        self._parsed["#activity"] = f"CASE {translated} {whens} END"
        return quoted("#activity"), [(index, self._activity(code)) for index, code in enumerate(codes)]

    def _activity(self, code: str) -> Activity:
        found = self._around.activities.get(code)
        if found is None:
            known = ", ".join(sorted(self._around.activities))
            raise configured_wrong(
                f"source {self._settings.id}", f"{code!r} is no activity.", f"Use one of {known}."
            )
        return found

    def _inputs(self, index: int, activity: Activity) -> dict[str, str]:
        """Give the staged columns of one activity's inputs."""
        several = self._settings.activity.column is not None
        guard = f"{quoted('#activity')} = {index} AND " if several else ""
        staged = {}
        for one in activity.inputs:
            settings = self._settings.inputs.get(one.name)
            where = f"source {self._settings.id}, input {one.name}"
            if settings is None:
                raise configured_wrong(
                    where, f"{activity.code} needs it.", f"Add [source.inputs] {one.name}."
                )
            if settings.column is None:
                staged[_staged(index, one)] = _constant(settings, one, where)
            elif one.kind is InputKind.KEY:
                staged[_staged(index, one)] = self._key(settings, settings.column, guard)
            else:
                staged[_staged(index, one)] = self._quantity(settings, settings.column, one, guard, where)
        return staged

    def _key(self, settings: Input, column: str, guard: str) -> str:
        value = self._coded(settings, column, guard)
        well_formed = (
            f"regexp_full_match({value}, {literal(KEY_FORM)}) AND length({value}) <= {KEY_LENGTH_MAX}"
        )
        self._test(f"{guard}NOT ({well_formed})", Flaw.WRONG_TYPE, column)
        return value

    def _quantity(self, settings: Input, column: str, one: ActivityInput, guard: str, where: str) -> str:
        if self._fields[column].column.type not in ("integer", "decimal", "double"):
            raise configured_wrong(where, f"column {column!r} is not declared a number.", "Declare its type.")
        number, decimals = self._number(column, guard)
        unit = self._text(settings.unit_column) if settings.unit_column is not None else None
        cases = conversions(settings, one, decimals, where)
        for test, flaw in flaws_sql(number, unit, cases, one):
            blamed = settings.unit_column if flaw is Flaw.UNKNOWN_UNIT and settings.unit_column else column
            self._test(f"{guard}{test}", flaw, blamed)
        return steps_sql(number, unit, cases)


def token_sql(key: bytes, column: str, text: str) -> str:
    """Give the SQL of the token that stands for a private value in record ids."""
    return f"left(sha256({literal(_token_prefix(key, column))} || {text}), {TOKEN_DIGITS})"


def _token_prefix(key: bytes, column: str) -> str:
    return f"{key.hex()}/{column}/"


def token(key: bytes, column: str, value: str) -> str:
    """Give the same token outside SQL, to find a record again."""
    return hashlib.sha256((_token_prefix(key, column) + value).encode()).hexdigest()[:TOKEN_DIGITS]


def _staged(index: int, one: ActivityInput) -> str:
    return f"{index}.{one.name}"


def source_fields(settings: SourceSettings, types: Mapping[str, str]) -> dict[str, Field]:
    """Name every column of the joined rows: the file's, the constants, the lookups'."""
    fields = {
        name: Field(name, quoted(name), types[name], column) for name, column in settings.columns.items()
    }
    for name, value in settings.constants.items():
        fields[name] = Field(name, literal(value), "VARCHAR", Column())
    for lookup in settings.lookup:
        for name, column in lookup.columns.items():
            fields[name] = Field(name, quoted(name), "VARCHAR", column)
    return fields


def _holder() -> str:
    """Give the SQL of who held the identifier on the record's day."""
    earlier = f"{day_number(quoted('#day'))} < former.until_day"
    found = f"[former.person FOR former IN {quoted(FORMER_HOLDERS)} IF {earlier}]"
    return f"coalesce({found}[1], {quoted(PERSON)})"


def _constant(settings: Input, one: ActivityInput, where: str) -> str:
    """Give a constant input as stored."""
    try:
        value = one.value(str(settings.constant), settings.unit, Rounding(settings.rounding))
    except Problem as problem:
        raise configured_wrong(where, problem.message, problem.remedy) from problem
    return literal(value) if isinstance(value, str) else f"CAST({value} AS BIGINT)"
