"""Histograms: the clamp holds for every person, neighbours move tables by no more than the reach."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import (
    COUNT_CELLS_MAX,
    DOMAIN_METHODOLOGY_POOLED,
    REGION_DOMAIN,
    CellTable,
    Histogram,
    Relations,
    dense_tables,
    histogram_loss_sql,
    histogram_sql,
    plan_histogram,
)
from accounting.evaluator import Record
from accounting.packs import Domain
from engine.engine import Engine
from protos.epochs import Epoch, first_day, shift_epoch
from protos.problems import Malformed
from tests.unit.accounting import samples
from tests.unit.accounting.test_compiler import history_pack, language_pack
from tests.unit.accounting.test_contributions import RELATIONS, START, load, trip
from tests.unit.accounting.test_reach import energy

DOMAINS = samples.DOMAINS


def variant(one: CompiledPack, name: str, domain: str) -> CompiledPack:
    fields = {field: getattr(one, field) for field in CompiledPack.__dataclass_fields__}
    pack = one.pack.model_copy(update={"id": f"test.{name}", "domain": Domain(domain)})
    return CompiledPack(**fields | {"pack": pack})


def planned(packs: Sequence[CompiledPack], clamp: int = 1000, order: Sequence[str] = ()) -> Histogram:
    return plan_histogram(
        packs,
        pack_order=order or [one.pack.id for one in packs],
        regions=samples.REGIONS,
        domains=DOMAINS,
        month_clamp_grams=clamp,
    )


def tables(
    engine: Engine, histogram: Histogram, epoch: int = samples.EPOCH, relations: Relations = RELATIONS
) -> dict[str, CellTable]:
    return dense_tables(histogram, engine.rows(histogram_sql(histogram, relations, Epoch(epoch))))


def six_packs() -> list[CompiledPack]:
    trips, signed = language_pack("constant"), language_pack("signed")
    packs = [variant(trips if n % 2 else signed, f"p{n}", DOMAINS[n % 5]) for n in range(5)]
    return [*packs, variant(history_pack(1), "saving", "life")]


def test_cells_stand_where_the_policy_puts_them(engine: Engine) -> None:
    load(engine, [trip(0, START, 10_000, "west"), trip(1, START, 2000), trip(2, START, 2000, "elsewhere")])
    histogram = planned([language_pack("constant")], order=["test.another", "test.sample"])
    got = tables(engine, histogram)
    travel = DOMAINS.index("travel")
    places, methods = got[REGION_DOMAIN], got[DOMAIN_METHODOLOGY_POOLED]
    assert (places.grams[travel], places.grams[len(DOMAINS) + travel]) == (97, 487)
    assert (places.persons[travel], places.persons[len(DOMAINS) + travel]) == (1, 1)
    assert methods == CellTable((0, 0, 487 + 97 + 97, 0), (0, 0, 3, 0))
    assert len(places.grams) == histogram.cells(REGION_DOMAIN) == 10
    assert engine.rows(histogram_loss_sql(histogram, RELATIONS, samples.EPOCH)) == [
        (REGION_DOMAIN, 0, 0, 1),
        (DOMAIN_METHODOLOGY_POOLED, 0, 0, 0),
    ]


def test_the_pooled_have_a_cell_of_their_own(engine: Engine) -> None:
    load(engine, [trip(0, START, 10_000), trip(1, START, 2000)])
    engine.execute("CREATE OR REPLACE TABLE pooled (epoch INTEGER, person BIGINT)")
    engine.execute(f"INSERT INTO pooled VALUES ({samples.EPOCH}, 1), ({samples.EPOCH - 1}, 0)")
    relations = Relations(RELATIONS.activities, "persons", pooled="pooled")
    got = tables(engine, planned([language_pack("constant")]), relations=relations)
    assert got[DOMAIN_METHODOLOGY_POOLED] == CellTable((487, 97), (1, 1))


def test_a_vector_above_the_clamp_shrinks_in_proportion_towards_zero(engine: Engine) -> None:
    load(engine, [trip(0, START, 40_000)], persons=1)
    trips = language_pack("constant")
    packs = [
        variant(trips, "a", "travel"),
        variant(trips, "b", "life"),
        variant(history_pack(1), "c", "life"),
    ]
    got = tables(engine, planned(packs, clamp=1001))
    assert sum(got[REGION_DOMAIN].grams) == 500 + 500
    assert got[DOMAIN_METHODOLOGY_POOLED].grams == (500, 0, 500, 0, 0, 0)
    losses = engine.rows(histogram_loss_sql(planned(packs, clamp=1001), RELATIONS, samples.EPOCH))
    assert losses == [
        (REGION_DOMAIN, 1, 2 * 1_948_000 - 1_001_000, 0),
        (DOMAIN_METHODOLOGY_POOLED, 1, 2 * 1_948_000 - 1_001_000, 0),
    ]


def test_negative_cells_shrink_towards_zero_too(engine: Engine) -> None:
    load(engine, [energy(START, 12_000)])
    got = tables(engine, planned([history_pack(1)], clamp=100))
    assert got[DOMAIN_METHODOLOGY_POOLED] == CellTable((-100, 0), (1, 0))
    load(engine, [energy(START, 1)])
    assert tables(engine, planned([history_pack(1)]))[DOMAIN_METHODOLOGY_POOLED] == CellTable((0, 0), (1, 0))


def test_a_dark_meter_never_reaches_the_pool(engine: Engine) -> None:
    load(engine, [energy(first_day(shift_epoch(samples.EPOCH, -12)), 12_000)])
    assert tables(engine, planned([history_pack(1)]))[DOMAIN_METHODOLOGY_POOLED] == CellTable((0, 0), (0, 0))


def test_excluded_and_foreign_persons_are_in_no_cell(engine: Engine) -> None:
    load(engine, [trip(0, START, 10_000), trip(9, START, 10_000)], persons=2)
    engine.execute(
        "CREATE OR REPLACE TABLE exclusions AS "
        f"SELECT {samples.EPOCH} AS epoch, CAST(0 AS BIGINT) AS person, 'OC-TRIP' AS overlap_class"
    )
    relations = Relations(RELATIONS.activities, "persons", exclusions="exclusions")
    got = tables(engine, planned([language_pack("constant")]), relations=relations)
    assert sum(got[REGION_DOMAIN].persons) == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), clamp=st.sampled_from([1, 7, 1000, 60_000, 4_000_000]))
def test_nobody_moves_the_tables_beyond_the_reach(data: st.DataObject, clamp: int, engine: Engine) -> None:
    """Add one person-month to a population; sum over this month's and the next year's tables."""
    histogram = planned(six_packs(), clamp)
    trips = st.builds(
        trip,
        st.integers(0, 2),
        st.integers(START, START + 1),
        st.sampled_from([-1000, 0, 1, 15, 300_000]),
        st.sampled_from([*samples.REGIONS, "elsewhere"]),
    )
    meters = st.builds(energy, st.sampled_from([START, START + 365, START - 366]), st.integers(-500, 100_000))
    rest = [
        one
        for one in data.draw(st.lists(st.one_of(trips, meters), max_size=12))
        if one.person != 1 or not START <= one.day < START + 31
    ]
    added: list[Record] = [
        Record(1, one.day, one.region, one.inputs) for one in data.draw(st.lists(trips, max_size=6))
    ]
    added += data.draw(st.lists(st.builds(energy, st.just(START), st.integers(0, 100_000)), max_size=2))
    seen: list[list[dict[str, CellTable]]] = []
    for records in (rest, [*rest, *added]):
        load(engine, records)
        epochs = (samples.EPOCH, shift_epoch(samples.EPOCH, 12))
        seen.append([tables(engine, histogram, epoch) for epoch in epochs])
    for table_id in (REGION_DOMAIN, DOMAIN_METHODOLOGY_POOLED):
        pairs = [(a[table_id], b[table_id]) for a, b in zip(*seen, strict=True)]
        grams = sum(abs(x - y) for a, b in pairs for x, y in zip(a.grams, b.grams, strict=True))
        persons = sum(abs(x - y) for a, b in pairs for x, y in zip(a.persons, b.persons, strict=True))
        assert grams <= histogram.sum_reach_grams
        assert persons <= histogram.count_reach == COUNT_CELLS_MAX


def test_counts_take_the_first_four_cells(engine: Engine) -> None:
    load(engine, [trip(1, START, 1000), energy(START, 1000)])
    got = tables(engine, planned(six_packs()))
    assert sum(got[DOMAIN_METHODOLOGY_POOLED].persons) == 4
    assert sum(got[REGION_DOMAIN].persons) == 4
    assert got[DOMAIN_METHODOLOGY_POOLED].persons == (1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0)


def test_an_enterprise_without_credit_packs_has_empty_tables(engine: Engine) -> None:
    load(engine, [])
    footprint = compile_pack(samples.shipped("con.retail_footprint"))
    histogram = planned([footprint], order=["con.retail_footprint"])
    assert histogram.packs == ()
    assert tables(engine, histogram)[DOMAIN_METHODOLOGY_POOLED] == CellTable((0, 0), (0, 0))


@pytest.mark.parametrize(
    "changes",
    [
        {"pack_order": ["test.another"]},
        {"domains": ["life"]},
        {"regions": []},
        {"regions": ["east", "east"]},
        {"regions": ["east'"]},
        {"month_clamp_grams": 4_000_001},
    ],
)
def test_histograms_that_do_not_fit_the_policy_are_refused(changes: dict[str, object]) -> None:
    arguments: dict[str, object] = {
        "pack_order": ["test.sample"],
        "regions": samples.REGIONS,
        "domains": DOMAINS,
        "month_clamp_grams": 1000,
    }
    with pytest.raises(Malformed):
        plan_histogram([language_pack("constant")], **arguments | changes)  # type: ignore[arg-type]
