"""The commands over the node's own data, as a person and as a program calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from enterprise_node.cli import node
from enterprise_node.doctor import examine
from enterprise_node.workspace import STATE_FILE
from tests.unit.enterprise_node.homes import ANNA, TRIPS, Home, home_at


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "home")
    home.write("trips.csv", f"t1,{ANNA},2021-01-05 08:00:00,1", f"t2,{ANNA},2021-01-05 08:00:00,-1")
    return home


def told(home: Home, *arguments: str, given: str | None = None) -> str:
    result = CliRunner().invoke(node, [*arguments, "--home", str(home.folder)], input=given)
    assert result.exit_code == 0, result.output
    return result.stdout


def document(home: Home, *arguments: str, given: str | None = None) -> Any:
    return json.loads(told(home, *arguments, "--json", given=given))


def test_from_check_to_person(home: Home) -> None:
    assert document(home, "check")["files"][0]["quarantined"] == 1
    assert document(home, "ingest")["files"][0]["taken"] == 1
    assert document(home, "ingest")["files"][0]["new"] is False
    assert document(home, "explain", "--record", "t1")["records"][0]["packs"][0]["milligrams"] == "48700"
    assert document(home, "person", "show", "--number", "1")["months"][0]["epoch"] == "2021-01"
    assert document(home, "person", "show", "--identifier", "-", given=ANNA + "\n")["person"] == 1
    assert document(home, "status", "--epoch", "2021-01")["epochs"]["2021-01"]["reductions_mg"] == 48_700


def test_people_read_lines(home: Home) -> None:
    assert "Nothing was stored" in told(home, "check")
    assert "negative-quantity in 列 km" in told(home, "ingest")
    assert "nothing new" in told(home, "ingest")
    assert "0.0487" in told(home, "explain", "--record", "t1")
    assert "48.700 g CO2e" in told(home, "person", "show", "--number", "1")
    assert "quarantined 隔离 negative-quantity: 1" in told(home, "status")


def test_person_is_named_once(home: Home) -> None:
    result = CliRunner().invoke(node, ["person", "show", "--home", str(home.folder)])
    assert result.exit_code == 2


def test_doctor_is_content_with_a_good_home(home: Home) -> None:
    told(home, "ingest")
    report = document(home, "doctor")
    assert report["healthy"]
    assert {"state 状态库", "local key 本地密钥"} <= {one["subject"] for one in report["symptoms"]}


def test_doctor_names_what_is_wrong(home: Home) -> None:
    told(home, "ingest")
    (home.folder / "trips.csv").unlink()
    (home.folder / "local.key").write_bytes(b"")
    state = home.folder / STATE_FILE
    state.write_bytes(state.read_bytes()[:100] + b"\0" * 4000)
    bad = {one.name for one in examine(home.folder) if not one.is_good}
    assert bad == {"source 数据源 trips", "local key 本地密钥", "state 状态库"}
    result = CliRunner().invoke(node, ["doctor", "--home", str(home.folder)])
    assert result.exit_code == 1
    assert "FAIL source" in result.stdout


def test_doctor_stops_at_an_unreadable_configuration(home: Home) -> None:
    home.configure(TRIPS.replace("km", "mile", 1))
    assert [one.is_good for one in examine(home.folder)] == [True, False]
