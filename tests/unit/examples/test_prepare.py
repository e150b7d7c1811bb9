"""Prepared files: the same bytes each time, in the real files' columns, labelled for what they are."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from examples.federation import prepare, synthetic_city
from examples.federation.prepare import SMALL


def rows(path: Path) -> list[dict[str, str]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(content.decode().splitlines()))


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> prepare.RawData:
    return prepare.prepare(tmp_path_factory.mktemp("raw"), None, SMALL)


def test_same_bytes_again(raw: prepare.RawData, tmp_path: Path) -> None:
    again = prepare.prepare(tmp_path, None, SMALL)
    texts = [name for name, path in raw.paths.items() if ".csv" in path.name]
    assert {name: raw.paths[name].read_bytes() for name in texts} == {
        name: again.paths[name].read_bytes() for name in texts
    }


def test_everything_synthetic_is_called_so(raw: prepare.RawData) -> None:
    assert set(raw.data.values()) == {"synthetic"}
    assert all(row["user_id"].startswith("synthetic-") for row in rows(raw.paths["riders"]))
    assert all(row["meter_id"].startswith("synthetic-") for row in rows(raw.paths["meters"]))


def test_real_bikes_and_meters_are_read_in_place(tmp_path: Path) -> None:
    data = tmp_path / "data"
    trips = data / "valleybike" / "trips_6months.csv.gz"
    prepare.write_rows(trips, synthetic_city.TRIP_COLUMNS, synthetic_city.trips(5))
    readings = data / "sgsc_smart_meter10" / "smart_meter10_halfhourly.csv.gz"
    homes = synthetic_city.households(["10006414"])
    prepare.write_rows(readings, synthetic_city.READING_COLUMNS, synthetic_city.half_hourly(homes))
    raw = prepare.prepare(tmp_path / "raw", data, SMALL)
    assert (raw.paths["trips"], raw.paths["readings"]) == (trips, readings)
    assert raw.data["bikeshare"] == "real"
    assert raw.data["utility"] == "real (10 meters) and synthetic (30)"
    assert rows(raw.paths["meters"])[0]["meter_id"] == "10006414"


def test_every_rider_rides_and_the_released_months_have_trips(raw: prepare.RawData) -> None:
    trips = rows(raw.paths["trips"])
    assert len({trip["user_id"] for trip in trips}) == SMALL.riders
    assert {"2020-12", "2021-01"} <= {trip["start_time"][:7] for trip in trips}
    assert len({trip["route_id"] for trip in trips}) == len(trips)


def test_full_city_has_the_real_files_shape() -> None:
    trips = list(synthetic_city.trips(prepare.FULL.riders))
    assert len(trips) == 5_713
    assert len({trip[1] for trip in trips}) == 831


def test_one_meter_in_twenty_has_no_history(raw: prepare.RawData) -> None:
    late = [row for row in rows(raw.paths["meters"]) if row["since"] > "2013-01-01"]
    assert len(late) == 1
    assert all(row["since"] < row["until"] for row in rows(raw.paths["meters"]))


def test_contract_dates_do_not_follow_behaviour(raw: prepare.RawData) -> None:
    assert {row["since"] for row in rows(raw.paths["riders"])} == {"2018-06-01"}
    assert {row["since"] for row in rows(raw.paths["customers"])} == {"2017-01-01"}
