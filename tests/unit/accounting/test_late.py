"""Late records and corrections, attacked: all releases of a series move by one day's clamp at most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.contributions import plan_measure, statement_sql
from accounting.evaluator import Record
from accounting.late import carried_packs, late_days_sql, own_days_sql
from accounting.packs import CapPer
from engine.engine import Engine
from protos.epochs import first_day, shift_epoch
from tests.unit.accounting import samples
from tests.unit.accounting.test_compiler import history_pack, language_pack
from tests.unit.accounting.test_contributions import RELATIONS, START, trip

CLAMP = 100
MEASURE = plan_measure("m", [language_pack("constant")], CLAMP)
# Neighbours differ by this in their number.
WITHOUT = 1000
RELEASES = 5
MONTHS = tuple(shift_epoch(samples.EPOCH, place) for place in range(RELEASES))
CUT = "GREATEST(LEAST(wanted, room), -room)"

# Metres of the attacked day as each release finds it: nothing, around 1 mg and 1 g, half the clamp, beyond.
EXTREMES = (0, 1, 20, 21, 1_026, 1_027, 2_053, 2_054, 200_000)
HISTORIES = st.lists(
    st.lists(st.sampled_from(EXTREMES) | st.integers(0, 3_000), min_size=RELEASES, max_size=RELEASES),
    min_size=20,
    max_size=20,
)


def base(person: int) -> list[Record]:
    """Give what a person has in both worlds: a day beside the attacked one, and one in every later month."""
    days = [START + 6, *(first_day(month) for month in MONTHS[1:])]
    return [trip(person, day, 37 * (person % WITHOUT + 1) % 2_000) for day in days]


def released(
    engine: Engine, histories: Sequence[Sequence[int]], *, cut: str = CUT, since: int = 0
) -> list[dict[int, int]]:
    """Release five months of persons and their neighbours without the attacked day; give the statements."""
    persons = [number for place in range(len(histories)) for number in (place, place + WITHOUT)]
    samples.load_persons(engine, dict.fromkeys(persons, (0, None)))
    numbers = np.array(persons, dtype=np.int64)
    holders = {"person": numbers, "since_day": np.full(len(persons), since, dtype=np.int64)}
    engine.register("holders", holders, {"person": "BIGINT", "since_day": "INTEGER"})
    engine.execute("CREATE OR REPLACE TABLE released (person BIGINT, day INTEGER, mg BIGINT)")
    found = []
    for place, month in enumerate(MONTHS):
        records = [record for person in persons for record in base(person)]
        records += [trip(person, START + 4, history[place]) for person, history in enumerate(histories)]
        samples.load_records(engine, "trip_acts", samples.activities()["test.trip"], records)
        late = late_days_sql(MEASURE, RELATIONS, MONTHS[:place] or MONTHS[:1], "released", "holders")
        late = late.replace(CUT, cut) if place else f"{late} AND 1 = 0"
        engine.execute(f"CREATE OR REPLACE TABLE late AS {late}")
        found.append(dict(engine.rows(statement_sql(MEASURE, RELATIONS, month, "late"))))
        own = own_days_sql(MEASURE, RELATIONS, month, "holders")
        engine.execute(f"INSERT INTO released {own} UNION ALL SELECT person, day, mg FROM late")
    return found


def distances(statements: Sequence[dict[int, int]], persons: int) -> list[int]:
    """Give how far each attacked person's statements are from the neighbour's, all releases together."""
    return [
        sum(abs(month[person] - month[person + WITHOUT]) for month in statements) for person in range(persons)
    ]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories=HISTORIES)
def test_one_day_moves_all_releases_by_its_clamp_at_most(histories: list[list[int]], engine: Engine) -> None:
    assert max(distances(released(engine, histories), len(histories))) <= CLAMP


def test_corrections_back_and_forth_use_the_clamp_up(engine: Engine) -> None:
    back_and_forth = [0, 2_054, 0, 2_054, 0]
    half = [1_026, 0, 1_026, 0, 1_026]
    late = [0, 0, 0, 0, 200_000]
    statements = released(engine, [back_and_forth, half, late])
    assert distances(statements, 3) == [CLAMP, CLAMP, CLAMP]
    assert [month[2] - month[2 + WITHOUT] for month in statements] == [0, 0, 0, 0, CLAMP]


def test_a_part_counts_as_the_gram_it_can_move(engine: Engine) -> None:
    """48.7 mg a metre: one metre more or less each month moves a statement by a gram now and then."""
    assert max(distances(released(engine, [[2_033, 2_034, 2_033, 2_034, 2_033]] * 30), 30)) <= CLAMP


def test_without_the_room_the_bound_does_not_hold(engine: Engine) -> None:
    statements = released(engine, [[0, 2_054, 0, 2_054, 0]], cut="wanted")
    assert distances(statements, 1)[0] > 3 * CLAMP


def test_what_is_in_time_needs_no_late_part_and_what_fits_is_told_in_full(engine: Engine) -> None:
    statements = released(engine, [[500, 500, 500, 500, 500], [500, 900, 900, 700, 700]])
    parts = f"SELECT person, SUM(mg) FROM released WHERE day = {START + 4} GROUP BY person ORDER BY person"
    assert engine.rows(parts) == [(0, 24_350), (1, 34_090)]
    assert sum(month[0] for month in statements) - sum(month[WITHOUT] for month in statements) in (24, 25)


def test_days_before_a_persons_slot_are_not_carried(engine: Engine) -> None:
    statements = released(engine, [[0, 900, 900, 900, 900]], since=first_day(MONTHS[1]))
    assert distances(statements, 1) == [0]


def test_own_history_and_month_capped_packs_carry_nothing() -> None:
    assert carried_packs(plan_measure("m", [history_pack(1)], 0)) == ()
    cap = [{"of": "reduction", "maximum": "1", "unit": "kgCO2e", "per": CapPer.MONTH.value}]
    cap[0] |= {"source": "made for tests", "confidence": "illustrative"}
    capped = samples.compiled(caps=cap)
    assert capped.month_limit_mg is not None
    assert carried_packs(plan_measure("m", [capped], 100)) == ()
