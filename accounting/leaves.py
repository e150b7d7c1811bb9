"""What a statement in grams is made of, leaf by leaf, and the raw records behind each leaf.

A leaf is a person-day, or the whole month (day 0) where no day stands alone: own history, period records,
packs with a month's cap. It has a plus and a minus in mg: own history's baseline and actual; of anything else
the clamped amount is the plus. The same text makes leaves at a node and checks opened ones at an auditor.
"""

# ruff: noqa: S608  (SQL is what this module makes; every word in it passed `literal` or a checked pattern)

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from accounting.activities import RESERVED_COLUMNS, Activity
from accounting.compiler import CompiledPack, floor_sql
from accounting.contributions import Measure, clamped_days_sql
from accounting.late import carried_packs
from accounting.lowering import literal
from accounting.periods import PeriodMeasure
from accounting.quantities import MG_PER_GRAM
from accounting.reach import clamped_groups
from accounting.relations import Relations
from protos.epochs import Epoch, end_day, first_day

WHOLE_MONTH = 0
# Between the fields of a record's text; keys and regions are words, which hold no such character.
SEPARATOR = "\x1f"
_BETWEEN = " || chr(31) || "


def leaves_sql(measure: Measure | PeriodMeasure, relations: Relations, epoch: Epoch) -> str:
    """Give (person, day, plus, minus) in mg of every leaf of the month that is not zero."""
    if isinstance(measure, PeriodMeasure):
        parts = [_period_sql(measure, relations, epoch)]
    elif measure.own_history:
        parts = [_history_sql(one, relations, epoch) for one in measure.packs]
    else:
        parts = [_group_sql(measure, group, relations, epoch) for group in clamped_groups(measure.packs)]
    return (
        "SELECT person, CAST(day AS INTEGER) AS day, CAST(SUM(plus) AS BIGINT) AS plus, "
        f"CAST(SUM(minus) AS BIGINT) AS minus FROM ({' UNION ALL '.join(parts)}) AS l "
        "GROUP BY person, day HAVING SUM(plus) + SUM(minus) > 0"
    )


def whole_month_packs(measure: Measure | PeriodMeasure) -> tuple[CompiledPack, ...]:
    """Give the packs whose records stand behind a whole month's leaf."""
    by_day = day_packs(measure)
    return tuple(one for one in measure.packs if one not in by_day)


def day_packs(measure: Measure | PeriodMeasure) -> tuple[CompiledPack, ...]:
    """Give the packs whose records stand behind a day's leaf."""
    return () if isinstance(measure, PeriodMeasure) else carried_packs(measure)


def records_sql(
    measure: Measure | PeriodMeasure, relations: Relations, epoch: Epoch, leaves: str
) -> dict[str, str]:
    """Give by activity (number, person, and the activity's columns) of the records behind each leaf.

    `leaves` is (number, person, day); days outside the epoch are late parts of earlier months.
    """
    parts: dict[str, list[str]] = {}
    for packs, same_leaf in (
        (day_packs(measure), "l.day = a.day"),
        (whole_month_packs(measure), f"l.day = {WHOLE_MONTH}"),
    ):
        for code, mine in _by_activity(packs).items():
            within = "1 = 1" if packs == day_packs(measure) else _spans(mine, epoch)
            by_day = packs == day_packs(measure)
            included = " OR ".join(
                f"({relations.included_on(one, 'a') if by_day else relations.included(one, 'a', epoch)})"
                for one in mine
            )
            columns = ", ".join(f"a.{name}" for name in mine[0].pack.activity.columns())
            parts.setdefault(code, []).append(
                f"SELECT l.number, {columns} FROM {relations.of(mine[0])} AS a JOIN {leaves} AS l "
                f"ON l.person = a.person AND {same_leaf} WHERE ({within}) AND ({included})"
            )
    return {code: " UNION ALL ".join(found) for code, found in sorted(parts.items())}


def roots_sql(
    measure: Measure | PeriodMeasure, records: Mapping[str, str], contracts: str | None = None
) -> str:
    """Give (number, root): hex SHA-256 over the ascending hex SHA-256 of the texts behind each leaf (DuckDB).

    `records` names a table of `records_sql` for each activity; `contracts` one of (number, since_day,
    until_day) where the measure reads persons' dates.
    """
    activities = {one.pack.activity.code: one.pack.activity for one in measure.packs}
    texts = [
        f"SELECT number, {_text_sql(activities[code])} AS text FROM {name}" for code, name in records.items()
    ]
    if contracts is not None:
        dates = _BETWEEN.join([literal("contract"), *map(_word, ("since_day", "until_day"))])
        texts.append(f"SELECT number, {dates} AS text FROM {contracts}")
    hashed = f"SELECT number, sha256(text) AS hash FROM ({' UNION ALL '.join(texts)}) AS t"
    root = "sha256(string_agg(hash, '' ORDER BY hash)) AS root"
    return f"SELECT number, {root} FROM ({hashed}) AS h GROUP BY number"


