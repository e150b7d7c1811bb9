"""Exact figures from kept activities agree with the oracle in fractions, and follow every change."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from accounting.evaluator import Record, person_days
from accounting.months import person_months
from enterprise_node.reductions import HistogramSpec, MeasureSpec, Reductions
from enterprise_node.workspace import Workspace
from protos.epochs import Epoch, first_day
from protos.problems import Refused
from tests.unit.enterprise_node.homes import ANNA, BERT, CARL, REGISTER, TRIPS, Home, home_at, kept

DECEMBER, JANUARY = Epoch(202012), Epoch(202101)
BIKE = MeasureSpec("bike", ("trv.shared_bike",), 500)

METERS = """
[[source]]
id = "meters"
path = "readings.csv"
record = ["reading"]
person = "mobile"
activity = "energy.electricity"

[source.columns]
reading = "text"
mobile = { type = "text", private = true }
day = "text"
kwh = { type = "decimal", decimals = 3 }

[source.time]
column = "day"
format = "%Y-%m-%d"

[source.inputs]
energy = { column = "kwh", unit = "kWh" }
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "home")
    draw = random.Random(1)
    rows = [
        f"t{number},{draw.choice([ANNA, BERT, CARL])},2020-12-{draw.randint(1, 31):02d} 08:00:00,"
        f"{draw.randint(0, 19_999) / 1000:.3f}"
        for number in range(400)
    ]
    home.write("trips.csv", *rows, f"late,{ANNA},2021-01-01 00:00:00,2")
    home.read()
    return home


def records(workspace: Workspace, code: str, *inputs: str) -> list[Record]:
    return [
        Record(int(row[1]), int(row[2]), str(row[3]), dict(zip(inputs, row[4:], strict=True)))  # type: ignore[arg-type, call-overload]
        for row in kept(workspace, code)
    ]


