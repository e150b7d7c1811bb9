"""The oracle: formulas in exact fractions, record by record, without any of the compiler's lowering."""

from __future__ import annotations

import functools
import math
import operator as operators
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import assert_never

from accounting.activities import InputKind
from accounting.conditions import RoundingPer
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
from accounting.packs import Cap, CapPer, Pack
from accounting.quantities import parse_decimal, parse_unit

Value = Fraction | str | bool

_NUMBERS: Mapping[Operator, Callable[[Fraction, Fraction], Value]] = {
    Operator.ADD: operators.add,
    Operator.SUBTRACT: operators.sub,
    Operator.MULTIPLY: operators.mul,
    Operator.DIVIDE: operators.truediv,
    Operator.LEAST: min,
    Operator.GREATEST: max,
    Operator.LESS: operators.lt,
    Operator.LESS_EQUAL: operators.le,
    Operator.GREATER: operators.gt,
    Operator.GREATER_EQUAL: operators.ge,
}


@dataclass(frozen=True, slots=True)
class Record:
    """One activity record; inputs hold stored values (steps or keys)."""

    person: int
    day: int
    region: str
    inputs: Mapping[str, int | str]

    def reduction(self, pack: Pack) -> Fraction | None:
        """Give its reduction in mg under a pack; None where the pack does not apply."""
        return evaluate_record(pack, self.inputs, self.day, self.region)


def evaluate_record(
    pack: Pack, inputs: Mapping[str, int | str], day: int, region: str = ""
) -> Fraction | None:
    """Give one record's reduction in mg, exact; None where the pack does not apply or a key is unknown."""
    # Own history is valid by its month, and reads days before it.
    if not pack.baseline.own_history and not valid_on(pack, day):
        return None
    if not _applicable(pack, inputs, region):
        return None
    record = _Evaluation(pack, inputs, day)
    if pack.applies_when and not record.value(_parsed(pack.applies_when)):
        return None
    if any(record.factor(one) is None for one in _lookups(pack.formula)):
        return None
    reduction = _number(record.value(_parsed(pack.formula)))
    limits = [maximum_of(cap) for cap in pack.caps if cap.per is CapPer.EVENT and cap.of == "reduction"]
    return _rounded(pack, RoundingPer.EVENT, min([reduction, *limits]))


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> Node:
    return parse_expression(text)


@functools.lru_cache(maxsize=256)
def _lookups(text: str) -> tuple[Lookup, ...]:
    return tuple(one for one in walk(_parsed(text)) if isinstance(one, Lookup))


@functools.lru_cache(maxsize=4096)
def _amount(value: str, unit: str) -> Fraction:
    """Give a stated amount in base units."""
    return parse_decimal(value) * parse_unit(unit).ratio


def _applicable(pack: Pack, inputs: Mapping[str, int | str], region: str) -> bool:
    stated = pack.applicability
    if stated.regions and region not in stated.regions:
        return False
    if any(inputs[name] not in words for name, words in stated.only.items()):
        return False
    return not any(inputs[one.input] in one.words for one in pack.exclusions)


def _rounded(pack: Pack, per: RoundingPer, reduction: Fraction) -> Fraction:
    if pack.rounding is None or pack.rounding.per is not per:
        return reduction
    step = _amount(pack.rounding.step, pack.rounding.unit)
    return Fraction(math.floor(reduction / step)) * step


def linear_factor(pack: Pack, day: int) -> Fraction:
    """Give the mg of one step of an own-history pack's quantity."""
    assert pack.baseline.quantity is not None
    return _number(_Evaluation(pack, {pack.baseline.quantity: 1}, day).value(_parsed(pack.formula)))


def valid_on(pack: Pack, day: int) -> bool:
    """Tell whether a day is inside the pack's validity."""
    since, until = pack.since_day, pack.until_day
    return (since is None or day >= since) and (until is None or day < until)


def maximum_of(cap: Cap) -> Fraction:
    """Give a cap's maximum in base units."""
    return _amount(cap.maximum, cap.unit)


def _number(value: Value) -> Fraction:
    assert isinstance(value, Fraction), "the compiler types formulas before they are evaluated"
    return value


@dataclass(frozen=True, slots=True)
class _Evaluation:
    pack: Pack
    inputs: Mapping[str, int | str]
    day: int

    def value(self, node: Node) -> Value:
        match node:
            case Number(value):
                return value
            case Text(text):
                return text
            case Name(name):
                return self._name(name)
            case Lookup():
                factor = self.factor(node)
                return Fraction(0) if factor is None else factor
            case Member(key, table):
                return self.pack.tables[table].find(str(self.inputs[key]), self.day) is not None
            case Negation(operand):
                return not self.value(operand)
            case Choice(condition, then, otherwise):
                return self.value(then) if self.value(condition) else self.value(otherwise)
            case Binary(operator, left, right):
                return _apply(operator, self.value(left), self.value(right))
        assert_never(node)

    def factor(self, node: Lookup) -> Fraction | None:
        table = self.pack.tables[node.table]
        row = table.find(str(self.inputs[node.key]), self.day)
        return None if row is None else _amount(row.value, table.unit)

    def _name(self, name: str) -> Value:
        if name in self.pack.parameters:
            parameter = self.pack.parameters[name]
            return _amount(parameter.value, parameter.unit)
        if name in self.pack.curves:
            curve = self.pack.curves[name]
            amount = _number(self._name(curve.of)) / parse_unit(curve.of_unit).ratio
            return curve.at(amount) * parse_unit(curve.unit).ratio
        one = self.pack.activity.input(name)
        if one.kind is InputKind.KEY:
            return str(self.inputs[name])
        limits = [maximum_of(cap) for cap in self.pack.caps if cap.per is CapPer.EVENT and cap.of == name]
        return min([int(self.inputs[name]) * one.step, *limits])


def _apply(operator: Operator, left: Value, right: Value) -> Value:
    if operator is Operator.AND or operator is Operator.OR:
        return bool(left and right) if operator is Operator.AND else bool(left or right)
    if operator is Operator.EQUAL or operator is Operator.UNEQUAL:
        return (left == right) is (operator is Operator.EQUAL)
    return _NUMBERS[operator](_number(left), _number(right))


def person_days(pack: Pack, records: Iterable[Record]) -> dict[tuple[int, int], int]:
    """Give mg by (person, day), floored once."""
    days: dict[tuple[int, int], list[tuple[Fraction, Record]]] = defaultdict(list)
    for record in records:
        reduction = record.reduction(pack)
        if reduction is not None:
            days[record.person, record.day].append((reduction, record))
    return {
        key: math.floor(_rounded(pack, RoundingPer.DAY, _capped_day(pack, parts)))
        for key, parts in days.items()
    }


def _capped_day(pack: Pack, parts: Sequence[tuple[Fraction, Record]]) -> Fraction:
    total = uncapped = sum((reduction for reduction, _ in parts), Fraction(0))
    for cap in pack.caps:
        if cap.per is not CapPer.DAY:
            continue
        limit = maximum_of(cap)
        if cap.of != "reduction":
            step = pack.activity.input(cap.of).step
            quantity = sum((int(record.inputs[cap.of]) * step for _, record in parts), Fraction(0))
            limit = uncapped * limit / quantity if quantity > limit else uncapped
        total = min(total, limit)
    return total