def reads_contracts(measure: Measure | PeriodMeasure) -> bool:
    """Say whether persons' dates stand behind a whole month's leaf."""
    return isinstance(measure, Measure) and measure.own_history


def record_text(activity: Activity, record: Mapping[str, object]) -> str:
    """Write what is hashed of one record, as `roots_sql` does: its id last, since it may hold anything."""
    fields = [activity.code, record["day"], record["region"]]
    fields += [record[name] for name in activity.columns() if name not in RESERVED_COLUMNS]
    return SEPARATOR.join("" if one is None else str(one) for one in (*fields, record["record"]))


def contract_text(since_day: int, until_day: int | None) -> str:
    """Write what is hashed of a person's dates, which decide whether own history counts."""
    return SEPARATOR.join(("contract", str(since_day), "" if until_day is None else str(until_day)))


def record_root(texts: Iterable[str]) -> bytes:
    """Give the root over texts, 32 bytes, whatever order they come in."""
    hashes = sorted(hashlib.sha256(text.encode()).hexdigest() for text in texts)
    return hashlib.sha256("".join(hashes).encode()).digest()


def pack_names(measure: Measure | PeriodMeasure) -> tuple[str, ...]:
    """Name a measure's packs as evidence does, id@version."""
    return tuple(f"{one.pack.id}@{one.pack.version}" for one in measure.packs)


def _group_sql(measure: Measure, group: Sequence[CompiledPack], relations: Relations, epoch: Epoch) -> str:
    days, limit = clamped_days_sql(measure, group, relations, epoch), group[0].month_limit_mg
    if limit is None:
        return f"SELECT person, day, mg AS plus, 0 AS minus FROM ({days}) AS d"
    return (
        f"SELECT person, {WHOLE_MONTH} AS day, LEAST(SUM(mg), {limit}) AS plus, 0 AS minus "
        f"FROM ({days}) AS d GROUP BY person"
    )


def _history_sql(one: CompiledPack, relations: Relations, epoch: Epoch) -> str:
    """Split an own-history month into baseline and actual, rounded so that they differ by the month's mg."""
    assert one.history is not None
    scale = one.history.clamped.unit.ratio / one.history.window.count
    actual = floor_sql(f"((total - base) * {scale.numerator})", -1, scale.denominator)
    minus = f"GREATEST(-({actual}), 0)"
    month = one.person_month_sql(relations.of(one), relations.persons, epoch)
    return (
        f"SELECT person, {WHOLE_MONTH} AS day, mg + {minus} AS plus, {minus} AS minus "
        f"FROM ({month}) AS m WHERE {relations.included(one, 'm', epoch)}"
    )


def _period_sql(measure: PeriodMeasure, relations: Relations, epoch: Epoch) -> str:
    parts = []
    for one in measure.packs:
        month = relations.months_of(one, epoch)
        parts.append(f"SELECT x.person, x.mg FROM ({month}) AS x WHERE {relations.included(one, 'x', epoch)}")
    months = " UNION ALL ".join(parts)
    clamped = f"GREATEST(LEAST(SUM(mg), {measure.month_clamp_grams * MG_PER_GRAM}), 0)"
    return (
        f"SELECT person, {WHOLE_MONTH} AS day, {clamped} AS plus, 0 AS minus FROM ({months}) AS m "
        "GROUP BY person"
    )


def _by_activity(packs: Sequence[CompiledPack]) -> dict[str, list[CompiledPack]]:
    found: dict[str, list[CompiledPack]] = {}
    for one in packs:
        found.setdefault(one.pack.activity.code, []).append(one)
    return found


def _spans(packs: Sequence[CompiledPack], epoch: Epoch) -> str:
    """Give the days that a whole month's figure reads of an activity."""
    spans = {(first_day(epoch), end_day(epoch))}
    for one in packs:
        spans.update(one.history.window.spans(epoch) if one.history else ())
    return " OR ".join(f"(a.day >= {first} AND a.day < {end})" for first, end in sorted(spans))


def _text_sql(activity: Activity) -> str:
    inputs = [name for name in activity.columns() if name not in RESERVED_COLUMNS]
    return _BETWEEN.join([literal(activity.code), *map(_word, ("day", "region", *inputs, "record"))])


def _word(name: str) -> str:
    return f"COALESCE(CAST({name} AS VARCHAR), '')"
