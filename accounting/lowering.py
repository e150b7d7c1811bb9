"""From a pack's formula to integer SQL over one activity relation `a` and joined factor tables f1, f2, ….

A record counts if the pack applies to it and each table the formula reads has a row for its key and day.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import assert_never

from accounting.activities import InputKind
from accounting.conditions import Curve, RoundingPer
from accounting.documents import is_word
from accounting.expressions import (
    Binary,
    Choice,
    Lookup,
    Member,
    Name,
    Negation,
    Node,
    Number,
    Operator,
    Text,
    parse_expression,
    walk,
)
from accounting.factors import FactorTable
from accounting.packs import Cap, CapPer, Pack
from accounting.quantities import CO2E_MG, PURE, parse_decimal, parse_unit
from accounting.terms import (
    Constant,
    Integer,
    Key,
    Term,
    Truth,
    choose,
    combine,
    constant,
    divide,
    floored,
    integer,
    invalid,
    multiply,
    number,
    truth,
)

REDUCTION = "reduction"


@dataclass(frozen=True, slots=True)
class Lowered:
    """A record's reduction as integer SQL, and what must be joined and hold for it."""

    value: Integer
    joins: str
    applies: tuple[str, ...]
    matched: tuple[str, ...]

    def source(self, activities: str, *conditions: str, joins: str = "") -> str:
        """Give FROM and WHERE over an activity relation, with further joins and conditions."""
        where = " AND ".join([*conditions, *self.applies])
        return f"FROM {activities} AS a{joins}{self.joins} WHERE {where}"


def literal(word: str) -> str:
    """Quote a checked word; no engine needs an escape for it."""
    if not is_word(word):
        raise invalid("a key holds characters that keys do not have")
    return f"'{word}'"


def lower(pack: Pack) -> Lowered:
    """Type the pack's formula and condition; PACK_INVALID says what does not fit."""
    formula = parse_expression(pack.formula)
    condition = parse_expression(pack.applies_when) if pack.applies_when else None
    nodes = [*walk(formula), *(walk(condition) if condition else ())]
    pairs = sorted({(one.table, one.key) for one in nodes if isinstance(one, Lookup | Member)})
    scope = _Scope(pack, {pair: f"f{index}" for index, pair in enumerate(pairs, start=1)})
    value = scope.reduction(formula)
    # LEAST and GREATEST pass over NULL in both engines: a missing quantity would count as its cap.
    applies = [f"a.{name} IS NOT NULL" for name in pack.inputs]
    applies += _applicable(pack)
    if not pack.baseline.own_history:
        # Own history is valid by its month; the days it is compared with lie before.
        applies.insert(0, _window(pack))
    if condition:
        applies.append(truth(scope.term(condition)).sql)
    read = sorted({(one.table, one.key) for one in nodes if isinstance(one, Lookup)})
    return Lowered(
        value=value,
        joins="".join(scope.join(table, key) for table, key in pairs),
        applies=tuple(one for one in applies if one),
        matched=tuple(f"{scope.aliases[pair]}.v IS NOT NULL" for pair in read),
    )


def _applicable(pack: Pack) -> list[str]:
    conditions = [_among("region", pack.applicability.regions)] if pack.applicability.regions else []
    conditions += [_among(name, words) for name, words in pack.applicability.only.items()]
    return conditions + [f"NOT {_among(one.input, one.words)}" for one in pack.exclusions]


def _among(column: str, words: Sequence[str]) -> str:
    return f"(a.{column} IN ({', '.join(literal(word) for word in words)}))"


