"""Packs to SQL: formulas typed and scaled, bounds proved, worked examples checked; then a pack may run."""

from __future__ import annotations

from fractions import Fraction

from accounting.compiled import CompiledPack, sum_of
from accounting.conditions import RoundingPer
from accounting.history import MONTH_DAYS_MAX, own_history
from accounting.lowering import Lowered, day_cap, lower, month_cap, rounding_step
from accounting.packs import Pack
from accounting.tariffs import check_tariff
from accounting.terms import bounded, floor_sql, floored_interval, invalid
from accounting.vectors import check_vectors
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_PACK_INVALID

__all__ = ["CompiledPack", "compile_pack", "floor_sql", "prove_pack"]


def compile_pack(pack: Pack) -> CompiledPack:
    """Type and scale the formula, prove its bounds, check its vectors; PACK_INVALID says why not."""
    compiled = prove_pack(pack)
    check_vectors(pack)
    return compiled


def prove_pack(pack: Pack) -> CompiledPack:
    """Compile a pack without its worked examples: for authors, who compare variants of one.

    Raises Malformed PACK_INVALID.
    """
    try:
        lowered = lower(pack)
        compiled = (_compile_history if pack.baseline.own_history else _compile_records)(pack, lowered)
        if pack.tariff is not None:
            check_tariff(compiled)
    except Malformed as problem:
        raise Malformed(
            REASON_PACK_INVALID, f"Pack {pack.id}: {problem.message}", remedy=problem.remedy
        ) from problem
    return compiled


def _compile_records(pack: Pack, lowered: Lowered) -> CompiledPack:
    baseline = pack.baseline
    if any(
        (
            baseline.quantity,
            baseline.day_maximum,
            baseline.years,
            baseline.months,
            baseline.days,
            baseline.line,
        )
    ):
        raise invalid("all but kind and text belong to own-history baselines")
    value = lowered.value
    capped = day_cap(pack, lowered, sum_of(value, pack.activity.records_per_day_max))
    step = rounding_step(pack, RoundingPer.DAY) or Fraction(1)
    steps = floored_interval(capped.low, capped.high, capped.unit.ratio / step, "a day's reduction")
    day = (steps[0] * step.numerator, steps[1] * step.numerator)
    month = bounded(MONTH_DAYS_MAX * min(day[0], 0), MONTH_DAYS_MAX * max(day[1], 0), "a month's reduction")
    limit = month_cap(pack, lowered)
    if limit is not None:
        month = (month[0], min(month[1], limit))
    return CompiledPack(
        pack, lowered, value.unit.ratio, (value.low, value.high), day, month, limit, history=None
    )


def _compile_history(pack: Pack, lowered: Lowered) -> CompiledPack:
    value = lowered.value
    history = own_history(pack, lowered, sum_of(value, pack.activity.records_per_day_max))
    low, high = history.month_bounds()
    scale = history.clamped.unit.ratio
    month = floored_interval(low, high, scale / history.window.count, "a month's reduction")
    day = floored_interval(0, history.clamped.high, scale, "a day's quantity")
    return CompiledPack(
        pack, lowered, value.unit.ratio, (value.low, value.high), day, month, None, history=history
    )
