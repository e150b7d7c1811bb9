"""The oracle: formulas in exact fractions, record by record, without any of the compiler's lowering."""

from __future__ import annotations

import math
import operator as operators
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import assert_never

from accounting.activities import InputKind
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
from protos.epochs import Epoch, checked_epoch, end_day, epoch_of, first_day, shift_epoch

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


def evaluate_record(pack: Pack, inputs: Mapping[str, int | str], day: int) -> Fraction | None:
    """Give one record's reduction in mg, exact; None where the pack does not apply or a key is unknown."""
    if not _valid_on(pack, day):
        return None
    formula = parse_expression(pack.formula)
    record = _Evaluation(pack, inputs, day)
    if pack.applies_when and not record.value(parse_expression(pack.applies_when)):
        return None
    if any(record.factor(one) is None for one in walk(formula) if isinstance(one, Lookup)):
        return None
    reduction = _number(record.value(formula))
    limits = [_maximum(cap) for cap in pack.caps if cap.per is CapPer.EVENT and cap.of == "reduction"]
    return min([reduction, *limits])


def _valid_on(pack: Pack, day: int) -> bool:
    since, until = pack.since_day, pack.until_day
    return (since is None or day >= since) and (until is None or day < until)


def _maximum(cap: Cap) -> Fraction:
    return parse_decimal(cap.maximum) * parse_unit(cap.unit).ratio


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
        return None if row is None else parse_decimal(row.value) * parse_unit(table.unit).ratio

    def _name(self, name: str) -> Value:
        if name in self.pack.parameters:
            parameter = self.pack.parameters[name]
            return parse_decimal(parameter.value) * parse_unit(parameter.unit).ratio
        one = self.pack.activity.input(name)
        if one.kind is InputKind.KEY:
            return str(self.inputs[name])
        limits = [_maximum(cap) for cap in self.pack.caps if cap.per is CapPer.EVENT and cap.of == name]
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
        reduction = evaluate_record(pack, record.inputs, record.day)
        if reduction is not None:
            days[record.person, record.day].append((reduction, record))
    return {key: math.floor(_capped_day(pack, parts)) for key, parts in days.items()}


def _capped_day(pack: Pack, parts: Sequence[tuple[Fraction, Record]]) -> Fraction:
    total = uncapped = sum((reduction for reduction, _ in parts), Fraction(0))
    for cap in pack.caps:
        if cap.per is CapPer.EVENT:
            continue
        limit = _maximum(cap)
        if cap.of != "reduction":
            step = pack.activity.input(cap.of).step
            quantity = sum((int(record.inputs[cap.of]) * step for _, record in parts), Fraction(0))
            limit = uncapped * limit / quantity if quantity > limit else uncapped
        total = min(total, limit)
    return total


def person_months(
    pack: Pack, records: Sequence[Record], persons: Mapping[int, tuple[int, int | None]], epoch: int
) -> dict[int, int]:
    """Give a month's mg by person; persons map to (since_day, until_day)."""
    month = checked_epoch(epoch)
    if pack.baseline.years is None:
        total: dict[int, int] = defaultdict(int)
        for (person, day), mg in person_days(pack, records).items():
            if epoch_of(day) == month:
                total[person] += mg
        return dict(total)
    days = history_days(pack, records)
    return {
        person: history_month(
            pack, {day: steps for (one, day), steps in days.items() if one == person}, month
        )
        for person in {one for one, _ in days}
        if person in persons and eligible(pack, persons[person], month)
    }


def eligible(pack: Pack, dates: tuple[int, int | None], month: Epoch) -> bool:
    """Tell whether a person's dates cover the month and all its baseline months, and the pack is in force."""
    since, until = dates
    begin, end = first_day(shift_epoch(month, -12 * (pack.baseline.years or 0))), end_day(month)
    in_force = _valid_on(pack, first_day(month)) and _valid_on(pack, end - 1)
    return in_force and since <= begin and (until is None or until >= end)


def history_days(pack: Pack, records: Iterable[Record]) -> dict[tuple[int, int], int]:
    """Give the clamped day quantity in steps by (person, day)."""
    baseline = pack.baseline
    assert baseline.quantity is not None
    assert baseline.day_maximum is not None
    unit = parse_unit(baseline.day_maximum.unit)
    step = pack.activity.input(baseline.quantity).step
    most = parse_decimal(baseline.day_maximum.value) * unit.ratio / step
    total: dict[tuple[int, int], int] = defaultdict(int)
    for record in records:
        if evaluate_record(pack, record.inputs, record.day) is not None:
            total[record.person, record.day] += int(record.inputs[baseline.quantity])
    return {key: max(0, min(steps, int(most))) for key, steps in total.items()}


def history_month(pack: Pack, days: Mapping[int, int], month: Epoch) -> int:
    """Give one person's month in mg from clamped day quantities: mean of the earlier years minus it."""
    years, quantity = pack.baseline.years, pack.baseline.quantity
    assert years is not None
    assert quantity is not None
    factor = _number(_Evaluation(pack, {quantity: 1}, first_day(month)).value(parse_expression(pack.formula)))
    baseline = [shift_epoch(month, -12 * year) for year in range(1, years + 1)]
    before = sum(steps for day, steps in days.items() if epoch_of(day) in baseline)
    now = sum(steps for day, steps in days.items() if epoch_of(day) == month)
    return math.floor(factor * (Fraction(before, years) - now))
