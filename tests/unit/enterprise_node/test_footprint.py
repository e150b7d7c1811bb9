"""What one act comes to: exact, with a citation, from packs read once."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from enterprise_node.cli import node
from enterprise_node.footprint import Estimator, Question, installed_packs
from protos.problems import Malformed, Problem, Refused, Unavailable
from protos.v1 import node_pb2

BEANS = {"spend": "25", "naics": "111110"}


def today() -> datetime.date:
    return datetime.date(2024, 6, 1)


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator([], today)


def test_a_purchase_comes_to_its_milligrams_and_a_cited_likeness(estimator: Estimator) -> None:
    [one] = estimator.estimate(Question(BEANS, pack_id="con.goods_footprint"))
    assert one.milligrams == 13_300_000
    assert (one.equivalence_id, one.table_version, one.thousandths) == ("tree_year", 1, 9500)
    assert one.equivalence.source


def test_the_day_decides_which_factor_holds(estimator: Estimator) -> None:
    inputs = {"energy": "10", "province": "北京"}
    then = estimator.estimate(Question(inputs, pack_id="life.grid_footprint", date="2021-12-31"))
    now = estimator.estimate(Question(inputs, pack_id="life.grid_footprint"))
    assert [one.milligrams for one in (*then, *now)] == [5_688_000, 5_580_000]


def test_an_activity_asks_all_packs_that_take_its_inputs(estimator: Estimator) -> None:
    found = estimator.estimate(Question({"distance": "5"}, activity="trip.bicycle"), "car_km")
    assert {one.pack.id: one.milligrams for one in found} == {
        "trv.bike_mix": 339_690,
        "trv.bike_wuhan": 200_000,
        "trv.shared_bike": 243_500,
    }


def test_packs_are_read_once(tmp_path: Path) -> None:
    shutil.copytree(installed_packs() / "trv.bike_wuhan", tmp_path / "trv.bike_wuhan")
    fresh = Estimator([tmp_path], today)
    first = fresh.estimate(Question({"distance": "1"}, pack_id="trv.bike_wuhan"))
    shutil.rmtree(tmp_path / "trv.bike_wuhan")
    assert fresh.estimate(Question({"distance": "1"}, pack_id="trv.bike_wuhan")) == first


def test_a_nodes_own_version_comes_before_the_installed_one(tmp_path: Path) -> None:
    own = tmp_path / "trv.bike_wuhan" / "2"
    shutil.copytree(installed_packs() / "trv.bike_wuhan" / "1", own)
    for path in own.iterdir():
        path.write_text(path.read_text().replace("version = 1", "version = 2"))
    [one] = Estimator([tmp_path], today).estimate(Question({"distance": "1"}, pack_id="trv.bike_wuhan"))
    assert one.pack.version == 2


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        (Question(BEANS, pack_id="con.nothing"), Unavailable),
        (Question({"spend": "25"}, pack_id="con.goods_footprint"), Malformed),
        (Question({**BEANS, "spend": "1e3"}, pack_id="con.goods_footprint"), Malformed),
        (Question({**BEANS, "spend": "-1"}, pack_id="con.goods_footprint"), Malformed),
        (Question(BEANS, pack_id="con.goods_footprint", date="yesterday"), Malformed),
        (Question({**BEANS, "naics": "000000"}, pack_id="con.goods_footprint"), Refused),
        (Question({"energy": "1"}, pack_id="life.electricity_saving"), Refused),
        (Question({"energy": "1"}, activity="energy.nothing"), Refused),
    ],
)
def test_what_has_no_figure_is_said_so(question: Question, kind: type[Problem], estimator: Estimator) -> None:
    with pytest.raises(kind):
        estimator.estimate(question)


def test_the_wire_carries_the_same(estimator: Estimator) -> None:
    request = node_pb2.EstimateFootprintRequest(pack_id="con.goods_footprint", inputs=BEANS)
    [one] = estimator.answer(request).estimates
    assert (one.pack_id, one.pack_version, one.purpose) == ("con.goods_footprint", 1, "footprint")
    assert (one.milligrams, one.equivalence.thousandths) == (13_300_000, 9500)
    assert one.equivalence.source
    assert one.equivalence.name_zh


def test_the_command_says_it_to_people_and_programs() -> None:
    command = ["footprint", "--pack", "con.goods_footprint", "--input", "spend=25", "--input", "naics=111110"]
    told = CliRunner().invoke(node, command)
    assert told.exit_code == 0, told.output
    assert "13.300000 kg" in told.output
    assert "9.500 years of one tree's growth" in told.output
    found = json.loads(CliRunner().invoke(node, [*command, "--json"]).output)
    assert found["estimates"][0]["milligrams"] == 13_300_000


@pytest.mark.parametrize(
    "arguments", [[], ["--pack", "a", "--activity", "b"], ["--pack", "a", "--input", "x"]]
)
def test_the_command_says_how_it_is_used(arguments: list[str]) -> None:
    assert CliRunner().invoke(node, ["footprint", *arguments]).exit_code == 2
