"""The oracle by month: own history, month caps and points in exact fractions, day by day, without any SQL."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from accounting.conditions import TariffOf, TariffPer, scale_of
from accounting.evaluator import (
    Record,
    evaluate_record,
    linear_factor,
    maximum_of,
    person_days,
    valid_on,
)
from accounting.packs import BaselineKind, CapPer, Pack
from accounting.quantities import parse_decimal, parse_unit
from protos.epochs import Epoch, checked_epoch, end_day, epoch_of, first_day, shift_epoch

Dates = tuple[int, int | None]


def person_months(
    pack: Pack, records: Sequence[Record], persons: Mapping[int, Dates], epoch: int
) -> dict[int, int]:
    """Give a month's mg by person; persons map to (since_day, until_day)."""
    month = checked_epoch(epoch)
    if not pack.baseline.own_history:
        total: Counter[int] = Counter()
        for (person, day), mg in person_days(pack, records).items():
            if epoch_of(day) == month:
                total[person] += mg
        limit = _month_limit(pack)
        return {person: mg if limit is None else min(mg, limit) for person, mg in total.items()}
    days = history_days(pack, records)
    return {
        person: math.floor(history_saving(pack, _of_person(days, person), month)[0])
        for person in {one for one, _ in days}
        if person in persons and eligible(pack, persons[person], month)
    }


def _of_person(days: Mapping[tuple[int, int], Fraction], person: int) -> dict[int, Fraction]:
    return {day: mg for (one, day), mg in days.items() if one == person}


def _month_limit(pack: Pack) -> int | None:
    """Give the most mg of a month; a cap on an input is one on its constant multiple."""
    limits = []
    for cap in pack.caps:
        if cap.per is CapPer.MONTH:
            limit = maximum_of(cap)
            if cap.of != "reduction":
                limit *= _per_unit(pack, cap.of)
            limits.append(math.floor(limit))
    return min(limits, default=None)


def _per_unit(pack: Pack, name: str) -> Fraction:
    """Give the mg of one base unit of the input a pack is linear in."""
    uncapped = pack.model_copy(update={"caps": (), "rounding": None, "applies_when": None})
    uncapped = uncapped.model_copy(update={"applicability": type(pack.applicability)(), "exclusions": ()})
    inputs: dict[str, int | str] = {one.name: 1 for one in pack.activity.inputs}
    value = evaluate_record(uncapped, inputs, pack.since_day or 0)
    assert value is not None
    return value / pack.activity.input(name).step


def first_needed(pack: Pack, month: Epoch) -> int:
    """Give the first day a contract must cover for the month."""
    baseline = pack.baseline
    if baseline.days is not None:
        return first_day(month) - baseline.days
    return first_day(shift_epoch(month, -(12 * (baseline.years or 0) + (baseline.months or 0))))


def eligible(pack: Pack, dates: Dates, month: Epoch) -> bool:
    """Tell whether a person's dates cover the month and its baseline, and the pack is in force."""
    since, until = dates
    end = end_day(month)
    in_force = valid_on(pack, first_day(month)) and valid_on(pack, end - 1)
    return in_force and since <= first_needed(pack, month) and (until is None or until >= end)


def history_days(pack: Pack, records: Iterable[Record]) -> dict[tuple[int, int], Fraction]:
    """Give the clamped day in mg by (person, day)."""
    assert pack.baseline.day_maximum is not None
    most = parse_decimal(pack.baseline.day_maximum.value) * parse_unit(pack.baseline.day_maximum.unit).ratio
    if pack.baseline.quantity is not None:
        most *= linear_factor(pack, 0) / pack.activity.input(pack.baseline.quantity).step
    total: defaultdict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for record in records:
        value = record.reduction(pack)
        if value is not None:
            total[record.person, record.day] += value
    return {key: max(Fraction(0), min(mg, most)) for key, mg in total.items()}


