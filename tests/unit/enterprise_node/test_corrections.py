"""A changed record is a correction: the later version stands in any order; nothing is released twice."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enterprise_node.reductions import MeasureSpec
from enterprise_node.store.releases import ReleaseState, StoredRelease
from enterprise_node.workspace import Workspace
from protos.epochs import Epoch
from tests.unit.enterprise_node.homes import (
    ANNA,
    BERT,
    TRIP_HEADER,
    TRIPS,
    Home,
    day,
    flaws,
    home_at,
    kept,
)

JANUARY, FEBRUARY = Epoch(202101), Epoch(202102)
RIDES = MeasureSpec("rides", ("trv.shared_bike",), 500)
FIRST = f"t1,{ANNA},2021-01-05 08:00:00,1"
SECOND = f"t1,{ANNA},2021-01-05 08:00:00,2"
OTHER = f"t2,{BERT},2021-01-06 08:00:00,3"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_at(tmp_path / "home")


def distances(home: Home) -> dict[str, int]:
    with home.opened() as workspace:
        return {str(row[0]): int(str(row[-1])) for row in kept(workspace)}


def grams(workspace: Workspace, epoch: Epoch) -> list[int]:
    return [int(value) for value in workspace.reductions.statement_vector(epoch, RIDES).grams]


def begin_release(workspace: Workspace, epoch: Epoch, state: ReleaseState) -> None:
    workspace.database.execute(
        "INSERT INTO release VALUES (?, ?, ?, ?, ?, ?, ?)",
        StoredRelease(epoch, state, b"policy", b"nonce", 1, 2, 0),
    )


def test_a_correction_takes_the_place_of_the_record(home: Home) -> None:
    home.write("trips-1.csv", FIRST, OTHER)
    home.read()
    with home.opened() as workspace:
        before = grams(workspace, JANUARY)
    home.write("trips-2.csv", SECOND, OTHER)
    outcome = home.outcome()
    assert (outcome.taken, outcome.corrected, outcome.repeated, outcome.late) == (1, 1, 1, 0)
    assert distances(home) == {"t1": 2000, "t2": 3000}
    with home.opened() as workspace:
        after = grams(workspace, JANUARY)
    assert after[0] > before[0]
    assert after[1] == before[1]


def test_the_earlier_version_is_kept_apart(home: Home) -> None:
    home.write("trips-1.csv", FIRST, OTHER)
    home.read()
    home.write("trips-2.csv", SECOND)
    home.read()
    with home.opened() as workspace:
        [apart] = workspace.files.superseded_files()
        path = workspace.activities.absolute(apart.path)
        rows = workspace.engine.rows(f"SELECT record, distance FROM read_parquet('{path}')")
        assert sum(workspace.activities.counts().values()) == 2
    assert rows == [("t1", 1000)]


def test_a_content_that_comes_back_is_the_later_version(home: Home) -> None:
    """The file is changed and changed back; each state of it is read once."""
    for content, expected in ((FIRST, 1000), (SECOND, 2000), (FIRST, 1000), (SECOND, 2000)):
        home.write("trips.csv", content, OTHER)
        outcome = home.outcome()
        assert (outcome.taken - outcome.corrected, distances(home)["t1"]) in ((2, expected), (0, expected))
        assert [report.outcome for report in home.read()] == [None]
    assert distances(home) == {"t1": 2000, "t2": 3000}


def test_a_copy_of_an_old_content_corrects_nothing(home: Home) -> None:
    home.write("trips-1.csv", FIRST)
    home.read()
    home.write("trips-2.csv", SECOND)
    home.read()
    home.write("trips-3.csv", FIRST)
    assert [report.outcome for report in home.read()] == [None, None, None]
    assert distances(home) == {"t1": 2000}


VERSIONED = TRIPS.replace("km = {", 'changed = "integer"\nkm = {').replace(
    'person = "mobile"', 'person = "mobile"\nversion = "changed"', 1
)
VERSIONS = (
    ("t1", "2021-01-05 08:00:00", "1", 1),
    ("t1", "2021-01-07 08:00:00", "2", 2),
    ("t1", "2021-01-05 08:00:00", "1", 4),
    ("t1", "2021-01-05 09:00:00", "7", 3),
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_with_a_version_column_the_order_of_files_is_nothing(tmp_path: Path, order: tuple[int, ...]) -> None:
    home = home_at(tmp_path / "home", VERSIONED)
    for place, number in enumerate(order):
        trip, start, km, version = VERSIONS[number]
        home.write(
            f"trips-{place}.csv", f"{trip},{ANNA},{start},{km},{version}", header=TRIP_HEADER + ",changed"
        )
    home.read()
    with home.opened() as workspace:
        assert [row[2:] for row in kept(workspace)] == [(day("2021-01-05"), "east", 1000)]


def test_versions_within_one_file(tmp_path: Path) -> None:
    home = home_at(tmp_path / "home", VERSIONED)
    rows = [f"{trip},{ANNA},{start},{km},{version}" for trip, start, km, version in VERSIONS]
    home.write("trips.csv", *rows, header=TRIP_HEADER + ",changed")
    outcome = home.outcome()
    assert (outcome.taken, outcome.repeated, outcome.quarantined) == (1, 3, 0)
    assert distances(home) == {"t1": 1000}


@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_order_of_rows_and_cuts_into_files_are_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Records, some of them in several versions, in any order in any files: the same is kept and released."""
    versions = st.tuples(st.integers(0, 9), st.integers(1, 3), st.sampled_from([ANNA, BERT]))
    found = data.draw(
        st.lists(
            st.tuples(versions, st.integers(1, 28), st.integers(0, 9999)), max_size=25, unique_by=first_two
        )
    )
    rows = [
        f"t{trip},{mobile},2021-01-{day:02d} 08:00:00,{metres / 1000:.3f},{version}"
        for (trip, version, mobile), day, metres in found
    ]
    answers = []
    for name, cuts, ordered in (
        ("whole", 1, rows),
        ("cut", data.draw(st.integers(2, 4)), data.draw(st.permutations(rows))),
    ):
        home = home_at(tmp_path_factory.mktemp("order") / name, VERSIONED)
        # Everybody is numbered in the same order.
        home.write("trips-0.csv", *FIRST_OF_EACH, header=TRIP_HEADER + ",changed")
        for cut in range(cuts):
            home.write(f"trips-{cut + 1}.csv", *ordered[cut::cuts], header=TRIP_HEADER + ",changed")
        home.read()
        with home.opened() as workspace:
            answers.append((kept(workspace), grams(workspace, JANUARY)))
    assert answers[0] == answers[1]


