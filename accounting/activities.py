"""The registry of activities: which inputs a raw behaviour record has, in which unit, step and range.

A quantity is stored as a BIGINT count of steps (unit / 10^decimals), a key as VARCHAR.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from accounting.documents import Strict, checked, invalid, is_word, read_toml
from accounting.quantities import INTEGER_LIMIT, Rounding, Unit, parse_unit, scaled
from protos.problems import Malformed, Problem
from protos.v1.problem_pb2 import REASON_RECORD_INVALID

RESERVED_COLUMNS = {"record": "VARCHAR", "person": "BIGINT", "day": "INTEGER", "region": "VARCHAR"}

Code = Annotated[str, Field(pattern=r"^[a-z]+(\.[a-z0-9_]+)+$", max_length=64)]
InputName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
Steps = Annotated[int, Field(gt=-INTEGER_LIMIT, lt=INTEGER_LIMIT)]


class InputKind(enum.StrEnum):
    """A number to reckon with, or a word to look up."""

    QUANTITY = "quantity"
    KEY = "key"


class ActivityInput(Strict):
    """One column of an activity; minimum and maximum are in steps (0 for keys)."""

    name: InputName
    kind: InputKind
    unit: str
    decimals: Annotated[int, Field(ge=0, le=9)]
    minimum: Steps
    maximum: Steps

    @property
    def dimension(self) -> Unit:
        """Give the unit the quantity is stored in, step included."""
        unit = parse_unit(self.unit)
        return Unit(unit.dimensions, unit.ratio / 10**self.decimals)

    @property
    def step(self) -> Fraction:
        """Give one step in base units."""
        return self.dimension.ratio

    def value(self, text: str, unit: str | None = None, rounding: Rounding = Rounding.EXACT) -> int | str:
        """Take raw text (in `unit`, else the input's own) as stored; RECORD_INVALID if it does not fit."""
        if self.kind is InputKind.KEY:
            return self._key(text)
        given = parse_unit(self.unit if unit is None else unit)
        if given.dimensions != self.dimension.dimensions:
            raise _record_problem(
                self.name, "its unit measures something else", f"Convert it to {self.unit}."
            )
        steps = scaled(text, self.step / given.ratio, rounding)
        if not self.minimum <= steps <= self.maximum:
            raise _record_problem(
                self.name, "it is out of the range of its activity", "Check value and unit."
            )
        return steps

    def _key(self, text: str) -> str:
        if not is_word(text):
            raise _record_problem(
                self.name,
                "it is no key",
                "Keys are letters, digits and . : + - & _, single spaces or / between them.",
            )
        return text


def _record_problem(name: str, problem: str, remedy: str) -> Malformed:
    return Malformed(REASON_RECORD_INVALID, f"Input {name}: {problem}.", remedy=remedy)


class Activity(Strict):
    """A kind of behaviour; a person has at most records_per_day_max records of it on one day."""

    code: Code
    name_en: Annotated[str, Field(min_length=1, max_length=200)]
    name_zh: Annotated[str, Field(min_length=1, max_length=200)]
    records_per_day_max: Annotated[int, Field(ge=1, le=1_000_000)]
    inputs: Annotated[tuple[ActivityInput, ...], Field(min_length=1, max_length=32)]

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        names = [one.name for one in self.inputs]
        if len(set(names)) < len(names) or set(names) & set(RESERVED_COLUMNS):
            raise ValueError(
                "input names must differ from each other and from record, person, day and region"
            )
        return self

    def input(self, name: str) -> ActivityInput:
        """Find an input; PACK_INVALID if the activity has none of that name."""
        for one in self.inputs:
            if one.name == name:
                return one
        names = ", ".join(one.name for one in self.inputs)
        raise invalid(self.code, name, "is no input of this activity.", f"Its inputs are {names}.")

    def columns(self) -> dict[str, str]:
        """Give the columns of its Parquet files and their SQL types, in order."""
        return RESERVED_COLUMNS | {
            one.name: "VARCHAR" if one.kind is InputKind.KEY else "BIGINT" for one in self.inputs
        }


def parse_activities(data: bytes, file: str = "activities.toml") -> Mapping[str, Activity]:
    """Read packs/activities.toml; PACK_INVALID names file and key."""
    return {code: _activity(code, body, file) for code, body in read_toml(data, file).items()}


def _activity(code: str, body: Any, file: str) -> Activity:
    if not isinstance(body, dict) or not isinstance(body.get("inputs"), dict):
        raise invalid(file, code, "is not an activity.", f'Write ["{code}"] with names and inputs.')
    inputs = [_input(f"{code}.inputs.{name}", name, one, file) for name, one in body["inputs"].items()]
    return checked(Activity, {**body, "code": code, "inputs": inputs}, f"{file}, {code}")


def _input(key: str, name: str, body: Any, file: str) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise invalid(
            file, key, "is not an input.", 'Write { kind = "key" } or a quantity with unit and range.'
        )
    if body.get("kind") == InputKind.KEY:
        return {"unit": "", "decimals": 0, "minimum": 0, "maximum": 0, **body, "name": name}
    try:
        parse_unit(str(body.get("unit")))
        step = Fraction(1, 10 ** int(body.get("decimals", 0)))
        limits = {bound: scaled(str(body.get(bound)), step) for bound in ("minimum", "maximum")}
    except (Problem, ValueError) as error:
        raise invalid(
            file, key, str(error), "Give unit, decimals, minimum and maximum in whole steps."
        ) from error
    if limits["minimum"] > limits["maximum"]:
        raise invalid(file, key, "its minimum is above its maximum.")
    return {**body, **limits, "name": name}
