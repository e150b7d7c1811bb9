"""Own history: which earlier days a month is compared with, how they weigh, what one day moves.

A day's quantity is clamped, not the difference: clipping differences would pay unchanged behaviour. A month
is the sum of `weight * clamped day` over `count`, rounded once at its end, since weights are whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from accounting.expressions import Operator
from accounting.lowering import Lowered
from accounting.packs import Amount, Baseline, BaselineKind, Pack, Purpose
from accounting.quantities import PURE, parse_decimal, parse_unit
from accounting.terms import Integer, bounded, combine, constant, invalid
from protos.epochs import Epoch, end_day, first_day, shift_epoch
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_REACH_UNBOUNDED

MONTH_DAYS_MAX = 31

_BY_DAY = frozenset({BaselineKind.OWN_MOVING_AVERAGE, BaselineKind.DUAL_POPULATION_THEN_OWN})


@dataclass(frozen=True, slots=True)
class Window:
    """What is averaged: `count` years of the same month, months before, or days before."""

    kind: BaselineKind
    count: int

    def begin(self, month: Epoch) -> int:
        """Give the first day the month's figure depends on."""
        if self.kind in _BY_DAY:
            return first_day(month) - self.count
        return first_day(shift_epoch(month, -self.offsets[-1]))

    def spans(self, month: Epoch) -> list[tuple[int, int]]:
        """Give the days read, first and end of each span, this month's first."""
        if self.kind in _BY_DAY:
            return [(self.begin(month), end_day(month))]
        months = [month, *(shift_epoch(month, -offset) for offset in self.offsets)]
        return [(first_day(one), end_day(one)) for one in months]

    @property
    def offsets(self) -> tuple[int, ...]:
        """Count the months after which a day is read again, ascending."""
        if self.kind in _BY_DAY:
            return (1,)
        months = 12 if self.kind is BaselineKind.OWN_HISTORY_SAME_MONTH else 1
        return tuple(months * number for number in range(1, self.count + 1))

    def weight_sql(self, month: Epoch) -> str:
        """Give the weight of the column day, times `count`: baseline positive, month negative."""
        first, end = first_day(month), end_day(month)
        if self.kind not in _BY_DAY:
            return f"CASE WHEN day >= {first} THEN -{self.count} ELSE 1 END"
        read = f"LEAST({end - 1}, day + {self.count}) - GREATEST({first}, day + 1) + 1"
        return f"{read} - CASE WHEN day >= {first} THEN {self.count} ELSE 0 END"


@dataclass(frozen=True, slots=True)
class OwnHistory:
    """A clamped day as SQL over summed values, its most in mg, its window, and a population's line by day."""

    window: Window
    clamped: Integer
    lost: Integer
    line: int | None

    @property
    def day_maximum_mg(self) -> Fraction:
        """Give the most a clamped day counts."""
        return self.clamped.high * self.clamped.unit.ratio

    def deltas_mg(self) -> Mapping[int, int]:
        """Bound in mg what a day changes, by months after its own; a figure is floored once a month."""
        later = Fraction(1) if self.window.kind in _BY_DAY else Fraction(1, self.window.count)
        moved = {offset: math.ceil(self.day_maximum_mg * later) for offset in self.window.offsets}
        return {0: math.ceil(self.day_maximum_mg), **moved}

    def month_bounds(self) -> tuple[int, int]:
        """Bound a month's weighted sum in steps of the clamped day."""
        most = MONTH_DAYS_MAX * self.clamped.high * self.window.count
        return bounded(-most, most, "a month's sum")


