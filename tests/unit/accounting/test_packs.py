"""Packs: strict reading with places in the errors, one canonical form, nothing that differs slips through."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from accounting.documents import checked
from accounting.factors import FactorTable
from accounting.packs import Pack, Purpose, parse_canonical, parse_pack, required_files
from protos.problems import Malformed, Problem
from protos.v1.problem_pb2 import REASON_PACK_INVALID
from tests.unit.accounting import samples

KEYED = samples.TRIP.replace('distance = "km" }', 'distance = "km", mode = "key" }')
TABLES = KEYED.replace("parameters.f", 'tables.modes = { table = "modes", version = 1 }\nparameters.f')
VECTORS = '[[vectors]]\ninputs = { distance = "2", mode = "bus" }\nmilligrams = 97400\n'


def files(text: str = TABLES) -> dict[str, bytes]:
    return {
        "pack.toml": text.encode(),
        "vectors.toml": VECTORS.encode(),
        "factors/modes/1/table.toml": samples.FACTORS_TOML,
        "factors/modes/1/table.csv": samples.FACTORS_CSV,
    }


def read(text: str = TABLES) -> Pack:
    return parse_pack(files(text), samples.activities())


def test_a_pack_is_read_from_its_files() -> None:
    pack = read()
    assert required_files(TABLES.encode()) == ("factors/modes/1/table.toml", "factors/modes/1/table.csv")
    assert (pack.id, pack.version, pack.name_en, pack.name_zh) == ("test.sample", 1, "Sample", "样例")
    assert pack.purpose is Purpose.CREDIT
    assert pack.tables["modes"].find("bus", 18605) is not None
    assert pack.illustrative
    assert not samples.make_pack().illustrative


def test_canonical_bytes_come_back_and_name_the_pack() -> None:
    pack = read()
    data = pack.canonical_bytes()
    assert parse_canonical(data) == pack
    assert parse_canonical(data).canonical_bytes() == data
    assert pack.sha256 == hashlib.sha256(data).digest()
    assert b'"0.0443"' in data
    assert '"样例"'.encode() in data


def test_order_of_keys_and_spaces_do_not_change_the_canonical_form() -> None:
    lines = TABLES.strip().splitlines()
    assert read(text="\n\n".join(reversed(lines))).canonical_bytes() == read().canonical_bytes()


def test_every_figure_changes_the_hash() -> None:
    original = read().sha256
    rows = files() | {"factors/modes/1/table.csv": samples.FACTORS_CSV.replace(b"0.0253", b"0.0254")}
    changed = [
        read(text=TABLES.replace("0.0487", "0.0488")),
        read(text=TABLES.replace("version = 1\ndomain", "version = 2\ndomain")),
        parse_pack(rows, samples.activities()),
    ]
    assert len({original, *(pack.sha256 for pack in changed)}) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data + b" ",
        lambda data: data.replace(b'"version":1', b'"version":1.0', 1),
        lambda data: data.replace(b"cgsp-pack-v1", b"cgsp-pack-v2"),
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: data[:-1],
        lambda data: b"[" * 100_000,
        lambda data: b"\xff",
        lambda data: b"{}",
        lambda data: b"3",
        lambda data: data.replace(b'"id"', b'"id":"x.y","id"', 1),
        lambda data: data.replace(b'"formula"', b'"colour":"red","formula"', 1),
        lambda data: data.replace("样例".encode(), b"\\ud800"),
        lambda data: b" " * (4 * 1024 * 1024 + 1),
    ],
)
def test_bytes_that_are_not_canonical_are_refused(damage: Any) -> None:
    with pytest.raises(Malformed) as raised:
        parse_canonical(damage(read().canonical_bytes()))
    assert raised.value.reason == REASON_PACK_INVALID


def test_every_single_byte_matters() -> None:
    """No flipped bit gives another reading of the same pack: it is refused, or another pack."""
    pack = samples.make_pack()
    data = pack.canonical_bytes()
    for position in range(0, len(data), 7):
        flipped = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        try:
            other = parse_canonical(flipped)
        except Problem as problem:
            assert problem.reason == REASON_PACK_INVALID
        else:
            assert other != pack
            assert other.canonical_bytes() == flipped


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('value = "0.0487"', "value = 0.0487", "0.0487"),
        ('value = "0.0487"', "value = 3", "parameters.f.value"),
        ('value = "0.0487"', 'value = "4.87e-2"', "parameters.f.value"),
        ('unit = "kgCO2e/km"', 'unit = "kg/furlong"', "furlong"),
        ('domain = "travel"', 'domain = "space"', "domain"),
        ('purpose = "credit"', 'purpose = "debit"', "purpose"),
        ('overlap_class = "OC-TRIP"', 'overlap_class = "TRIP"', "overlap_class"),
        ('id = "test.sample"', 'id = "Test Sample"', "id"),
        ("version = 1\ndomain", "version = 0\ndomain", "version"),
        ('activity = "test.trip"', 'activity = "test.walk"', "activity"),
        ('kind = "high_carbon_alternative"', 'kind = "guess"', "baseline.kind"),
        ('mode = "key"', 'mode = "km"', "mode"),
        ('distance = "km"', 'distance = "key"', "distance"),
        ('distance = "km"', 'distance = "kWh"', "kWh"),
        ('distance = "km"', 'weight = "kg"', "weight"),
        ('formula = "distance * f"', 'formula = ""', "formula"),
        ('formula = "distance * f"', 'formula = "distance * f"\ncolour = "red"', "colour"),
        ("parameters.f", "parameters.distance", "different names"),
        ("tables.modes", "tables.f", "different names"),
        ('{ table = "modes", version = 1 }', '{ table = "modes" }', "tables.modes"),
        ('{ table = "modes", version = 1 }', '{ table = "modes", version = 2 }', "factors/modes/2"),
        ("tables.modes =", "tables =", "tables"),
        ('names = { en = "Sample", zh = "样例" }', 'names = { en = "Sample" }', "names.zh"),
        ('id = "test.sample"', "id = 2020-01-01", "text"),
    ],
)
def test_a_wrong_pack_says_where(old: str, new: str, place: str) -> None:
    assert old in TABLES
    with pytest.raises(Malformed) as raised:
        read(text=TABLES.replace(old, new))
    assert raised.value.reason == REASON_PACK_INVALID
    assert place in raised.value.message


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (
            {
                "caps": [
                    {
                        "per": "day",
                        "of": "weight",
                        "maximum": "1",
                        "unit": "kg",
                        "source": "x",
                        "confidence": "official",
                    }
                ]
            },
            "cap",
        ),
        (
            {
                "caps": [
                    {
                        "per": "week",
                        "of": "distance",
                        "maximum": "1",
                        "unit": "km",
                        "source": "x",
                        "confidence": "official",
                    }
                ]
            },
            "per",
        ),
        ({"vectors": []}, "vectors"),
        ({"validity": {"since": "20200101"}}, "since"),
        ({"validity": {"since": "2020-13-01"}}, "since"),
    ],
)
def test_a_wrong_part_says_where(change: dict[str, Any], place: str) -> None:
    with pytest.raises(Malformed) as raised:
        samples.make_pack(**change)
    assert place in raised.value.message


@pytest.mark.parametrize(
    ("csv", "place"),
    [
        (b"key,value\nbus,1\n", "header"),
        (b"key,value,since,until,note\nbus,0.04431,,,\n", "finer"),
        (b"key,value,since,until,note\nbus,x,,,\n", "decimal"),
        (b"key,value,since,until,note\nbus,1,,\n", "line 2"),
        (b"key,value,since,until,note\nbus,1,,,,\n", "line 2"),
        (b"key,value,since,until,note\nbus's,1,,,\n", "rows.0.key"),
        (b"key,value,since,until,note\nbus,1,,,\nbus,2,2020-01-01,,\n", "same day"),
        (b"key,value,since,until,note\nbus,1,2020-01-02,2020-01-01,\n", "ends before"),
        (b"key,value,since,until,note\nbus,1,2020-01-02,,\nbus,1,2020-01-01,2020-01-03,\n", "same day"),
        (b"key,value,since,until,note\n", "rows"),
        (b'key,value,since,until,note\n"bus,1,,,\n', "CSV"),
        (b"\xff", "CSV"),
    ],
)
def test_a_wrong_factor_table_says_where(csv: bytes, place: str) -> None:
    with pytest.raises(Malformed) as raised:
        parse_pack(files() | {"factors/modes/1/table.csv": csv}, samples.activities())
    assert raised.value.reason == REASON_PACK_INVALID
    assert place in str(raised.value)


def test_a_table_of_another_folder_is_refused() -> None:
    other = samples.FACTORS_TOML.replace(b'id = "modes"', b'id = "others"')
    with pytest.raises(Malformed, match="not those of its folder"):
        parse_pack(files() | {"factors/modes/1/table.toml": other}, samples.activities())


def test_a_missing_file_is_named() -> None:
    with pytest.raises(Malformed, match=r"table\.csv"):
        parse_pack({name: data for name, data in files().items() if "csv" not in name}, samples.activities())
    with pytest.raises(Malformed, match=r"pack\.toml"):
        parse_pack({}, samples.activities())


def test_rows_hold_from_their_first_day_to_the_day_before_their_last() -> None:
    table = checked(FactorTable, samples.mode_table(), "table")
    values = {day: row.value for day in (18604, 18605, 18606) if (row := table.find("bus", day))}
    assert values == {18604: "0.0443", 18605: "0.0443", 18606: "0.0400"}
    assert table.find("car", 18261) is None
    assert table.find("boat", 18605) is None
