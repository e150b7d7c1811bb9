"""For authors: what a pack proves, what two versions differ in, what both make of real records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from accounting.evaluator import Record
from engine.duckdb_engine import DuckDbEngine
from enterprise_node.cli import node
from enterprise_node.footprint import installed_packs
from enterprise_node.trial import records_of, try_pack
from protos.epochs import Epoch, first_day
from protos.problems import Malformed
from runtime.pack_files import load_pack
from tests.unit.accounting import samples
from tests.unit.enterprise_node.homes import ANNA, home_at

PACKS = installed_packs()
BIKE = PACKS / "trv.shared_bike" / "1"
START = first_day(Epoch(202103))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(node, ["pack", *map(str, arguments)])


def found(*arguments: str | Path) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.output)
    return answer


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A second version of the bicycle pack with a higher factor and a lower cap."""
    folder = tmp_path / "trv.shared_bike" / "2"
    shutil.copytree(BIKE, folder)
    text = (folder / "pack.toml").read_text().replace("version = 1", "version = 2", 1)
    text = text.replace('"0.0487"', '"0.05"').replace('maximum = "30"', 'maximum = "20"')
    (folder / "pack.toml").write_text(text)
    (folder / "vectors.toml").write_text('[[vectors]]\ninputs = { distance = "2" }\nmilligrams = 100000\n')
    return folder


@pytest.fixture
def trips(tmp_path: Path) -> Path:
    """Three persons' trips as CSV: 10 km, 25 km, and 20 and 20 km on one day."""
    lines = ["record,person,day,region,distance"]
    rides = [(1, 0, 10_000), (2, 0, 25_000), (3, 40, 20_000), (3, 40, 20_000)]
    lines += [
        f"r{number},{who},{START + day},east,{metres}" for number, (who, day, metres) in enumerate(rides)
    ]
    path = tmp_path / "trips.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def parquet(trips: Path) -> Iterator[Path]:
    path = trips.with_suffix(".parquet")
    activity = load_pack(BIKE).activity
    with records_of(trips, activity) as (engine, acts, _):
        engine.write_parquet(f"SELECT * FROM {acts}", path)
    yield path


def test_a_check_tells_what_is_proved() -> None:
    [one] = found("check", BIKE)["packs"]
    assert one["day_mg"] == [0, 1_461_000]
    assert one["reach"] == {"grams": 1000, "releases": 1, "day_clamp_grams": 1000}
    assert one["spare_bits"] > 0
    assert one["sha256"] == load_pack(BIKE).sha256.hex()


def test_a_check_of_all_that_ships_fails_nowhere() -> None:
    report = found("check", PACKS)
    assert report["failed"] == {}
    assert {one["pack"] for one in report["packs"]} == set(samples.shipped_ids())


def test_a_check_of_a_folder_names_every_pack_that_fails(changed: Path) -> None:
    (changed / "vectors.toml").write_text('[[vectors]]\ninputs = { distance = "2" }\nmilligrams = 1\n')
    shutil.copytree(BIKE, changed.parent / "1")
    result = run("check", changed.parent.parent)
    assert result.exit_code == 1
    assert "FAIL trv.shared_bike/2" in result.output
    assert "gives 100000 mg, expected 1 mg" in result.output
    with pytest.raises(Malformed):
        CliRunner().invoke(node, ["pack", "check", str(changed)], catch_exceptions=False)


def test_a_folder_without_packs_is_told(tmp_path: Path) -> None:
    assert run("check", tmp_path).exit_code != 0


def test_a_difference_names_figures_and_what_follows(changed: Path) -> None:
    differences = {
        one["key"]: (one["old"], one["new"]) for one in found("diff", BIKE, changed)["differences"]
    }
    assert differences["parameters.saving.value"] == ("0.0487", "0.05")
    assert differences["caps.0.maximum"] == ("30", "20")
    assert differences["proved.day_mg.1"] == ("1461000", "1000000")
    assert "names.en" not in differences
    assert run("diff", BIKE, BIKE).output.startswith("Nothing differs")