def _window(pack: Pack) -> str:
    limits = [
        f"a.day {comparison} {day}"
        for comparison, day in ((">=", pack.since_day), ("<", pack.until_day))
        if day is not None
    ]
    return " AND ".join(limits)


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the names of a pack's formula mean."""

    pack: Pack
    aliases: dict[tuple[str, str], str]

    def reduction(self, formula: Node) -> Integer:
        """Lower the formula to CO2e and bind the caps on an event's reduction."""
        value = number(self.term(formula))
        if value.unit.dimensions != CO2E_MG.dimensions and not _is_zero(value):
            raise invalid(f"it gives {str(value.unit) or 'a pure number'}, not CO2e", "Check the units.")
        if _is_zero(value):
            value = Constant(parse_decimal("0"), CO2E_MG)
        for cap in self.pack.caps:
            if cap.per is CapPer.EVENT and cap.of == REDUCTION:
                value = number(combine(Operator.LEAST, value, amount(cap)))
        step = rounding_step(self.pack, RoundingPer.EVENT)
        return integer(value) if step is None else floored(integer(value), step)

    def term(self, node: Node) -> Term:
        """Type one node and what is below it."""
        match node:
            case Number(value):
                return constant(value, PURE)
            case Text(text):
                return Key(literal(text))
            case Name(name):
                return self._name(name)
            case Lookup(table, key):
                return self._lookup(table, key)
            case Member(key, table):
                self._keyed(table, key)
                return Truth(f"({self.aliases[table, key]}.v IS NOT NULL)")
            case Binary(operator, left, right):
                return self._binary(operator, self.term(left), self.term(right))
            case Negation(operand):
                return Truth(f"(NOT {truth(self.term(operand)).sql})")
            case Choice(condition, then, otherwise):
                branches = number(self.term(then)), number(self.term(otherwise))
                return choose(truth(self.term(condition)), *branches)
        assert_never(node)

    def _binary(self, operator: Operator, left: Term, right: Term) -> Term:
        if operator is Operator.MULTIPLY:
            return multiply(number(left), number(right))
        if operator is Operator.DIVIDE:
            return divide(number(left), number(right))
        return combine(operator, left, right)

    def _name(self, name: str) -> Term:
        if name in self.pack.parameters:
            parameter = self.pack.parameters[name]
            return constant(parse_decimal(parameter.value), parse_unit(parameter.unit))
        if name in self.pack.curves:
            return self._curve(self.pack.curves[name])
        if name not in self.pack.inputs:
            known = ", ".join([*self.pack.inputs, *self.pack.parameters, *self.pack.curves])
            raise invalid(f"{name!r} is neither input nor parameter", f"Known are {known}.")
        one = self.pack.activity.input(name)
        if one.kind is InputKind.KEY:
            return Key(f"a.{name}")
        column = Integer(f"a.{name}", one.minimum, one.maximum, one.dimension)
        for cap in self.pack.caps:
            if cap.per is CapPer.EVENT and cap.of == name:
                capped = combine(Operator.LEAST, column, amount(cap))
                assert isinstance(capped, Integer)
                column = capped
        return column

    def _curve(self, curve: Curve) -> Constant | Integer:
        amount, unit = self._name(curve.of), parse_unit(curve.unit)
        value: Constant | Integer = constant(parse_decimal(curve.bands[-1].value), unit)
        for band, above in reversed(list(itertools.pairwise(curve.bands))):
            limit = constant(parse_decimal(above.since), parse_unit(curve.of_unit))
            below = truth(combine(Operator.LESS, amount, limit))
            value = choose(below, constant(parse_decimal(band.value), unit), value)
        return value

    def _keyed(self, table: str, key: str) -> FactorTable:
        if table not in self.pack.tables:
            raise invalid(f"{table!r} is no factor table of the pack", "Name it under [tables].")
        if not isinstance(self._name(key), Key):
            raise invalid(f"{key!r} is no key", "Tables are looked up by inputs of kind key.")
        return self.pack.tables[table]

    def _lookup(self, name: str, key: str) -> Integer:
        table = self._keyed(name, key)
        steps = [table.steps(row) for row in table.rows]
        sql = f"CAST({self.aliases[name, key]}.v AS BIGINT)"
        return Integer(sql, min(steps), max(steps), table.dimension)

    def join(self, name: str, key: str) -> str:
        """Give the LEFT JOIN of a factor table, by validity only where it has any."""
        table, alias = self.pack.tables[name], self.aliases[name, key]
        rows, columns = [], "k, v"
        on = f"a.{key} = {alias}.k"
        for row in table.rows:
            values = [literal(row.key), str(table.steps(row))]
            if table.dated:
                values += [str(_FIRST_DAY if row.since_day is None else row.since_day)]
                values += [str(_LAST_DAY if row.until_day is None else row.until_day)]
            rows.append(f"({', '.join(values)})")
        if table.dated:
            columns += ", since_day, until_day"
            on += f" AND a.day >= {alias}.since_day AND a.day < {alias}.until_day"
        return f" LEFT JOIN (VALUES {', '.join(rows)}) AS {alias}({columns}) ON {on}"


_FIRST_DAY, _LAST_DAY = -(2**31) + 1, 2**31 - 1


def _is_zero(term: Term) -> bool:
    return isinstance(term, Constant) and term.value == 0


def amount(cap: Cap) -> Constant:
    """Give a cap's maximum as a constant."""
    return constant(parse_decimal(cap.maximum), parse_unit(cap.unit))


def rounding_step(pack: Pack, per: RoundingPer) -> Fraction | None:
    """Give the step in mg the pack rounds down to there, None if it does not."""
    if pack.rounding is None or pack.rounding.per is not per:
        return None
    unit = parse_unit(pack.rounding.unit)
    step = parse_decimal(pack.rounding.step) * unit.ratio
    if unit.dimensions != CO2E_MG.dimensions or step < 1 or step.denominator != 1:
        raise invalid("rounding is to a whole number of mg of CO2e")
    return step


def month_cap(pack: Pack, lowered: Lowered) -> int | None:
    """Give the most mg of a person-month, None without a month's cap."""
    limits = []
    for cap in pack.caps:
        if cap.per is CapPer.MONTH:
            limit = amount(cap)
            limits.append(limit if cap.of == REDUCTION else _as_reduction(pack, lowered, cap, limit))
    if any(limit.unit.dimensions != CO2E_MG.dimensions or limit.value < 0 for limit in limits):
        raise invalid("a month's cap on the reduction is an amount of CO2e")
    return min((math.floor(limit.value) for limit in limits), default=None)


def day_cap(pack: Pack, lowered: Lowered, total: Integer) -> Integer:
    """Bind a person-day's total by the pack's day caps, exactly.

    A cap on an input's day holds only where the reduction is a constant times that input.
    """
    for cap in pack.caps:
        if cap.per is not CapPer.DAY:
            continue
        limit = amount(cap)
        if cap.of != REDUCTION:
            limit = _as_reduction(pack, lowered, cap, limit)
        capped = combine(Operator.LEAST, total, limit)
        assert isinstance(capped, Integer)
        total = capped
    return total


def _as_reduction(pack: Pack, lowered: Lowered, cap: Cap, limit: Constant) -> Constant:
    one = pack.activity.input(cap.of)
    if cap.of not in pack.inputs or lowered.value.sql != f"a.{cap.of}":
        raise invalid(
            f"the {cap.per.value} cap on {cap.of} needs a formula that is a constant times {cap.of}",
            "Cap the event's input or the reduction instead.",
        )
    if limit.unit.dimensions != one.dimension.dimensions:
        raise invalid(f"the {cap.per.value} cap on {cap.of} has another unit than the input")
    ratio = lowered.value.unit.ratio / one.step
    return replace(limit, value=limit.value * ratio, unit=CO2E_MG)
