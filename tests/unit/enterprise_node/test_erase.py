"""A person who asks for it is erased everywhere but in the log; what is past its time leaves as well."""

from __future__ import annotations

import datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from click.testing import CliRunner

from enterprise_node.cli_person import person
from enterprise_node.erase import erase
from enterprise_node.exclusive import exclusive
from enterprise_node.reductions import MeasureSpec
from enterprise_node.spool import PushedRecord
from enterprise_node.store.outward import SCHEMAS
from enterprise_node.workspace import LOCK_FILE, Workspace, open_workspace
from protos.epochs import Epoch
from protos.problems import Malformed, Unavailable
from tests.unit.enterprise_node.homes import (
    ANNA,
    BERT,
    REGISTER,
    TRIPS,
    Home,
    day,
    flaws,
    home_at,
    kept,
)

JANUARY = Epoch(202101)
RIDES = MeasureSpec("rides", ("trv.shared_bike",), 500)
ROWS = (f"t1,{ANNA},2021-01-05 08:00:00,1", f"t2,{BERT},2021-01-06 08:00:00,3")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "home")
    home.write("trips-1.csv", *ROWS)
    home.write("trips-2.csv", ROWS[0][:-1] + "2", f"t3,{ANNA},2021-02-05 08:00:00,1")
    home.read()
    return home


def number_of(workspace: Workspace, identifier: str) -> int:
    number = workspace.persons.find(identifier)
    assert number is not None
    return number


def erase_anna(home: Home) -> int:
    with home.opened() as workspace:
        number = number_of(workspace, ANNA)
        erasure = erase(workspace, number)
    assert (erasure.activities, erasure.superseded) == (2, 1)
    return number


def persons_in(folder: Path) -> set[int]:
    """Give every person number in any Parquet file below the home."""
    found: set[int] = set()
    with duckdb.connect() as connection:
        for path in folder.rglob("*.parquet"):
            names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()]
            if "person" in names:
                found |= {row[0] for row in connection.execute(f"SELECT person FROM '{path}'").fetchall()}
    return found


def test_activities_versions_and_figures_are_gone(home: Home) -> None:
    with home.opened() as workspace:
        workspace.reductions.compute(JANUARY)
        number = number_of(workspace, ANNA)
        folder = home.folder / "released" / "2021-01"
        folder.mkdir(parents=True)
        np.save(folder / "rides.npy", np.array([[1, 2], [500, 600]]))
    assert number in persons_in(home.folder)
    assert erase_anna(home) == number
    assert persons_in(home.folder) == {3 - number}
    assert np.load(home.folder / "released" / "2021-01" / "rides.npy")[0].tolist() == [3 - number]
    with home.opened() as workspace:
        assert [row[0] for row in kept(workspace)] == ["t2"]
        assert workspace.reductions.statement_vector(JANUARY, RIDES).grams.tolist()[number - 1] == 0


def test_the_identifier_is_gone(home: Home) -> None:
    with home.opened() as workspace:
        [sealed] = workspace.database.row("SELECT sealed FROM person WHERE number = 1") or [b""]
    assert any(sealed in path.read_bytes() for path in home.folder.glob("state.sqlite*"))
    with home.opened() as workspace:
        erase(workspace, 1)
        assert workspace.persons.find(ANNA) is None
        assert workspace.persons.counts().known == 1
        assert workspace.persons.new_for_enrolment() == [2]
    assert not any(sealed in path.read_bytes() for path in home.folder.glob("state.sqlite*"))


def test_raw_files_read_again_do_not_bring_the_person_back(home: Home) -> None:
    erase_anna(home)
    home.write("trips-3.csv", *ROWS, f"t4,{ANNA},2021-01-09 08:00:00,1", f"t5,{BERT},2021-01-09 08:00:00,1")
    outcome = home.outcome()
    assert (outcome.taken, outcome.repeated, outcome.excluded) == (1, 1, 2)
    assert flaws(outcome) == {("erased", "mobile"): 2}


def test_the_register_does_not_bring_the_person_back(tmp_path: Path) -> None:
    home = home_at(tmp_path / "home", TRIPS, REGISTER)
    home.write("trips.csv", *ROWS)
    home.write("register.csv", f"{ANNA},2020-01-01,", f"{BERT},2020-01-01,", header="mobile,since,until")
    home.read()
    with home.opened() as workspace:
        erase(workspace, number_of(workspace, ANNA))
    home.write("register.csv", f"{ANNA},2020-02-01,", f"{BERT},2020-01-01,", header="mobile,since,until")
    home.read()
    with home.opened() as workspace:
        assert workspace.persons.find(ANNA) is None
        assert len(workspace.persons.new_for_enrolment()) == 1