FIRST_OF_EACH = [f"a{mobile},{mobile},2021-01-01 08:00:00,1,1" for mobile in (ANNA, BERT)]


def first_two(row: tuple[tuple[int, int, str], int, int]) -> tuple[int, int]:
    return row[0][:2]


@pytest.mark.parametrize("version", ["2021-01-09 10:00:00", "2021-01-09T02:00:00Z", "2021-01-09"])
def test_versions_may_be_moments(tmp_path: Path, version: str) -> None:
    source = VERSIONED.replace('changed = "integer"', 'changed = "timestamp"')
    home = home_at(tmp_path / "home", source)
    header = TRIP_HEADER + ",changed"
    home.write("trips-1.csv", f"{SECOND},{version}", header=header)
    home.write(
        "trips-2.csv", f"{FIRST},2021-01-08 23:00:00", f"t2,{BERT},2021-01-06 08:00:00,3,soon", header=header
    )
    outcome = home.outcome()
    assert flaws(outcome) == {("wrong-type", "changed"): 1}
    assert distances(home) == {"t1": 2000}


def test_a_mended_mapping_of_an_old_file_does_not_undo_a_correction(home: Home) -> None:
    bad = f"t3,{BERT},2021-01-06 08:00:00,3.0001"
    home.write("trips-1.csv", FIRST, bad)
    home.read()
    home.write("trips-2.csv", SECOND)
    home.read()
    home.configure(
        TRIPS.replace("decimals = 3", "decimals = 4").replace(
            'unit = "km" }', 'unit = "km", rounding = "down" }'
        )
    )
    home.read()
    assert distances(home) == {"t1": 2000, "t3": 3000}


def test_a_mended_mapping_corrects_what_the_same_file_gave(home: Home) -> None:
    home.write("trips.csv", FIRST, f"t3,{BERT},nonsense,1")
    home.read()
    home.configure(TRIPS.replace('unit = "km" }', 'unit = "m" }').replace("decimals = 3", "decimals = 0"))
    outcome = home.outcome()
    assert (outcome.corrected, distances(home)) == (1, {"t1": 1})


