"""The packs that ship: they load, compile, keep their examples, and are what they are known to be."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import examples.federation as federation
from accounting.compiler import compile_pack
from accounting.documents import day_of
from accounting.evaluator import Record
from accounting.factors import parse_table
from accounting.months import person_months, person_points
from accounting.packs import BaselineKind, Pack, parse_canonical
from accounting.reach import measure_reach
from accounting.tariffs import PointsReach, pack_reach
from protos.epochs import end_day, first_day, shift_epoch
from tests.unit.accounting import samples

RETAILER = Path(federation.__file__).parent / "retailer"


# The catalogue's worked examples in kg CO2e, with the decimals they are given in.
CATALOGUE = {
    "trv.shared_bike": "0.0974",
    "trv.shared_ebike": "0.1854",
    "trv.bike_mix": "0.135876",
    "trv.bike_wuhan": "0.04",
    "trv.metro_trip_mean": "1.031",
    "trv.metro_trip_subst": "1.0838",
    "trv.metro_wuhan": "0.17",
    "trv.bus_pkm": "0.7968",
    "trv.metro_pkm": "1.518",
    "trv.jjj_low_carbon": "1.442",
    "trv.walk_steps": "0.2",
    "trv.carpool": "1.19343",
    "trv.ev_drive": "2.289",
    "trv.car_free_day": "8.17",
    "tour.hsr_vs_air": "93.384",
    "tour.hsr_vs_car": "17.421",
    "tour.green_stay": "8.4",
    "tour.no_toiletries": "0.05",
    "tour.e_ticket": "0.005",
    "con.no_cutlery": "0.02",
    "con.own_cup": "0.02",
    "con.plant_meal": "0.8",
    "con.secondhand_phone": "25",
    "con.idle_goods": "5.16",
    "con.used_clothes": "18",
    "con.e_receipt": "0.015",
    "con.online_bill": "0.07584",
    "con.digital_bank": "0.04",
    "con.spend_footprint": "20",
    "con.fewer_clothes": "6.4",
    "con.efficient_ac": "1.34124",
    "con.heat_pump_water": "2.47613",
    "con.milk_carton": "0.5",
    "life.elec_own2y": "15.918",
    "life.gas_own2y": "6.486",
    "life.water_own2y": "0.788",
    "life.elec_shenzhen": "0.3125",
    "life.rooftop_pv": "5.306",
    "life.clean_plate": "0.047",
    "life.sorting": "2",
    "life.online_meeting": "2.4065",
    "pub.tree_planting": "1.12",
    "pub.reserve_guard": "2.5",
    "pub.book_donation": "1.5",
    "pub.volunteer": "0",
}


@pytest.mark.parametrize("pack_id", samples.shipped_ids())
def test_every_pack_compiles_and_keeps_its_examples(pack_id: str) -> None:
    pack = samples.shipped(pack_id)
    assert (pack.id, pack.version) == (pack_id, 1)
    compiled = compile_pack(parse_canonical(pack.canonical_bytes()))
    assert compiled.pack == pack
    assert len(pack.canonical_bytes()) < 131_072


@pytest.mark.parametrize("pack_id", sorted(CATALOGUE))
def test_every_methodology_of_the_catalogue_has_a_pack_whose_example_holds(pack_id: str) -> None:
    first, text = samples.shipped(pack_id).vectors[0], CATALOGUE[pack_id]
    assert first.milligrams is not None
    half_of_last_place = Decimal(5).scaleb(-1 - len(text.partition(".")[2]))
    assert abs(Decimal(first.milligrams).scaleb(-6) - Decimal(text)) <= half_of_last_place


def test_the_catalogue_is_whole() -> None:
    assert len(CATALOGUE) == 45
    assert set(CATALOGUE) <= set(samples.shipped_ids())


def test_every_factor_table_that_ships_is_sound() -> None:
    folders = sorted((samples.PACKS / "factors").glob("*/*"))
    for folder in folders:
        table = parse_table(
            (folder / "table.toml").read_bytes(), (folder / "table.csv").read_bytes(), "table.toml"
        )
        assert (table["id"], str(table["version"])) == (folder.parent.name, folder.name)
        assert table["source"]
    assert len(folders) == 12


def test_the_china_grid_is_keyed_by_province_and_year() -> None:
    grid = samples.shipped("life.grid_footprint").tables["grid"]
    for date, value in (("2021-06-01", "0.5688"), ("2022-06-01", "0.558"), ("2026-06-01", "0.558")):
        row = grid.find("北京", day_of(date) or 0)
        assert row is not None
        assert row.value == value
    assert grid.find("北京", day_of("2020-12-31") or 0) is None
    assert len({row.key for row in grid.rows}) == 38


def test_the_reach_of_each_credit_pack() -> None:
    reaches = {}
    for pack_id in samples.shipped_ids():
        one = compile_pack(samples.shipped(pack_id))
        if one.pack.purpose == "credit":
            reaches[pack_id] = measure_reach([one], 0 if one.own_history else 1000).grams
    assert {pack_id: reach for pack_id, reach in reaches.items() if reach != 1000} == {
        "con.fewer_clothes": 25_604,
        "con.spend_footprint": 400_004,
        "life.electricity_saving": 12_736,
    }


def test_the_reach_of_each_points_pack() -> None:
    points = [one for one in map(samples.shipped, samples.shipped_ids()) if one.purpose == "points"]
    assert {pack.id: pack_reach(compile_pack(pack)) for pack in points} == {
        "life.elec_own2y": PointsReach(7500, 3, ((12, 2500), (24, 2500))),
        "life.elec_shenzhen": PointsReach(2000, 2, ((1, 1000),)),
        "life.gas_own2y": PointsReach(3999, 3, ((12, 1333), (24, 1333))),
        "life.water_own2y": PointsReach(999, 3, ((12, 333), (24, 333))),
        "pub.volunteer": PointsReach(20, 1),
    }


def test_every_figure_says_how_well_founded_it_is() -> None:
    for pack in map(samples.shipped, samples.shipped_ids()):
        placeholders = [one for one in pack.parameters.values() if "placeholder" in one.source.lower()]
        assert all(one.confidence == "illustrative" for one in placeholders), pack.id
        assert pack.names.zh != pack.names.en


def test_the_grocery_figures_cover_every_industry_of_the_demo() -> None:
    with (RETAILER / "categories.csv").open(encoding="utf-8", newline="") as file:
        industries = {row["naics"] for row in csv.DictReader(file)}
    rows = {row.key for row in samples.shipped("con.retail_footprint").tables["intensity"].rows}
    assert industries <= rows


def test_the_guide_lists_every_pack_table_and_baseline() -> None:
    guide = (samples.PACKS.parent / "docs" / "methodologies.md").read_text(encoding="utf-8")
    for pack in map(samples.shipped, samples.shipped_ids()):
        mark = ", illustrative" if pack.illustrative else ""
        name = f"{pack.names.en} {pack.names.zh}"
        row = f"| `{pack.id}` | {name} | {pack.baseline.kind} | {pack.overlap_class} | {pack.purpose}{mark} |"
        assert row in guide, pack.id
    assert all(f"| `{kind}` |" in guide for kind in BaselineKind)
    tables = {path.parent.name for path in (samples.PACKS / "factors").glob("*/*")}
    assert all(f"`{name}`" in guide or f"`{name.removeprefix('desnz')}`" in guide for name in tables)


@pytest.mark.parametrize("pack_id", samples.shipped_ids())
def test_a_person_who_changes_nothing_earns_nothing_by_own_history(pack_id: str) -> None:
    pack = samples.shipped(pack_id)
    if not pack.baseline.own_history:
        return
    # Ten days alike in every month; where days are averaged, every day alike, above the population's line.
    months = [first_day(shift_epoch(samples.EPOCH, -back)) for back in range(25)]
    days = [first + offset for first in months for offset in range(10)]
    if pack.baseline.days is not None:
        days = list(range(months[1], months[0] + 31))
    records = [Record(0, day, "", inputs_of(pack, 9000)) for day in days]
    everybody = samples.everybody(1)
    assert person_months(pack, records, everybody, samples.EPOCH) == {0: 0}
    if pack.tariff is not None:
        assert person_points(pack, records, everybody, samples.EPOCH) == {0: 0}


OWN_HISTORY = [one for one in samples.shipped_ids() if samples.shipped(one).baseline.own_history]


@pytest.mark.parametrize("pack_id", OWN_HISTORY)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_behaviour_that_varies_but_does_not_change_earns_zero_on_average(
    pack_id: str, data: st.DataObject
) -> None:
    """Whatever the periods were, in every turn of their order: what some turns earn, the others owe."""
    one = compile_pack(samples.shipped(pack_id))
    assert one.history is not None
    # A period is a month, or a day where days are averaged; there only days above the population's line.
    by_day = one.pack.baseline.days is not None
    periods = 7 if by_day else len(one.history.window.offsets) + 1
    amount = st.integers(9_000, 40_000) if by_day else st.integers(0, 20_000)
    days = st.lists(amount, min_size=1, max_size=1 if by_day else 4)
    drawn = data.draw(st.lists(days, min_size=periods, max_size=periods))
    starts = (
        list(range(first_day(samples.EPOCH) - 7, end_day(samples.EPOCH)))
        if by_day
        else [first_day(shift_epoch(samples.EPOCH, -back)) for back in (0, *one.history.window.offsets)]
    )
    total = 0
    for turn in range(periods):
        records = [
            Record(0, start + offset, "", inputs_of(one.pack, amount))
            for number, start in enumerate(starts)
            for offset, amount in enumerate(drawn[(number + turn) % periods])
        ]
        total += person_months(one.pack, records, samples.everybody(1), samples.EPOCH)[0]
    # The floor takes up to a milligram from each turn.
    assert -periods <= total <= 0


def inputs_of(pack: Pack, amount: int) -> dict[str, int | str]:
    """Give an activity's inputs of about this size."""
    return {
        name: "appliance" if unit == "key" else min(amount, pack.activity.input(name).maximum)
        for name, unit in pack.inputs.items()
    }
