"""What is read is read once; what cannot be taken has a place and a reason; nothing is doubled or lost."""

from __future__ import annotations

import gzip
from pathlib import Path
from random import Random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enterprise_node.exclusive import exclusive
from enterprise_node.quarantine import remedy
from enterprise_node.workspace import LOCK_FILE
from protos.epochs import Epoch
from protos.problems import Malformed, Unavailable
from tests.unit.enterprise_node.homes import (
    ANNA,
    BERT,
    HEAD,
    TRIP_HEADER,
    TRIPS,
    Home,
    day,
    flaws,
    home_at,
    kept,
)

GOOD = (f"t1,{ANNA},2021-01-05 08:00:00,1.250", f"t2,{BERT},2021-01-06 23:59:59,3")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_at(tmp_path / "home")


def test_good_rows_become_activities(home: Home) -> None:
    home.write("trips.csv", *GOOD)
    assert home.outcome().taken == 2
    with home.opened() as workspace:
        rows = kept(workspace)
    assert [row[0] for row in rows] == ["t1", "t2"]
    assert [row[2:] for row in rows] == [
        (day("2021-01-05"), "east", 1250),
        (day("2021-01-06"), "east", 3000),
    ]


def test_same_content_is_read_once_under_any_name(home: Home) -> None:
    path = home.write("trips.csv", *GOOD)
    home.read()
    path.rename(path.with_name("trips-again.csv"))
    assert [report.outcome for report in home.read()] == [None]


def test_touched_file_is_hashed_again_but_not_read(home: Home) -> None:
    path = home.write("trips.csv", *GOOD)
    home.read()
    path.touch()
    assert [report.outcome for report in home.read()] == [None]


def test_longer_export_brings_only_its_new_rows(home: Home) -> None:
    home.write("trips-1.csv", *GOOD)
    home.read()
    home.write("trips-2.csv", *GOOD, f"t3,{ANNA},2021-01-07 08:00:00,1")
    outcome = home.outcome()
    assert (outcome.taken, outcome.repeated, outcome.quarantined) == (1, 2, 0)


def test_one_of_two_rows_with_one_id_is_taken(home: Home) -> None:
    home.write("trips.csv", GOOD[0], f"t1,{BERT},2021-01-09 08:00:00,7", GOOD[1])
    outcome = home.outcome()
    assert outcome.taken == 2
    assert flaws(outcome) == {("duplicate-record", "trip"): 1}
    with home.opened() as workspace:
        assert [row.line for row in workspace.quarantine.rows(9)] == [3]
        assert kept(workspace)[0][-1] == 1250


def test_lines_are_those_of_the_file_behind_broken_ones(home: Home) -> None:
    bad = f"t9,{ANNA},2021-01-05 08:00:00,-1"
    home.write("trips.csv", "t7,x", GOOD[0], "t8,x", "t8,x,y,z,0", bad, GOOD[1], bad.replace("t9", "t10"))
    outcome = home.outcome()
    assert (outcome.lines, outcome.taken) == (7, 2)
    with home.opened() as workspace:
        places = [(row.line, row.reason) for row in workspace.quarantine.rows(9)]
    broken, negative = "broken-line", "negative-quantity"
    assert places == [(2, broken), (4, broken), (5, broken), (6, negative), (8, negative)]


def test_no_more_records_on_a_day_than_the_activity_allows(home: Home) -> None:
    rows = [f"t{number},{ANNA},2021-01-05 08:00:00,1" for number in range(1003)]
    home.write("trips-1.csv", *rows[:400])
    home.read()
    home.write("trips-2.csv", *rows[400:], f"other,{BERT},2021-01-05 08:00:00,1")
    outcome = home.outcome()
    assert flaws(outcome) == {("too-many-records", "mobile"): 3}
    assert outcome.taken == 601
    with home.opened() as workspace:
        # The last record ids go, wherever their rows stand.
        assert [row.line for row in workspace.quarantine.rows(9)] == [599, 600, 601]