def test_rows_of_factor_tables_are_compared_by_key(tmp_path: Path) -> None:
    shutil.copytree(PACKS / "life.grid_footprint", tmp_path / "life.grid_footprint")
    shutil.copytree(PACKS / "factors" / "china_grid", tmp_path / "factors" / "china_grid")
    table = tmp_path / "factors" / "china_grid" / "1" / "table.csv"
    table.write_text(table.read_text().replace("北京,0.558,", "北京,0.559,"))
    vectors = tmp_path / "life.grid_footprint" / "1" / "vectors.toml"
    vectors.write_text(vectors.read_text().replace("5580000", "5590000"))
    new = tmp_path / "life.grid_footprint" / "1"
    keys = [one["key"] for one in found("diff", PACKS / "life.grid_footprint" / "1", new)["differences"]]
    assert "tables.grid.rows.北京@2022-01-01.value" in keys


def test_a_trial_gives_grams_under_both_and_the_caps_hit(changed: Path, trips: Path) -> None:
    old, new = found("test", changed, "--old", BIKE, "--on", trips)["packs"]
    assert (old["persons"], old["records"]) == (3, 4)
    assert old["milligrams"] == (10 + 25 + 30) * 48_700
    assert old["caps"] == {"day": {"hit": 1, "lost_mg": 10 * 48_700}}
    assert new["milligrams"] == (10 + 20 + 20) * 50_000
    assert new["caps"] == {"day": {"hit": 2, "lost_mg": 25 * 50_000}}
    assert "change 变化: -666 g" in run("test", changed, "--old", BIKE, "--on", trips).output


def test_a_trial_reads_parquet_the_same(trips: Path, parquet: Path) -> None:
    assert found("test", BIKE, "--on", parquet) == found("test", BIKE, "--on", trips)


def test_a_trial_of_points_tells_them() -> None:
    pack = samples.shipped("pub.volunteer")
    with DuckDbEngine(memory_limit_mb=256, threads=1) as engine:
        records = [Record(person, START + day, "east", {"acts": 1}) for person in (1, 2) for day in (0, 0, 3)]
        samples.load_records(engine, "acts", pack.activity, records)
        samples.load_persons(engine, samples.everybody())
        tested = try_pack(engine, pack, "acts", "persons")
    assert (tested.points, tested.milligrams, tested.records) == (30, 0, 6)


def test_a_trial_counts_keys_without_a_factor_and_empty_data(tmp_path: Path) -> None:
    goods = PACKS / "con.goods_footprint" / "1"
    path = tmp_path / "goods.csv"
    path.write_text(
        f"record,person,day,region,spend,naics\nr1,1,{START},east,2500,111110\nr2,1,{START},east,1,0\n"
    )
    [one] = found("test", goods, "--on", path)["packs"]
    assert (one["milligrams"], one["unmatched"]) == (13_300_000, 1)
    path.write_text("record,person,day,region,spend,naics\n")
    assert found("test", goods, "--on", path)["packs"][0]["records"] == 0


def test_months_caps_are_told_by_month() -> None:
    pack = samples.shipped("con.secondhand_phone")
    with DuckDbEngine(memory_limit_mb=256, threads=1) as engine:
        records = [Record(1, START + day, "east", {"units": 1}) for day in (0, 5, 40)]
        samples.load_records(engine, "acts", pack.activity, records)
        samples.load_persons(engine, samples.everybody())
        tested = try_pack(engine, pack, "acts", "persons")
    assert tested.capped == {"month": (1, 25_000_000)}
    assert tested.milligrams == 50_000_000


def test_a_trial_on_a_home_reads_what_the_node_keeps(tmp_path: Path) -> None:
    home = home_at(tmp_path / "home")
    home.write("trips.csv", *(f"t{day},{ANNA},2021-01-{day:02d} 08:00:00,10.000" for day in range(1, 5)))
    assert home.outcome().taken == 4
    [one] = found("test", BIKE, "--on", tmp_path / "home")["packs"]
    assert (one["records"], one["persons"], one["milligrams"]) == (4, 1, 4 * 487_000)
    volunteers = PACKS / "pub.volunteer" / "1"
    assert found("test", volunteers, "--on", tmp_path / "home")["packs"][0]["records"] == 0
