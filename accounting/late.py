"""Late records and corrections of released days: what a later release of the same series carries of them.

Over all releases of a series the absolute contributions of one person-day stay within its clamp D. A release
is floored once to grams, so that a part of a day moves it by that part rounded up: parts are counted as used
in whole grams, rounded up, and cut to the room that is left. A day's parts follow from the records of that
day alone, whatever order they came in. Days of packs with a month's cap, of own history and of points are no
sums of parts: nothing of them is carried.
"""

# ruff: noqa: S608  (SQL is what this module makes; every word in it passed `literal` or a checked pattern)

from __future__ import annotations

from collections.abc import Sequence

from accounting.compiler import CompiledPack
from accounting.contributions import Measure, clamped_days_sql
from accounting.quantities import MG_PER_GRAM
from accounting.reach import clamped_groups
from accounting.relations import Relations
from protos.epochs import Epoch, end_day, first_day


def carried_packs(measure: Measure) -> tuple[CompiledPack, ...]:
    """Give the packs whose days are clamped together and summed, which late parts can be carried of."""
    if measure.own_history:
        return ()
    return next((group for group in clamped_groups(measure.packs) if group[0].month_limit_mg is None), ())


def own_days_sql(measure: Measure, relations: Relations, epoch: Epoch, holders: str) -> str:
    """Give (person, day, mg) of the month's own days; `holders` is (person, since_day): who has a slot."""
    days = clamped_days_sql(measure, carried_packs(measure), relations, epoch)
    return f"SELECT d.person, d.day, d.mg FROM ({days}) AS d JOIN {holders} AS h ON d.person = h.person"


def late_days_sql(
    measure: Measure, relations: Relations, months: Sequence[Epoch], released: str, holders: str
) -> str:
    """Give (person, day, mg, left_mg): what is carried of each changed day, and what finds no room.

    `released` is (person, day, mg), the parts of all releases so far; `months` are those whose days may still
    change; days before the person's slot belong to nobody.
    """
    days = " UNION ALL ".join(
        f"SELECT person, day, mg AS now, 0 AS net, 0 AS used FROM "
        f"({clamped_days_sql(measure, carried_packs(measure), relations, month)}) AS n"
        for month in months
    )
    open_days = " OR ".join(f"day >= {first_day(month)} AND day < {end_day(month)}" for month in months)
    grams_used = f"(GREATEST(mg, -mg) + {MG_PER_GRAM - 1}) // {MG_PER_GRAM}"
    parts = f"SELECT person, day, 0 AS now, mg AS net, {grams_used} AS used FROM {released} WHERE {open_days}"
    room = f"GREATEST({measure.day_clamp_grams} - SUM(used), 0) * {MG_PER_GRAM}"
    summed = (
        f"SELECT u.person, u.day, SUM(now) - SUM(net) AS wanted, {room} AS room "
        f"FROM ({days} UNION ALL {parts}) AS u JOIN {holders} AS h "
        "ON u.person = h.person AND u.day >= h.since_day GROUP BY u.person, u.day"
    )
    cut = f"SELECT person, day, wanted, GREATEST(LEAST(wanted, room), -room) AS mg FROM ({summed}) AS s"
    left = "GREATEST(wanted, -wanted) - GREATEST(mg, -mg)"
    return (
        f"SELECT person, day, CAST(mg AS BIGINT) AS mg, CAST({left} AS BIGINT) AS left_mg "
        f"FROM ({cut}) AS c WHERE wanted <> 0"
    )