@settings(max_examples=2, deadline=None)
@given(st.integers(999, 1003), st.integers(2, 3), st.randoms(use_true_random=False))
def test_a_crowded_day_keeps_whoever_came_first_and_no_other_day_notices(
    tmp_path_factory: pytest.TempPathFactory, count: int, cuts: int, random: Random
) -> None:
    crowd = [f"t{number},{ANNA},2021-01-05 08:00:00,1" for number in range(count)]
    rows = [*crowd, *(f"b{number},{BERT},2021-01-05 08:00:00,2" for number in range(9))]
    random.shuffle(rows)
    found = []
    for cut, ordered in ((1, rows), (1, sorted(rows)), (cuts, rows)):
        home = home_at(tmp_path_factory.mktemp("crowd") / "home")
        before: set[object] = set()
        for number in range(cut):
            home.write(f"trips-{number}.csv", *ordered[number::cut])
            home.read()
            with home.opened() as workspace:
                now = {row[0] for row in kept(workspace)}
            assert before <= now
            before = now
        found.append(before)
    # In one file the last record ids go, in whatever order rows stand; over files, those of the later ones.
    assert found[0] == found[1]
    assert {len(one) for one in found} == {min(count, 1000) + 9}
    assert all(
        {one for one in each if str(one).startswith("b")} == {f"b{n}" for n in range(9)} for each in found
    )


def test_rules_exclude_and_count(home: Home) -> None:
    rule = '[[source.rule]]\ncolumn = "km"\nat_most = "0.5"\nreason = "too-short"\n'
    home.configure(TRIPS, rule)
    home.write("trips.csv", *GOOD, f"t3,{ANNA},2021-01-07 08:00:00,0.5", f"t4,{ANNA},nonsense,0.1")
    outcome = home.outcome()
    assert (outcome.taken, outcome.excluded, outcome.quarantined) == (2, 2, 0)
    assert flaws(outcome) == {("too-short", "km"): 2}


def test_rules_may_quarantine_words(home: Home) -> None:
    rule = '[[source.rule]]\ncolumn = "trip"\nequals = ["t2"]\nthen = "quarantine"\nreason = "test-ride"\n'
    home.configure(TRIPS, rule)
    home.write("trips.csv", *GOOD)
    outcome = home.outcome()
    assert flaws(outcome) == {("rule:test-ride", "trip"): 1}
    assert "node.toml" in remedy("rule:test-ride")


def test_file_with_quarantine_is_read_again_once_its_mapping_is_mended(home: Home) -> None:
    lookup = '[[source.lookup]]\npath = "riders.csv"\nkey = "rider"\ncolumns = { mobile = "text" }\n'
    source = TRIPS.replace('mobile = { type = "text", private = true }', 'rider = "text"')
    home.configure(source, lookup)
    header = "trip,rider,start,km"
    home.write("trips.csv", "t1,r1,2021-01-05 08:00:00,1", "t2,r2,2021-01-05 09:00:00,2", header=header)
    home.write("riders.csv", f"r1,{ANNA}", header="rider,mobile")
    assert flaws(home.outcome()) == {("person-missing", "mobile"): 1}
    assert [report.outcome for report in home.read()] == [None]
    home.write("riders.csv", f"r1,{ANNA}", f"r2,{BERT}", header="rider,mobile")
    outcome = home.outcome()
    assert (outcome.taken, outcome.repeated, outcome.quarantined) == (1, 1, 0)
    with home.opened() as workspace:
        assert [row[0] for row in kept(workspace)] == ["t1", "t2"]
        assert workspace.quarantine.total() == 0
        totals = workspace.files.totals()["trips"]
    assert (totals.lines, totals.taken, totals.repeated) == (2, 2, 0)


def test_lookup_with_two_answers_is_refused(home: Home) -> None:
    lookup = '[[source.lookup]]\npath = "riders.csv"\nkey = "rider"\ncolumns = { mobile = "text" }\n'
    home.configure(TRIPS.replace('mobile = { type = "text", private = true }', 'rider = "text"'), lookup)
    home.write("trips.csv", "t1,r1,2021-01-05 08:00:00,1", header="trip,rider,start,km")
    home.write("riders.csv", f"r1,{ANNA}", f"r1,{BERT}", f"r2,{BERT}", header="rider,mobile")
    with pytest.raises(Malformed, match="1 values of 'rider' stand in several rows"):
        home.read()


def test_header_without_a_declared_column_is_refused(home: Home) -> None:
    home.write("trips.csv", header="trip,mobile,begin,km")
    with pytest.raises(Malformed, match=r"trips\.csv, column 'start': is not in the header"):
        home.read()