def test_a_record_may_become_another_activity(tmp_path: Path) -> None:
    source = TRIPS.replace(
        'activity = "trip.bicycle"',
        'activity = { column = "what", codes = { bike = "trip.bicycle", power = "energy.electricity" } }',
    ).replace("km = {", 'what = "text"\nwh = "integer"\nkm = {')
    home = home_at(tmp_path / "home", source, 'energy = { column = "wh", unit = "Wh" }\n')
    for name, what in (("trips-1.csv", "bike"), ("trips-2.csv", "power")):
        home.write(name, f"{FIRST},{what},70", header=TRIP_HEADER + ",what,wh")
        outcome = home.outcome()
    assert outcome.corrected == 1
    with home.opened() as workspace:
        assert workspace.activities.counts() == {"energy.electricity": 1}


def test_a_correction_does_not_fill_a_day(home: Home) -> None:
    rows = [f"t{number},{ANNA},2021-01-05 08:00:00,1" for number in range(1000)]
    home.write("trips-1.csv", *rows)
    home.read()
    home.write("trips-2.csv", *(row[:-1] + "2" for row in rows), f"more,{ANNA},2021-01-05 08:00:00,1")
    outcome = home.outcome()
    assert (outcome.corrected, flaws(outcome)) == (1000, {("too-many-records", "mobile"): 1})


def test_repeated_records_fill_a_day(home: Home) -> None:
    rows = [f"t{number},{ANNA},2021-01-05 08:00:00,1" for number in range(1000)]
    home.write("trips-1.csv", *rows)
    home.read()
    home.write("trips-2.csv", *rows, f"more,{ANNA},2021-01-05 08:00:00,1")
    outcome = home.outcome()
    assert (outcome.repeated, flaws(outcome)) == (1000, {("too-many-records", "mobile"): 1})


def test_a_correction_that_cannot_be_taken_leaves_the_earlier_version(home: Home) -> None:
    home.write("trips-1.csv", FIRST)
    home.read()
    home.write("trips-2.csv", FIRST[:-1] + "-5")
    assert home.outcome().quarantined == 1
    assert distances(home) == {"t1": 1000}


@pytest.mark.parametrize("state", [ReleaseState.DRAWN, ReleaseState.SUBMITTED, ReleaseState.COMMITTED])
def test_what_comes_after_the_draw_is_late(home: Home, state: ReleaseState) -> None:
    home.write("trips-1.csv", FIRST)
    home.read()
    with home.opened() as workspace:
        begin_release(workspace, JANUARY, state)
    home.write("trips-2.csv", SECOND, OTHER, f"t3,{BERT},2021-02-06 08:00:00,3")
    outcome = home.outcome()
    assert (outcome.taken, outcome.corrected, outcome.late) == (3, 1, 2)
    assert distances(home)["t1"] == 2000
    with home.opened() as workspace:
        assert workspace.files.totals()["trips"].late == 2


def test_before_the_draw_nothing_is_late(home: Home) -> None:
    home.write("trips-1.csv", FIRST)
    home.read()
    with home.opened() as workspace:
        begin_release(workspace, JANUARY, ReleaseState.RESERVED)
    home.write("trips-2.csv", SECOND)
    assert home.outcome().late == 0


@pytest.mark.parametrize("state", [ReleaseState.RESERVED, ReleaseState.COMMITTED])
def test_no_correction_carries_a_released_record_into_an_open_month(home: Home, state: ReleaseState) -> None:
    home.write("trips-1.csv", FIRST)
    home.read()
    with home.opened() as workspace:
        begin_release(workspace, JANUARY, state)
        before = grams(workspace, JANUARY)
    home.write("trips-2.csv", FIRST.replace("2021-01-05", "2021-02-05"))
    outcome = home.outcome()
    assert flaws(outcome) == {("changed-record", "start"): 1}
    with home.opened() as workspace:
        assert grams(workspace, JANUARY) == before
        assert grams(workspace, FEBRUARY) == [0]


def test_a_correction_out_of_an_open_month_leaves_it(home: Home) -> None:
    home.write("trips-1.csv", FIRST.replace("2021-01-05", "2021-02-05"))
    home.read()
    with home.opened() as workspace:
        begin_release(workspace, JANUARY, ReleaseState.COMMITTED)
    home.write("trips-2.csv", FIRST)
    outcome = home.outcome()
    assert (outcome.corrected, outcome.late) == (1, 1)
    with home.opened() as workspace:
        assert grams(workspace, FEBRUARY) == [0]


def test_files_nobody_names_are_swept(home: Home) -> None:
    home.write("trips-1.csv", FIRST, OTHER)
    home.read()
    home.write("trips-2.csv", SECOND)
    home.read()
    folder = home.folder / "activities" / "trip.bicycle"
    assert len(list(folder.iterdir())) == 3
    home.read()
    with home.opened() as workspace:
        assert sorted(folder.iterdir()) == sorted(workspace.activities.paths())
