"""Every pack that ships, attacked: no extremal person-day moves its releases further than its reach."""

from __future__ import annotations

import itertools

from accounting.activities import InputKind
from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import Relations, plan_measure, statement_sql
from accounting.evaluator import Record, valid_on
from accounting.packs import Pack, Purpose
from accounting.tariffs import plan_points, points_statement_sql
from engine.engine import Engine
from protos.epochs import Epoch, epoch_of, first_day, shift_epoch
from tests.unit.accounting import samples

CLAMP = 500
# The neighbour of a person has the same records but those of the attacked day.
WITHOUT = 10_000
VARIANTS_MAX = 120


def attacks(pack: Pack, day: int) -> list[list[Record]]:
    """Give attacked days: every input at its ends and near zero, known keys, one record and several."""
    values: list[tuple[int | str, ...]] = []
    for one in pack.activity.inputs:
        ends = (one.maximum, max(one.minimum, 0), one.minimum, 1)
        values.append(words(pack, one.name) if one.kind is InputKind.KEY else ends)
    names = [one.name for one in pack.activity.inputs]
    found = []
    for combination in itertools.islice(itertools.product(*values), VARIANTS_MAX // 2):
        record = Record(0, day, "east", dict(zip(names, combination, strict=True)))
        found += [[record], [record] * min(pack.activity.records_per_day_max, 12)]
    return found


def words(pack: Pack, name: str) -> tuple[str, ...]:
    """Give keys an input may hold, those of the pack's own vectors first."""
    said = [one.inputs for one in pack.vectors if one.inputs]
    said += [row.inputs for one in pack.vectors for row in one.records]
    return tuple(dict.fromkeys([*(inputs[name] for inputs in said), *samples.known_keys(pack)]))[:4]


def moved(engine: Engine, one: CompiledPack) -> tuple[int, int]:
    """Give the most that any attack moves all releases together, and the reach."""
    pack, month = one.pack, samples.EPOCH
    if not valid_on(pack, first_day(month)):
        month = epoch_of((pack.since_day or 0) + 31)
    variants = attacks(pack, first_day(month) + 4)
    records, persons = [], {}
    for number, variant in enumerate(variants):
        beside = [Record(0, first_day(month) + 9, row.region, row.inputs) for row in variant[: number % 2]]
        for person, rows in ((number, [*variant, *beside]), (number + WITHOUT, beside)):
            persons[person] = (0, None)
            records += [Record(person, row.day, row.region, row.inputs) for row in rows]
    samples.load_persons(engine, persons)
    samples.load_records(engine, "acts", pack.activity, records)
    relations = Relations({pack.activity.code: "acts"}, "persons")
    distances = dict.fromkeys(range(len(variants)), 0)
    for offset in (0, *(one.history.window.offsets if one.history else ())):
        sql, reach = asked(one, relations, Epoch(shift_epoch(month, offset)))
        amounts = dict(engine.rows(sql))
        for number in distances:
            distances[number] += abs(amounts[number] - amounts[number + WITHOUT])
    return max(distances.values()), reach


def asked(one: CompiledPack, relations: Relations, epoch: Epoch) -> tuple[str, int]:
    if one.pack.purpose is Purpose.POINTS:
        points = plan_points("m", [one])
        return points_statement_sql(points, relations, epoch), points.reach.points
    measure = plan_measure("m", [one], 0 if one.own_history else CLAMP)
    return statement_sql(measure, relations, epoch), measure.reach.grams


def test_no_extremal_day_of_any_shipped_pack_goes_further_than_its_reach(engine: Engine) -> None:
    still = []
    for pack_id in samples.shipped_ids():
        one = compile_pack(samples.shipped(pack_id))
        if one.pack.purpose is Purpose.FOOTPRINT:
            continue
        most, reach = moved(engine, one)
        assert most <= reach, pack_id
        if not most:
            still.append(pack_id)
    assert still == [], "an attack that moves nothing shows nothing"