@pytest.mark.parametrize(
    ("text", "encoding", "told", "remedy"),
    [
        ("单号;电话\n", "gb18030", "the header is not in utf-8", 'encoding = "gb18030"'),
        ("trip;mobile;start;km\n", "utf-8-sig", "one column when cut at ','", "delimiter = ';'"),
        (f"t1,{ANNA},2021-01-05\n", "utf-8", "none of its 3 columns has this name", "Correct the name"),
        ("", "utf-8", "the file is empty", "write it again with its header"),
    ],
)
def test_a_header_that_cannot_be_matched_says_why_and_nothing_of_persons(
    home: Home, text: str, encoding: str, told: str, remedy: str
) -> None:
    (home.folder / "trips.csv").write_bytes(text.encode(encoding))
    with pytest.raises(Malformed) as caught:
        home.read()
    assert told in caught.value.message
    assert remedy in caught.value.remedy
    assert ANNA not in caught.value.message


def test_missing_file_is_said(home: Home) -> None:
    with pytest.raises(Unavailable, match=r"No file matches trips\*\.csv"):
        home.read()


def test_gzip_and_gb18030(home: Home) -> None:
    home.configure(TRIPS.replace('path = "trips*.csv"', 'path = "trips*.csv.gz"\nencoding = "gb18030"'))
    text = "\n".join(["行程,mobile,start,km", *GOOD, f"北京路,{ANNA},2021-01-08 08:00:00,1", ""])
    raw = text.encode("gb18030").replace(b"t2", b"\xff2")
    (home.folder / "trips.csv.gz").write_bytes(gzip.compress(raw))
    home.configure(
        TRIPS.replace('path = "trips*.csv"', 'path = "trips*.csv.gz"\nencoding = "gb18030"').replace(
            'trip = "text"', 'trip = { type = "text", name = "行程" }'
        )
    )
    outcome = home.outcome()
    assert {reason for reason, _ in flaws(outcome)} == {"broken-line"}
    with home.opened() as workspace:
        assert [row[0] for row in kept(workspace)] == ["t1", "北京路"]
        assert [row.line for row in workspace.quarantine.rows(9)] == [3]


def parquet(home: Home, columns: str) -> None:
    home.configure(
        TRIPS.replace("trips*.csv", "trips.parquet")
        .replace('start = "text"', 'start = "timestamp"')
        .replace('km = { type = "decimal", decimals = 3 }', 'km = { type = "double", decimals = 3 }')
    )
    target = home.folder / "trips.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT {columns}) TO '{target}' (FORMAT parquet)")


def test_parquet_in_its_own_types(home: Home) -> None:
    rows = f"unnest(['t1', 't2']) AS trip, '{ANNA}' AS mobile, TIMESTAMP '2021-01-05 08:00:00' AS start"
    parquet(home, f"{rows}, unnest([0.1::DOUBLE + 0.2::DOUBLE, 0.00015]) AS km")
    outcome = home.outcome()
    assert flaws(outcome) == {("not-exact", "km"): 1}
    with home.opened() as workspace:
        assert kept(workspace)[0][-1] == 300
        assert [row.line for row in workspace.quarantine.rows(9)] == [2]


def test_parquet_of_another_type_is_refused(home: Home) -> None:
    parquet(
        home, f"'t1' AS trip, '{ANNA}' AS mobile, TIMESTAMP '2021-01-05 08:00:00' AS start, 1::BIGINT AS km"
    )
    with pytest.raises(Malformed, match="'km': is BIGINT, declared double"):
        home.read()


def test_several_activities_from_one_column(home: Home) -> None:
    source = TRIPS.replace(
        'activity = "trip.bicycle"',
        'activity = { column = "what", codes = { bike = "trip.bicycle", power = "energy.electricity" } }',
    ).replace("km = {", 'what = "text"\nwh = "integer"\nkm = {')
    home.configure(source, 'energy = { column = "wh", unit = "Wh" }\n')
    home.write(
        "trips.csv",
        f"t1,{ANNA},2021-01-05 08:00:00,1,bike,",
        f"t2,{ANNA},2021-01-05 08:00:00,,power,70",
        f"t3,{ANNA},2021-01-05 08:00:00,,power,",
        f"t4,{ANNA},2021-01-05 08:00:00,1,boat,",
        header=TRIP_HEADER + ",what,wh",
    )
    outcome = home.outcome()
    assert flaws(outcome) == {("missing-value", "wh"): 1, ("unknown-code", "what"): 1}
    with home.opened() as workspace:
        assert [row[-1] for row in kept(workspace)] == [1000]
        assert [row[-1] for row in kept(workspace, "energy.electricity")] == [70]
        assert set(workspace.packs) == {"trv.shared_bike", "life.electricity_saving"}


