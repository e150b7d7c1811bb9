"""The packs that ship: they load, compile, keep their examples, and are what they are known to be."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import examples.federation as federation
from accounting.compiler import compile_pack
from accounting.packs import parse_canonical
from accounting.reach import measure_reach
from tests.unit.accounting import samples

RETAILER = Path(federation.__file__).parent / "retailer"


@pytest.mark.parametrize("pack_id", samples.shipped_ids())
def test_every_pack_compiles_and_keeps_its_examples(pack_id: str) -> None:
    pack = samples.shipped(pack_id)
    assert (pack.id, pack.version) == (pack_id, 1)
    compiled = compile_pack(parse_canonical(pack.canonical_bytes()))
    assert compiled.pack == pack
    assert len(pack.canonical_bytes()) < 65_536


def test_the_reach_of_each_credit_pack() -> None:
    reaches = {
        pack_id: measure_reach([one], 0 if one.own_history else 1000).grams
        for pack_id in samples.shipped_ids()
        if (one := compile_pack(samples.shipped(pack_id))).pack.purpose == "credit"
    }
    assert reaches == {
        "con.plant_protein": 1000,
        "life.electricity_saving": 12_736,
        "trv.shared_bike": 1000,
    }


def test_illustrative_packs_are_known() -> None:
    illustrative = {pack_id for pack_id in samples.shipped_ids() if samples.shipped(pack_id).illustrative}
    assert illustrative == {"con.plant_protein"}


def test_the_grocery_figures_cover_every_industry_of_the_demo() -> None:
    with (RETAILER / "categories.csv").open(encoding="utf-8", newline="") as file:
        industries = {row["naics"] for row in csv.DictReader(file)}
    rows = {row.key for row in samples.shipped("con.retail_footprint").tables["intensity"].rows}
    assert industries <= rows