def own_history(pack: Pack, lowered: Lowered, total: Integer) -> OwnHistory:
    """Check an own-history pack and clamp its day; `total` is a day's sum of values.

    Raises Refused REACH_UNBOUNDED.
    """
    window = _window(pack.baseline)
    if pack.baseline.day_maximum is None:
        raise invalid("own history needs day_maximum", "Add it under [baseline].")
    if pack.purpose is Purpose.FOOTPRINT or pack.caps or pack.rounding:
        raise invalid("an own-history pack has no caps and no rounding: day_maximum clamps the day")
    dual = window.kind is BaselineKind.DUAL_POPULATION_THEN_OWN
    if dual and pack.purpose is not Purpose.POINTS:
        raise Refused(
            REASON_REACH_UNBOUNDED,
            f"Pack {pack.id}: a line beside own history is not linear in the day's quantity.",
            remedy="Give it purpose points and a tariff, whose bound is its own.",
        )
    maximum = pack.baseline.day_maximum
    if window.kind is BaselineKind.OWN_HISTORY_SPEND:
        if pack.baseline.quantity is not None:
            raise invalid("a spend history clamps the day's footprint and names no quantity")
        most = constant(parse_decimal(maximum.value), parse_unit(maximum.unit))
    else:
        steps = _quantity_steps(pack, lowered, maximum)
        most = constant(Fraction(steps), lowered.value.unit)
    if most.unit.dimensions != total.unit.dimensions or most.value <= 0:
        raise invalid("day_maximum does not measure what the day is clamped by, or is not above 0")
    above = combine(Operator.GREATEST, total, constant(Fraction(0), PURE))
    clamped = combine(Operator.LEAST, above, most)
    lost = combine(Operator.SUBTRACT, above, clamped)
    assert isinstance(clamped, Integer)
    assert isinstance(lost, Integer)
    line = _quantity_steps(pack, lowered, _line(pack)) if dual else None
    if line is not None and line > clamped.high:
        raise invalid("the line is above day_maximum")
    return OwnHistory(window, clamped, lost, line)


def _window(baseline: Baseline) -> Window:
    counts = {"years": baseline.years, "months": baseline.months, "days": baseline.days}
    wanted = {
        BaselineKind.OWN_HISTORY_SAME_MONTH: "years",
        BaselineKind.OWN_HISTORY_MEAN: "months",
        BaselineKind.OWN_HISTORY_SPEND: "months",
    }.get(baseline.kind, "days")
    count = counts.pop(wanted)
    if count is None or any(other is not None for other in counts.values()):
        raise invalid(f"{baseline.kind.value} needs {wanted} under [baseline], and neither of the others")
    if (baseline.line is not None) != (baseline.kind is BaselineKind.DUAL_POPULATION_THEN_OWN):
        raise invalid("a line is what dual_population_then_own7 has under [baseline], and no other")
    return Window(baseline.kind, count)


def _quantity_steps(pack: Pack, lowered: Lowered, amount: Amount) -> int:
    """Give an amount in whole steps of the quantity, which the formula must be linear in."""
    quantity = pack.baseline.quantity
    if quantity is None:
        raise invalid("own history needs a quantity", "Name one of [inputs] under [baseline].")
    # Constants leave a term's SQL alone: it is still the bare column exactly if the formula is linear.
    if lowered.value.sql != f"a.{quantity}" or quantity not in pack.inputs:
        raise Refused(
            REASON_REACH_UNBOUNDED,
            f"Pack {pack.id}: the formula is not a positive constant times {quantity}.",
            remedy="Own history is linear in the day's clamped quantity; anything else has no shown bound.",
        )
    unit, one = parse_unit(amount.unit), pack.activity.input(quantity)
    steps = parse_decimal(amount.value) * unit.ratio / one.step
    if unit.dimensions != one.dimension.dimensions or steps.denominator != 1 or steps <= 0:
        raise invalid("day_maximum or line is not a positive whole number of the quantity's steps")
    return steps.numerator


def _line(pack: Pack) -> Amount:
    parameter = pack.parameters.get(pack.baseline.line or "")
    if parameter is None:
        raise invalid("line is none of [parameters]")
    return Amount(value=parameter.value, unit=parameter.unit)