def test_shift_quarantines_days_that_are_not(home: Home) -> None:
    home.configure(TRIPS.replace('column = "start"', 'column = "start"\nshift_months = 1'))
    home.write("trips.csv", f"t1,{ANNA},2021-01-28 08:00:00,1", f"t2,{ANNA},2021-01-29 08:00:00,1")
    outcome = home.outcome()
    assert flaws(outcome) == {("no-such-day", "start"): 1}
    with home.opened() as workspace:
        assert [row[2] for row in kept(workspace)] == [day("2021-02-28")]


def test_crash_before_the_record_leaves_nothing_that_counts(home: Home) -> None:
    home.write("trips.csv", *GOOD)
    home.read()
    with home.opened() as workspace:
        [path] = workspace.activities.paths("trip.bicycle")
        workspace.database.execute("DELETE FROM activity_file")
        workspace.database.execute("DELETE FROM source_file")
        assert kept(workspace) == []
    home.read()
    with home.opened() as workspace:
        assert workspace.activities.paths("trip.bicycle") == [path]
        assert len(kept(workspace)) == 2


def test_one_process_reads_at_a_time(home: Home) -> None:
    home.write("trips.csv", *GOOD)
    with exclusive(home.folder / LOCK_FILE, "reading sources"), pytest.raises(Unavailable, match="Another"):
        home.read()
    assert home.outcome().taken == 2


def test_no_identifier_and_no_raw_value_is_written(home: Home) -> None:
    private = TRIPS.replace('record = ["trip"]', 'record = ["mobile", "trip"]')
    home.configure(private)
    bad = "13812345678901"
    home.write("trips.csv", *GOOD, f"t3,{bad},2021-01-05 08:00:00,1", f"t4,{BERT},2021-01-05 08:00:00,-77777")
    outcome = home.outcome()
    assert flaws(outcome) == {("identifier-invalid", "mobile"): 1, ("negative-quantity", "km"): 1}
    with home.opened() as workspace:
        workspace.reductions.compute(Epoch(202101))
        assert all(ANNA not in str(row) and BERT not in str(row) for row in kept(workspace))
        assert len({str(row[0]).split("/")[0] for row in kept(workspace)}) == 2
    written = [
        path for path in home.folder.rglob("*") if path.is_file() and path.suffix not in {".csv", ".toml"}
    ]
    assert len(written) >= 4
    for path in written:
        content = path.read_bytes()
        for canary in (ANNA, BERT, bad, "77777"):
            assert canary.encode() not in content, path.name


def test_source_of_two_files_is_one_source(home: Home) -> None:
    home.write("trips-1.csv", GOOD[0])
    home.write("trips-2.csv", GOOD[1])
    assert [report.outcome.taken for report in home.read() if report.outcome] == [1, 1]
    with home.opened() as workspace:
        assert workspace.files.totals()["trips"].files == 2
        assert workspace.activities.counts() == {"trip.bicycle": 2}


def test_constant_inputs_are_converted_when_the_mapping_is_made(home: Home) -> None:
    home.configure(TRIPS.replace('{ column = "km", unit = "km" }', '{ constant = "1.5", unit = "km" }'))
    home.write("trips.csv", *GOOD)
    home.read()
    with home.opened() as workspace:
        assert [row[-1] for row in kept(workspace)] == [1500, 1500]
    home.configure(TRIPS.replace('{ column = "km", unit = "km" }', '{ constant = "1.0005", unit = "km" }'))
    home.write("trips-2.csv", GOOD[0])
    with pytest.raises(Malformed, match="input distance"):
        home.read()


def test_head_names_the_region_of_records_without_one(home: Home) -> None:
    assert 'region = "east"' in HEAD
    home.configure(
        TRIPS.replace("activity =", 'region = { column = "trip", codes = { t1 = "west" } }\nactivity =')
    )
    home.write("trips.csv", *GOOD)
    assert flaws(home.outcome()) == {("unknown-code", "trip"): 1}
    with home.opened() as workspace:
        assert kept(workspace)[0][3] == "west"
