"""Rows of a real PostgreSQL become activities piece by piece, each once, as files do; no secret is told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import psycopg
import pytest

from enterprise_node.check import check_sources
from enterprise_node.doctor import examine
from enterprise_node.sources.postgres import PostgresSource
from enterprise_node.store.sources import Outcome
from enterprise_node.workspace import Workspace
from protos.problems import Malformed, Problem, Unavailable
from tests.unit.enterprise_node.homes import ANNA, BERT, TRIPS, Home, day, flaws, home_at, kept

SOURCE = (
    TRIPS.replace('path = "trips*.csv"', 'kind = "postgresql"\ndsn_file = "database.dsn"\ntable = "trips"')
    .replace('start = "text"', 'start = "timestamp"')
    .replace('trip = "text"', 'trip = "text"\nchanged = "timestamp"')
)
WATERMARKED = SOURCE.replace('table = "trips"', 'table = "trips"\nwatermark = "changed"')
SECRET = "hunter2canary"


@pytest.fixture
def server(postgres_server: str) -> str:
    return postgres_server


@pytest.fixture
def database(server: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS trips CASCADE")
        connection.execute(
            "CREATE TABLE trips (trip text, mobile text, start timestamptz, km numeric(12, 4),"
            " changed timestamptz)"
        )
        yield connection


@pytest.fixture
def home(tmp_path: Path, server: str) -> Home:
    return database_home(tmp_path / "home", WATERMARKED, server)


def database_home(folder: Path, source: str, dsn: str) -> Home:
    home = home_at(folder, source)
    path = folder / "database.dsn"
    path.write_text(dsn, encoding="utf-8")
    path.chmod(0o600)
    return home


def add(
    database: psycopg.Connection, trip: str | None, mobile: str, start: str, km: str, changed: str
) -> None:
    database.execute("INSERT INTO trips VALUES (%s, %s, %s, %s, %s)", (trip, mobile, start, km, changed))


def fill(database: psycopg.Connection) -> None:
    add(database, "t1", ANNA, "2021-01-05 16:30:00+00", "1.25", "2021-01-06 00:00:00+00")
    add(database, 't2, "北"\n京', BERT, "2021-01-06 08:00:00+08", "3", "2021-01-07 00:00:00+00")


def outcomes(home: Home) -> list[Outcome]:
    return [report.outcome for report in home.read() if report.outcome is not None]


def distances(home: Home) -> dict[str, int]:
    with home.opened() as workspace:
        return {str(row[0]): int(str(row[-1])) for row in kept(workspace)}


def source_of(workspace: Workspace, piece_bytes: int) -> PostgresSource:
    found = workspace.open_source(workspace.configuration.source[0], "mapping")
    assert isinstance(found, PostgresSource)
    return replace(found, piece_bytes=piece_bytes)


def read_some(workspace: Workspace, pieces: int) -> None:
    """Read a few small pieces and stop."""
    small = replace(workspace.ingest(), open_source=lambda settings, mapping: source_of(workspace, 300))
    assert len(list(islice(small.run(), pieces))) == pieces


def test_rows_become_activities(home: Home, database: psycopg.Connection) -> None:
    fill(database)
    [outcome] = outcomes(home)
    assert (outcome.lines, outcome.taken) == (2, 2)
    with home.opened() as workspace:
        assert [(row[0], row[2], row[4]) for row in kept(workspace)] == [
            ("t1", day("2021-01-06"), 1250),
            ('t2, "北"\n京', day("2021-01-06"), 3000),
        ]


def test_running_again_reads_only_what_is_new(home: Home, database: psycopg.Connection) -> None:
    fill(database)
    home.read()
    assert home.read() == []
    add(database, "t3", ANNA, "2021-01-09 08:00:00+08", "2", "2021-01-10 00:00:00+00")
    [outcome] = outcomes(home)
    assert (outcome.lines, outcome.taken) == (1, 1)


def test_a_changed_row_is_a_correction(home: Home, database: psycopg.Connection) -> None:
    fill(database)
    home.read()
    database.execute("UPDATE trips SET km = 7, changed = '2021-01-11' WHERE trip = 't1'")
    [outcome] = outcomes(home)
    assert (outcome.lines, outcome.corrected) == (1, 1)
    assert distances(home)["t1"] == 7000


def test_without_a_watermark_known_rows_are_recognised(
    tmp_path: Path, server: str, database: psycopg.Connection
) -> None:
    home = database_home(tmp_path / "home", SOURCE, server)
    fill(database)
    assert [report.outcome and report.outcome.taken for report in home.read()] == [2]
    assert [report.outcome for report in home.read()] == [None]
    database.execute("UPDATE trips SET km = 7 WHERE trip = 't1'")
    [outcome] = outcomes(home)
    assert (outcome.corrected, outcome.repeated) == (1, 1)
    database.execute("UPDATE trips SET km = 1.25 WHERE trip = 't1'")
    home.read()
    assert distances(home)["t1"] == 1250


def test_bad_rows_have_their_place_and_wait_for_a_mended_mapping(
    home: Home, database: psycopg.Connection
) -> None:
    fill(database)
    add(database, None, ANNA, "2021-01-06 08:00:00+08", "1", "2021-01-06 12:00:00+00")
    add(database, "t5", ANNA, "infinity", "1", "2021-01-08")
    add(database, "t6", ANNA, "2021-01-06 08:00:00+08", "1.0001", "2021-01-08")
    [outcome] = outcomes(home)
    assert flaws(outcome) == {
        ("missing-value", "trip"): 1,
        ("date-out-of-range", "start"): 1,
        ("not-exact", "km"): 1,
    }
    with home.opened() as workspace:
        assert {row.file.split(" up to ")[0] for row in workspace.quarantine.rows(9)} == {"postgresql"}
        assert {(row.line, row.column) for row in workspace.quarantine.rows(9)} >= {(2, "trip")}
    home.configure(
        WATERMARKED.replace("decimals = 3", "decimals = 4").replace(
            'unit = "km" }', 'unit = "km", rounding = "down" }'
        )
    )
    [outcome] = outcomes(home)
    assert (outcome.taken, outcome.repeated, outcome.quarantined) == (1, 2, 2)
    assert home.read() == []
    with home.opened() as workspace:
        assert workspace.quarantine.total() == 2


def test_pieces_are_bounded_and_end_where_the_watermark_changes(
    home: Home, database: psycopg.Connection
) -> None:
    for number in range(60):
        at = f"2021-01-{1 + number // 10:02} 00:00:00"
        add(database, f"t{number}", ANNA, "2021-01-06 08:00:00+08", "1", at)
    with home.opened() as workspace:
        pieces = list(source_of(workspace, 1300).pieces())
    assert [piece.file.path for piece in pieces] == [
        f"postgresql up to 2021-01-{day:02} 00:00:00+00" for day in (2, 4, 6)
    ]
    assert max(piece.file.size for piece in pieces) < 2 * 1300


def test_a_reading_stopped_midway_goes_on_there(home: Home, database: psycopg.Connection) -> None:
    for number in range(40):
        at = f"2021-01-{1 + number // 4:02} 00:00:00"
        add(database, f"t{number}", ANNA, "2021-01-06 08:00:00+08", "1", at)
    with home.opened() as workspace:
        read_some(workspace, 2)
        taken = sum(workspace.activities.counts().values())
    assert 0 < taken < 40
    rest = outcomes(home)
    assert sum(outcome.lines for outcome in rest) == 40 - taken
    assert len(distances(home)) == 40


def test_more_rows_of_one_watermark_than_a_piece_are_not_lost(
    home: Home, database: psycopg.Connection
) -> None:
    for number in range(50):
        add(database, f"t{number}", ANNA, "2021-01-06 08:00:00+08", "1", "2021-01-01")
    with home.opened() as workspace:
        read_some(workspace, 1)
    home.read()
    assert len(distances(home)) == 50


def test_a_query_and_a_variable(
    tmp_path: Path, server: str, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    query = "SELECT *, 1 AS more FROM trips WHERE km < 2;"
    source = SOURCE.replace('dsn_file = "database.dsn"', 'dsn_variable = "TRIPS_DSN"').replace(
        'table = "trips"', f'query = "{query}"'
    )
    home = home_at(tmp_path / "home", source)
    with pytest.raises(Malformed, match="no connection string"):
        home.read()
    monkeypatch.setenv("TRIPS_DSN", server)
    assert [outcome.taken for outcome in outcomes(home)] == [1]


def test_check_rehearses_and_keeps_nothing(home: Home, database: psycopg.Connection) -> None:
    fill(database)
    home.read()
    with home.opened() as workspace:
        [checked] = check_sources(workspace)
    assert (checked.outcome.lines, checked.outcome.repeated) == (2, 2)
    assert home.read() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('table = "trips"', 'table = "journeys"'), "does not exist"),
        (("km = { type", "metres = { type"), "metres"),
        (('start = "timestamp"', 'start = "integer"'), "is TIMESTAMP WITH TIME ZONE, declared integer"),
        (('type = "decimal", decimals = 3', 'type = "double", decimals = 3'), "declared double"),
    ],
    ids=["table", "column", "type", "double"],
)
def test_what_does_not_fit_is_said(
    tmp_path: Path, server: str, database: psycopg.Connection, change: tuple[str, str], said: str
) -> None:
    source = SOURCE.replace(*change).replace(
        'column = "km"', 'column = "metres"' if "metres" in change[1] else 'column = "km"'
    )
    home = database_home(tmp_path / "home", source, server)
    with pytest.raises(Malformed, match=said):
        home.read()


@pytest.mark.parametrize(
    "dsn",
    [
        f"host=/nowhere user=cgsp password={SECRET}",
        f"postgresql://cgsp:{SECRET}@127.0.0.1:1/x",
        f"{SECRET} is none",
    ],
    ids=["socket", "url", "malformed"],
)
def test_the_connection_string_is_never_told(
    tmp_path: Path, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    home = database_home(tmp_path / "home", SOURCE, dsn)
    with pytest.raises(Unavailable) as caught:
        home.read()
    told = f"{caught.value.message} {caught.value.remedy} {caught.value.__context__} {caplog.text}"
    assert SECRET not in f"{caught.value.message} {caught.value.remedy} {caplog.text}", told
    assert caught.value.__suppress_context__


def test_the_file_with_the_connection_string_must_be_private(tmp_path: Path, server: str) -> None:
    home = database_home(tmp_path / "home", SOURCE, server)
    (home.folder / "database.dsn").chmod(0o644)
    with pytest.raises(Problem, match="others can read it"):
        home.read()


def test_doctor_looks_for_the_connection_string(home: Home) -> None:
    assert all(one.is_good for one in examine(home.folder) if one.name.endswith("trips"))
    (home.folder / "database.dsn").unlink()
    assert [one.is_good for one in examine(home.folder) if one.name.endswith("trips")] == [False]


def test_the_node_cannot_write(tmp_path: Path, server: str, database: psycopg.Connection) -> None:
    database.execute(
        "CREATE OR REPLACE FUNCTION grow() RETURNS SETOF trips LANGUAGE sql AS"
        " $$ INSERT INTO trips VALUES ('x', 'x', now(), 1, now()) RETURNING * $$"
    )
    home = database_home(
        tmp_path / "home", SOURCE.replace('table = "trips"', 'query = "SELECT * FROM grow()"'), server
    )
    with pytest.raises(Unavailable, match="ReadOnlySqlTransaction"):
        home.read()
    assert database.execute("SELECT count(*) FROM trips").fetchall() == [(0,)]


def test_identifiers_stay_in_memory(home: Home, database: psycopg.Connection) -> None:
    fill(database)
    home.read()
    for path in home.folder.rglob("*"):
        if path.is_file():
            assert ANNA.encode() not in path.read_bytes(), path