def test_an_enrolled_person_is_withdrawn_with_the_next_batch(home: Home) -> None:
    workspace = open_workspace(home.folder, schemas=SCHEMAS)
    workspace.database.execute("INSERT INTO pseudonym VALUES (1, x'01', x'02'), (2, x'01', x'02')")
    workspace.persons.mark_enrolled([1, 2])
    erase(workspace, 1)
    assert workspace.persons.ended_consents() == [1]
    assert workspace.database.rows("SELECT person FROM pseudonym") == [(2,)]
    workspace.close()


def test_pushed_rows_are_taken_out_of_the_spool(tmp_path: Path) -> None:
    home = home_at(tmp_path / "home", TRIPS.replace('path = "trips*.csv"', 'kind = "push"'))
    with home.opened() as workspace:
        spool = workspace.spool()
        for trip, mobile in (("t1", ANNA), ("t2", BERT)):
            record = {"trip": trip, "mobile": mobile, "start": "2021-01-05 08:00:00", "km": "1"}
            spool.take("trips", [PushedRecord(trip, record)])
        list(workspace.read())
        later = {"trip": "t3", "mobile": f"+86 {ANNA}", "start": "2021-01-06 08:00:00", "km": "1"}
        spool.take(
            "trips", [PushedRecord("t3", later), PushedRecord("t4", {**later, "mobile": BERT, "trip": "4"})]
        )
        assert erase(workspace, number_of(workspace, ANNA)).pushed == 1
        list(workspace.read())
        assert [row[0] for row in kept(workspace)] == ["4", "t2"]


def test_nobody_is_erased_twice_or_while_sources_are_read(home: Home) -> None:
    number = erase_anna(home)
    with home.opened() as workspace:
        for unknown in (number, 99, 0):
            with pytest.raises(Unavailable, match="No such person"):
                erase(workspace, unknown)
        with (
            exclusive(home.folder / LOCK_FILE, "reading sources"),
            pytest.raises(Unavailable, match="Another"),
        ):
            erase(workspace, number_of(workspace, BERT))


def test_the_command_takes_an_identifier_from_standard_input(home: Home) -> None:
    done = CliRunner().invoke(
        person, ["erase", "--home", str(home.folder), "--identifier", "-", "--json"], input=f"{ANNA}\n"
    )
    assert done.exit_code == 0, done.output
    assert '"activities": 2' in done.output
    assert ANNA not in done.output


RETENTION = "[retention]\nmonths = {months}\n"


def test_what_is_past_its_time_leaves(home: Home) -> None:
    home.configure(TRIPS, RETENTION.format(months=3))
    for today, expected in (("2021-04-30", ["t1", "t2", "t3"]), ("2021-05-01", ["t3"]), ("2021-06-01", [])):
        with home.opened(datetime.date.fromisoformat(today)) as workspace:
            list(workspace.read())
            assert [row[0] for row in kept(workspace)] == expected
    assert persons_in(home.folder) == set()


def test_old_rows_are_not_taken_again(home: Home) -> None:
    home.configure(TRIPS, RETENTION.format(months=3))
    home.write("trips-3.csv", *ROWS, f"t4,{ANNA},2021-04-09 08:00:00,1")
    with home.opened(datetime.date(2021, 5, 1)) as workspace:
        outcome = list(workspace.read())[-1].outcome
        assert outcome is not None
        assert flaws(outcome) == {("past-retention", "start"): 2}
        assert [row[2] for row in kept(workspace)] == [day("2021-02-05"), day("2021-04-09")]


def test_a_rule_shorter_than_a_pack_looks_back_is_refused(tmp_path: Path) -> None:
    power = TRIPS.replace('"trip.bicycle"', '"energy.electricity"').replace(
        'distance = { column = "km", unit = "km" }', 'energy = { column = "km", unit = "kWh" }'
    )
    home = home_at(tmp_path / "home", power, RETENTION.format(months=3))
    with pytest.raises(Malformed, match="compare with up to"), home.opened():
        pass