def test_statement_is_that_of_the_oracle(home: Home) -> None:
    with home.opened() as workspace:
        pack = workspace.packs["trv.shared_bike"].pack
        days = person_days(pack, records(workspace, "trip.bicycle", "distance"))
        vector = workspace.reductions.statement_vector(DECEMBER, BIKE)
        losses = workspace.reductions.statement_losses(DECEMBER, BIKE)
        total = workspace.reductions.totals(DECEMBER)
    december = {key: mg for key, mg in days.items() if key[1] < first_day(JANUARY)}
    clamped = dict.fromkeys((1, 2, 3), 0)
    for (person, _), mg in december.items():
        clamped[person] += min(mg, 500_000)
    assert vector.persons.tolist() == [1, 2, 3]
    assert vector.grams.tolist() == [mg // 1000 for _, mg in sorted(clamped.items())]
    assert vector.grams.dtype == np.int64
    assert total == sum(december.values())
    assert losses.mg == total - sum(clamped.values()) > 0


def test_months_are_apart(home: Home) -> None:
    with home.opened() as workspace:
        assert workspace.reductions.pack_totals(JANUARY) == {"trv.shared_bike": 97_400}
        assert workspace.reductions.person_months(JANUARY, 1) == {"trv.shared_bike": (97_400, 1)}
        assert workspace.reductions.person_months(JANUARY, 2) == {}
        assert workspace.reductions.totals(Epoch(202102)) == 0


def test_person_without_records_has_a_zero(home: Home) -> None:
    with home.opened() as workspace:
        vector = workspace.reductions.statement_vector(JANUARY, BIKE)
    assert vector.grams.tolist() == [97, 0, 0]


def spec() -> HistogramSpec:
    return HistogramSpec(
        regions=("east", "west"),
        domains=("travel", "life"),
        pack_order=("life.electricity_saving", "trv.shared_bike"),
        pack_ids=("trv.shared_bike",),
        month_clamp_grams=5_000,
    )


def test_histogram_counts_the_roster_only(home: Home) -> None:
    with home.opened() as workspace:
        region, methodology = workspace.reductions.histogram(DECEMBER, spec(), [1, 3])
        whole = workspace.reductions.histogram(DECEMBER, spec(), np.array([1, 2, 3]))[0]
        nobody = workspace.reductions.histogram(DECEMBER, spec(), [])[0]
        losses = workspace.reductions.histogram_losses(DECEMBER, spec(), [1, 3])
    assert (region.table_id, region.counts.tolist()) == ("region_domain", [2, 0, 0, 0])
    assert (methodology.table_id, methodology.counts.tolist()) == ("domain_methodology_pooled", [0, 0, 2, 0])
    assert region.sums.tolist() == [10_000, 0, 0, 0]
    assert losses["region_domain"].mg > 0
    assert whole.counts.tolist()[0] == 3
    assert nobody.sums.tolist() == [0, 0, 0, 0]


def test_roster_of_a_histogram_does_not_narrow_statements(home: Home) -> None:
    with home.opened() as workspace:
        workspace.reductions.histogram(DECEMBER, spec(), [1])
        assert len(workspace.reductions.statement_vector(DECEMBER, BIKE).persons) == 3


def test_files_follow_new_activities(home: Home) -> None:
    with home.opened() as workspace:
        assert workspace.reductions.computed() == []
        workspace.reductions.compute(JANUARY)
        assert workspace.reductions.computed() == [JANUARY]
        note = home.folder / "reductions/2021-01/person_months.parquet"
        os.utime(note, ns=(0, 0))
        workspace.reductions.compute(JANUARY)
        assert note.stat().st_mtime_ns == 0
        home.write("trips-2.csv", f"more,{BERT},2021-01-31 23:00:00,1")
        assert len(list(workspace.read())) == 2
        assert workspace.reductions.totals(JANUARY) == 97_400 + 48_700
        assert note.stat().st_mtime_ns > 0


def test_pack_this_node_lacks_is_refused(home: Home) -> None:
    with home.opened() as workspace, pytest.raises(Refused, match=r"counts con\.plant_protein"):
        workspace.reductions.measure(MeasureSpec("x", ("con.plant_protein",), 500))


@pytest.fixture
def meters(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "meters", METERS, REGISTER)
    home.write(
        "register.csv",
        f"{ANNA},2019-01-01,",
        f"{BERT},2020-01-02,",
        f"{CARL},2019-01-01,",
        header="mobile,since,until",
    )
    draw = random.Random(2)
    rows = [
        f"{person}{year}{number},{mobile},{year}-01-{number:02d},{draw.randint(0, 15_000) / 1000:.3f}"
        for person, mobile in (("a", ANNA), ("b", BERT))
        for year in (2020, 2021)
        for number in range(1, 32)
    ]
    home.write("readings.csv", *rows, header="reading,mobile,day,kwh")
    home.read()
    return home


def test_own_history_is_that_of_the_oracle(meters: Home) -> None:
    measure = MeasureSpec("power", ("life.electricity_saving",), 0)
    with meters.opened() as workspace:
        reductions: Reductions = workspace.reductions
        pack = workspace.packs["life.electricity_saving"].pack
        persons = {number: (since or 0, until) for number, since, until in workspace.persons.contracts()}
        expected = person_months(pack, records(workspace, "energy.electricity", "energy"), persons, JANUARY)
        vector = reductions.statement_vector(JANUARY, measure)
        assert reductions.totals(JANUARY) == sum(expected.values())
        assert reductions.insufficient_history(JANUARY) == 1
        assert reductions.insufficient_history(JANUARY, [1, 3]) == 0
        assert reductions.insufficient_history(DECEMBER) == 1
    assert set(expected) == {1}
    assert vector.grams.tolist() == [expected[1] // 1000, 0, 0]


def test_without_contract_days_nobody_is_eligible(tmp_path: Path) -> None:
    home = home_at(tmp_path / "home", METERS)
    home.write("readings.csv", f"r1,{ANNA},2021-01-01,5", header="reading,mobile,day,kwh")
    home.read()
    with home.opened() as workspace:
        assert workspace.reductions.insufficient_history(JANUARY) == 1
        assert workspace.reductions.totals(JANUARY) == 0


def test_sources_order_does_not_matter(tmp_path: Path, home: Home) -> None:
    other = home_at(tmp_path / "other", TRIPS)
    lines = (home.folder / "trips.csv").read_text(encoding="utf-8").splitlines()[1:]
    other.write("trips-1.csv", *reversed(lines[200:]))
    other.write("trips-2.csv", *lines[:200])
    other.read()
    with home.opened() as one, other.opened() as two:
        assert one.reductions.pack_totals(DECEMBER) == two.reductions.pack_totals(DECEMBER)