def history_saving(pack: Pack, days: Mapping[int, Fraction], month: Epoch) -> tuple[Fraction, Fraction]:
    """Give one person's saving and baseline of a month in mg, from clamped days."""
    baseline = pack.baseline
    now = {day: mg for day, mg in days.items() if epoch_of(day) == month}
    if baseline.days is not None:
        return _by_days(pack, days, now, month, baseline.days), Fraction(0)
    step, count = (12, baseline.years) if baseline.years is not None else (1, baseline.months)
    assert count is not None
    earlier = [shift_epoch(month, -step * number) for number in range(1, count + 1)]
    mean = Fraction(sum(mg for day, mg in days.items() if epoch_of(day) in earlier)) / count
    return mean - sum(now.values()), mean


def _by_days(
    pack: Pack, days: Mapping[int, Fraction], now: Mapping[int, Fraction], month: Epoch, count: int
) -> Fraction:
    """Compare each day with the mean of the days before; a line stands first, on days with records alone."""

    def mean(day: int) -> Fraction:
        return Fraction(sum(days.get(day - back, Fraction(0)) for back in range(1, count + 1))) / count

    if pack.baseline.kind is BaselineKind.OWN_MOVING_AVERAGE:
        whole = range(first_day(month), end_day(month))
        return Fraction(sum(mean(day) - now.get(day, Fraction(0)) for day in whole))
    parameter = pack.parameters[pack.baseline.line or ""]
    step = pack.activity.input(pack.baseline.quantity or "").step
    line = parse_decimal(parameter.value) * parse_unit(parameter.unit).ratio / step * linear_factor(pack, 0)
    return Fraction(sum((line if used < line else mean(day)) - used for day, used in now.items()))


def person_points(
    pack: Pack, records: Sequence[Record], persons: Mapping[int, Dates], epoch: int
) -> dict[int, int]:
    """Give a month's points by person."""
    month, tariff = checked_epoch(epoch), pack.tariff
    assert tariff is not None
    scale = scale_of(tariff)
    amounts = _amounts(pack, records, persons, month)
    points = {
        person: sum(min(scale.points(amount), tariff.maximum) for amount in parts)
        for person, parts in amounts.items()
    }
    most = tariff.month_maximum
    return {person: total if most is None else min(total, most) for person, total in points.items()}


def _amounts(
    pack: Pack, records: Sequence[Record], persons: Mapping[int, Dates], month: Epoch
) -> dict[int, list[Fraction]]:
    """Give what points are reckoned for, by person: one amount a day, or one for the month."""
    assert pack.tariff is not None
    of, by_day = pack.tariff.of, pack.tariff.per is TariffPer.DAY
    if of is TariffOf.SHARE:
        return _shares(pack, records, persons, month)
    if of is TariffOf.REDUCTION and not by_day:
        months = person_months(pack, records, persons, month)
        return {person: [Fraction(mg)] for person, mg in months.items()}
    days = {key: mg for key, mg in person_days(pack, records).items() if epoch_of(key[1]) == month}
    counted = _record_counts(pack, records)
    found: defaultdict[int, list[Fraction]] = defaultdict(list)
    for (person, day), mg in sorted(days.items()):
        found[person].append(Fraction(mg if of is TariffOf.REDUCTION else counted[person, day]))
    if of is TariffOf.STREAK:
        return {one: [Fraction(_longest_run(day for who, day in days if who == one))] for one in found}
    return dict(found) if by_day else {person: [sum(parts, Fraction(0))] for person, parts in found.items()}


def _shares(
    pack: Pack, records: Sequence[Record], persons: Mapping[int, Dates], month: Epoch
) -> dict[int, list[Fraction]]:
    days = history_days(pack, records)
    found = {}
    for person in {one for one, _ in days}:
        saving, mean = history_saving(pack, _of_person(days, person), month)
        if person in persons and eligible(pack, persons[person], month):
            found[person] = [saving / mean if mean > 0 else Fraction(0)]
    return found


def _record_counts(pack: Pack, records: Sequence[Record]) -> Counter[tuple[int, int]]:
    return Counter((record.person, record.day) for record in records if record.reduction(pack) is not None)


def _longest_run(days: Iterable[int]) -> int:
    numbered = ((day - index, day) for index, day in enumerate(sorted(days)))
    runs = itertools.groupby(numbered, key=lambda pair: pair[0])
    return max((sum(1 for _ in run) for _, run in runs), default=0)
