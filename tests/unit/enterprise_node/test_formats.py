"""Every format of file gives the same activities, and every bad record in it keeps file, line and column."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard

from enterprise_node.quarantine import QuarantinedRow
from protos.problems import Unavailable
from tests.unit.enterprise_node.homes import ANNA, BERT, HEAD, TRIPS, Home, day, home_at, kept

COLUMNS = ("trip", "mobile", "start", "km")
Row = Sequence[str]

GOOD: Sequence[Row] = (
    ("t1", ANNA, "2021-01-05 08:00:00", "1.250"),
    ("t2 北京", BERT, "2021-01-06 23:59:59", "3"),
)
# Each with the column it is blamed on.
BAD: Sequence[tuple[Row, str, str]] = (
    (("", ANNA, "2021-01-05 08:00:00", "1"), "trip", "missing-value"),
    (("b1", "", "2021-01-05 08:00:00", "1"), "mobile", "person-missing"),
    (("b2", "12", "2021-01-05 08:00:00", "1"), "mobile", "identifier-invalid"),
    (("b3", ANNA, "", "1"), "start", "missing-value"),
    (("b4", ANNA, "05.01.2021", "1"), "start", "wrong-type"),
    (("b5", ANNA, "1999-01-05 08:00:00", "1"), "start", "date-out-of-range"),
    (("b6", ANNA, "2021-01-05 08:00:00", ""), "km", "missing-value"),
    (("b7", ANNA, "2021-01-05 08:00:00", "far"), "km", "wrong-type"),
    (("b8", ANNA, "2021-01-05 08:00:00", "1.0001"), "km", "not-exact"),
    (("b9", ANNA, "2021-01-05 08:00:00", "-1"), "km", "negative-quantity"),
    (("b10", ANNA, "2021-01-05 08:00:00", "123456789"), "km", "above-maximum"),
    (("t1", BERT, "2021-01-09 08:00:00", "1"), "trip", "duplicate-record"),
)


def csv_text(rows: Sequence[Row]) -> str:
    return _delimited(rows, ",")


def tsv_text(rows: Sequence[Row]) -> str:
    return _delimited(rows, "\t")


def _delimited(rows: Sequence[Row], delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue()


def json_text(rows: Sequence[Row]) -> str:
    """Empty values are left out; the first line is empty so that lines are those of the others."""
    members = [{name: value for name, value in zip(COLUMNS, row, strict=True) if value} for row in rows]
    return "\n".join(["", *(json.dumps(one, ensure_ascii=False) for one in members), ""])


TEXTS: dict[str, Callable[[Sequence[Row]], str]] = {"csv": csv_text, "tsv": tsv_text, "jsonl": json_text}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": lambda data: zstandard.compress(data),
}


def home_of(folder: Path, path: str, *, encoding: str = "utf-8", kind: str = "") -> Home:
    declared = f'path = "{path}"\nencoding = "{encoding}"' + (f'\nkind = "{kind}"' if kind else "")
    return home_at(folder, TRIPS.replace('path = "trips*.csv"', declared))


def places(home: Home) -> list[QuarantinedRow]:
    with home.opened() as workspace:
        return sorted(workspace.quarantine.rows(100), key=lambda row: row.line)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("kind", TEXTS)
def test_every_bad_record_has_file_line_and_column(
    tmp_path: Path, kind: str, ending: str, encoding: str
) -> None:
    name = f"trips.{kind}{ending}"
    home = home_of(tmp_path / "home", name, encoding=encoding)
    rows = [*GOOD, *(row for row, _, _ in BAD)]
    (home.folder / name).write_bytes(PACKED[ending](TEXTS[kind](rows).encode(encoding)))
    outcome = home.outcome()
    assert (outcome.lines, outcome.taken) == (len(rows), 2)
    found = places(home)
    assert [(row.file, row.line, row.column, row.reason) for row in found] == [
        (name, 4 + index, column, reason) for index, (_, column, reason) in enumerate(BAD)
    ]
    with home.opened() as workspace:
        assert [(row[0], row[2], row[4]) for row in kept(workspace)] == [
            ("t1", day("2021-01-05"), 1250),
            ("t2 北京", day("2021-01-06"), 3000),
        ]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("kind", TEXTS)
def test_broken_lines_have_their_place(tmp_path: Path, kind: str, ending: str, encoding: str) -> None:
    name = f"trips.{kind}{ending}"
    home = home_of(tmp_path / "home", name, encoding=encoding)
    lines = TEXTS[kind](GOOD).encode(encoding).splitlines()
    broken = [b"\xff\xff" + lines[1], b'{"trip": "t8"' if kind == "jsonl" else b"t8"]
    data = b"\n".join([lines[0], broken[0], lines[1], broken[1], lines[2], b""])
    (home.folder / name).write_bytes(PACKED[ending](data))
    outcome = home.outcome()
    assert (outcome.lines, outcome.taken) == (4, 2)
    assert [(row.line, row.reason) for row in places(home)] == [(2, "broken-line"), (4, "broken-line")]


def test_zstd_of_several_frames(tmp_path: Path) -> None:
    home = home_of(tmp_path / "home", "trips.csv.zst", encoding="gb18030")
    text = csv_text(GOOD).encode("gb18030")
    data = zstandard.compress(text[:40]) + zstandard.compress(text[40:])
    (home.folder / "trips.csv.zst").write_bytes(data)
    assert home.outcome().taken == 2


def test_json_numbers_are_exact_or_set_aside(tmp_path: Path) -> None:
    home = home_at(
        tmp_path / "home",
        TRIPS.replace("trips*.csv", "trips.jsonl")
        .replace("decimals = 3 }", "decimals = 9 }")
        .replace('unit = "km" }', 'unit = "km", rounding = "down" }'),
    )
    numbers = (
        "1.250",
        "1e3",
        "0.1",
        "12345.123456789",
        "12345678.123456789",
        "1.00000000000000000000",
        '"7.5"',
        "true",
        "[1]",
    )
    lines = [
        f'{{"km":{number},"trip":"t{index}","mobile":"{ANNA}","start":"2021-01-05 08:00:00"}}'
        for index, number in enumerate(numbers)
    ]
    (home.folder / "trips.jsonl").write_text("\n".join(lines), encoding="utf-8")
    home.read()
    assert [(row.line, row.reason) for row in places(home)] == [
        (2, "above-maximum"),
        (4, "above-maximum"),
        (5, "not-exact"),
        (8, "wrong-type"),
        (9, "wrong-type"),
    ]
    with home.opened() as workspace:
        assert [row[-1] for row in kept(workspace)] == [1250, 100, 1000, 7500]


def test_json_members_by_pointer(tmp_path: Path) -> None:
    home = home_at(
        tmp_path / "home",
        TRIPS.replace("trips*.csv", "trips.ndjson").replace(
            'mobile = { type = "text", private = true }',
            'mobile = { type = "text", private = true, name = "/rider/mobile" }',
        ),
    )
    line = {"trip": "t1", "rider": {"mobile": ANNA}, "start": "2021-01-05 08:00:00", "km": "1"}
    (home.folder / "trips.ndjson").write_text(json.dumps(line), encoding="utf-8")
    assert home.outcome().taken == 1


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    home = home_of(tmp_path / "home", "exports")
    folder = home.folder / "exports"
    (folder / "2021").mkdir(parents=True)
    (folder / "a.csv").write_text(csv_text(GOOD[:1]), encoding="utf-8")
    (folder / "2021" / "b.jsonl.gz").write_bytes(gzip.compress(json_text(GOOD[1:]).encode()))
    for name in (".hidden.csv", "_SUCCESS", "notes.txt", "2021/_temporary.csv"):
        (folder / name).write_text("no rows here", encoding="utf-8")
    reports = home.read()
    assert [(report.path.name, report.outcome and report.outcome.taken) for report in reports] == [
        ("b.jsonl.gz", 1),
        ("a.csv", 1),
    ]


def test_a_folder_may_be_of_one_kind(tmp_path: Path) -> None:
    home = home_of(tmp_path / "home", "exports", kind="tsv")
    folder = home.folder / "exports"
    folder.mkdir()
    (folder / "a.csv").write_text(csv_text(GOOD[:1]), encoding="utf-8")
    with pytest.raises(Unavailable, match="No file matches exports"):
        home.read()
    (folder / "b.tsv").write_text(tsv_text(GOOD[1:]), encoding="utf-8")
    assert [report.path.name for report in home.read()] == ["b.tsv"]


def test_any_ending_may_be_declared(tmp_path: Path) -> None:
    home = home_of(tmp_path / "home", "trips.txt", kind="tsv")
    (home.folder / "trips.txt").write_text(tsv_text(GOOD), encoding="utf-8")
    assert home.outcome().taken == 2


def test_registers_and_lookups_may_be_json(tmp_path: Path) -> None:
    home = home_of(tmp_path / "home", "trips.tsv")
    register = 'path = "register.jsonl"\nperson = "mobile"\ncolumns = { mobile = "text" }\n'
    lookup = '[[source.lookup]]\npath = "riders.tsv"\nkey = "rider"\ncolumns = { mobile = "text" }\n'
    source = TRIPS.replace("trips*.csv", "trips.tsv").replace(
        'mobile = { type = "text", private = true }', 'rider = "text"'
    )
    (home.folder / "node.toml").write_text(f"{HEAD}{source}{lookup}[persons]\n{register}", encoding="utf-8")
    (home.folder / "register.jsonl").write_text(f'{{"mobile":"{ANNA}"}}\nno\n{{}}\n', encoding="utf-8")
    (home.folder / "riders.tsv").write_text(f"rider\tmobile\nr1\t{ANNA}\n", encoding="utf-8")
    (home.folder / "trips.tsv").write_text(
        "trip\trider\tstart\tkm\nt1\tr1\t2021-01-05 08:00:00\t1\n", encoding="utf-8"
    )
    assert [report.outcome and report.outcome.taken for report in home.read()] == [1, 1]
    assert [(row.line, row.reason) for row in places(home)] == [(2, "broken-line"), (3, "person-missing")]
