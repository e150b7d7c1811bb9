"""A record's figure is explained to its sources and computed twice; a person sees exact figures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from enterprise_node.check import check_sources
from enterprise_node.explain import explain
from enterprise_node.person import show_person
from enterprise_node.status import data_status, status_lines
from protos.epochs import Epoch
from protos.problems import Unavailable
from tests.unit.enterprise_node.homes import ANNA, BERT, PACKS, TRIPS, Home, home_at

GROCERIES = """
[[source]]
id = "receipts"
path = "lines.csv"
record = ["household", "line"]
person = "mobile"
activity = "purchase.grocery"

[source.columns]
household = "text"
line = "text"
sold = "text"
category = "text"
value = { type = "decimal", decimals = 2 }

[source.time]
column = "sold"
format = "%Y-%m-%d"

[[source.lookup]]
path = "customers.csv"
key = "household"
columns = { mobile = "text" }

[[source.lookup]]
path = "categories.csv"
key = "category"
columns = { naics = "text" }

[source.constants]
protein = "plant"

[source.inputs]
spend = { column = "value", unit = "USD2017" }
naics = { column = "naics" }
protein = { column = "protein" }
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "home", GROCERIES)
    home.write("customers.csv", f"h1,{ANNA}", f"h2,{BERT}", header="household,mobile")
    home.write("categories.csv", "beans,311422", "cloud,999999", header="category,naics")
    home.write(
        "lines.csv",
        "h1,1,2021-01-05,beans,3.10",
        "h1,2,2021-02-05,beans,1.00",
        "h2,1,2021-01-06,cloud,1.00",
        "h2,2,2021-01-06,rain,1.00",
        header="household,line,sold,category,value",
    )
    return home


def test_record_is_explained_under_its_raw_id(home: Home) -> None:
    home.read()
    with home.opened() as workspace:
        [found] = explain(workspace, "h1/1")
    figures = {figure.compiled.pack.id: figure for figure in found.figures}
    footprint = figures["con.retail_footprint"]
    [factor] = footprint.factors
    price = Fraction("292.655") / Fraction("245.120")
    assert factor["key"] == "311422"
    assert footprint.milligrams == Fraction("3.10") * price * Fraction(factor["value"]) * 10**6
    text = "\n".join(found.lines())
    assert "USD2017" in text
    assert factor["source"] in text
    assert "version 1" in text
    assert found.to_json()["record"]["day"] == "2021-01-05"
    assert "h1" not in str(found.row["record"])


def test_record_is_explained_under_its_kept_id(home: Home) -> None:
    home.read()
    with home.opened() as workspace:
        [raw] = explain(workspace, "h1/2")
        [kept] = explain(workspace, str(raw.row["record"]))
    assert kept.to_json() == raw.to_json()


@pytest.mark.parametrize("record", ["h1/9", "h9/1", "nothing", "'; DROP TABLE x; --"])
def test_unknown_record_is_not_found(home: Home, record: str) -> None:
    home.read()
    with home.opened() as workspace, pytest.raises(Unavailable, match="No record"):
        explain(workspace, record)


def test_person_sees_months_credits_and_footprints(home: Home) -> None:
    home.read()
    with home.opened() as workspace:
        number = workspace.persons.find(ANNA)
        assert number is not None
        view = show_person(workspace, number)
        january = show_person(workspace, number, (Epoch(202101),))
        assert workspace.reductions.computed() == []
    assert [month.epoch for month in view.months] == [202101, 202102]
    assert january.months == view.months[:1]
    assert view.months[0].records == {"purchase.grocery": 1}
    assert set(view.months[0].credited_mg) == {"con.plant_protein"}
    assert set(view.months[0].footprint_mg) == {"con.retail_footprint"}
    text = "\n".join([*view.lines(), str(view.to_json())])
    assert ANNA not in text
    assert "3.10 USD2017" in text


def test_nobody_is_not_found(home: Home) -> None:
    with home.opened() as workspace, pytest.raises(Unavailable):
        show_person(workspace, 0)


def test_check_shows_rows_counts_and_reasons_and_keeps_nothing(home: Home) -> None:
    with home.opened() as workspace:
        [checked] = check_sources(workspace)
        assert workspace.persons.counts().known == 0
        assert workspace.activities.counts() == {}
        assert not list(workspace.quarantine.rows(9))
    assert checked.activities == {"purchase.grocery": 2}
    assert [row["spend"] for row in checked.first_rows] == ["3.10 USD2017", "1.00 USD2017"]
    reasons = {(flaw.reason, flaw.column): flaw.rows for flaw in checked.outcome.flaws}
    assert reasons == {("missing-factor", "naics+protein"): 1, ("unknown-code", "category"): 1}
    text = "\n".join(checked.lines())
    assert "(line 行 5)" in text
    assert checked.to_json()["reasons"][0]["lines"] == (4,)
    assert ANNA not in text + str(checked.to_json())


def test_check_after_ingest_says_what_is_known(home: Home) -> None:
    home.read()
    with home.opened() as workspace:
        [checked] = check_sources(workspace)
    assert (checked.outcome.repeated, checked.activities) == (2, {"purchase.grocery": 0})
    assert "kept before" in "\n".join(checked.lines())


def test_status_counts(home: Home) -> None:
    home.read()
    with home.opened() as workspace:
        status = data_status(workspace, [Epoch(202101)])
    assert status["activities_read"] == 4
    assert status["activities_kept"] == {"purchase.grocery": 2}
    assert status["quarantined"] == {"missing-factor": 1, "unknown-code": 1}
    assert status["persons"]["known"] == 2
    assert status["epochs"]["2021-01"]["reductions_mg"] > 0
    assert "unknown-code: 1" in "\n".join(status_lines(status))


def test_sources_without_tokens_are_found_too(tmp_path: Path) -> None:
    home = home_at(tmp_path / "trips", TRIPS)
    home.write("trips.csv", f"t1,{ANNA},2021-01-05 08:00:00,1")
    home.read()
    with home.opened() as workspace:
        [found] = explain(workspace, "t1")
    assert [figure.milligrams for figure in found.figures] == [Fraction(48_700)]
    assert "cap" in "\n".join(found.lines())


VOLUNTEERS = """
[[source]]
id = "acts"
path = "acts*.csv"
record = ["act"]
person = "mobile"
activity = "act.volunteer"

[source.columns]
act = "text"
mobile = { type = "text", private = true }
day = "text"

[source.time]
column = "day"
format = "%Y-%m-%d"

[source.inputs]
acts = { constant = "1", unit = "act" }
"""


def test_points_are_explained_by_their_tariff_and_shown_to_the_person(tmp_path: Path) -> None:
    home = home_at(tmp_path / "home", VOLUNTEERS)
    text = (home.folder / "node.toml").read_text(encoding="utf-8")
    own = str(PACKS / "pub.volunteer" / "1")
    (home.folder / "node.toml").write_text(text.replace("packs = [", f"packs = [{own!r}, "), encoding="utf-8")
    home.write("acts.csv", *(f"a{n},{ANNA},2021-01-05" for n in range(6)), header="act,mobile,day")
    home.read()
    with home.opened() as workspace:
        [found] = explain(workspace, "a1")
        view = show_person(workspace, workspace.persons.find(ANNA) or 0)
    assert any("5 for each 1; at most 20" in line for line in found.lines())
    [month] = view.months
    assert (month.points, month.credited_mg) == ({"pub.volunteer": 20}, {})
    assert any("points 积分 pub.volunteer: 20" in line for line in view.lines())
