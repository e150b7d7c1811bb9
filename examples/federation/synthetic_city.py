"""A seeded city in the shape of the real files: trips, half-hourly meters, daily meters.

Only Python's own generator is used: one seed gives the same files on every machine, so the exact grams of one
run can be compared with those of another. Nothing here is random in the sense of privacy.
"""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SEED = 20_201_201

Row = Sequence[object]

TRIP_COLUMNS = (
    "route_id",
    "user_id",
    "bike",
    "start_time",
    "end_time",
    "start_latitude",
    "start_longitude",
    "end_latitude",
    "end_longitude",
    "points",
    "path_m",
)
READING_COLUMNS = ("customer_id", "reading_datetime", "general_supply_kwh")
DAILY_COLUMNS = ("meter_id", "reading_date", "kwh")

# The months a released month of 2013-12 or 2014-01 and its baseline one year before need.
METER_MONTHS = (
    datetime.date(2012, 12, 1),
    datetime.date(2013, 1, 1),
    datetime.date(2013, 12, 1),
    datetime.date(2014, 1, 1),
)
# Trips in each month of the real file.
_TRIPS_BY_MONTH = {
    datetime.date(2018, 6, 1): 215,
    datetime.date(2020, 6, 1): 1_476,
    datetime.date(2020, 10, 1): 1_129,
    datetime.date(2020, 12, 1): 1_336,
    datetime.date(2021, 1, 1): 1_123,
    datetime.date(2021, 2, 1): 434,
}
# Electricity of an hour of the day against the day's mean, from 0 to 23 o'clock, in per cent.
_DAY_SHAPE = (
    55,
    50,
    48,
    46,
    48,
    60,
    90,
    120,
    110,
    90,
    85,
    85,
    90,
    85,
    82,
    88,
    105,
    140,
    175,
    180,
    165,
    140,
    105,
    75,
)
# One meter in so many is installed after its baseline month, so that its history is insufficient.
_NEW_METER_EVERY = 20


@dataclass(frozen=True, slots=True)
class Household:
    """How a metered household uses electricity: kWh a day, and the change from one year to the next."""

    meter: str
    mean_kwh: float
    yearly_change: float
    first_day: datetime.date


def trips(riders: int, seed: int = SEED) -> Iterator[Row]:
    """Yield trips in the real file's columns, about 5,700 for 831 riders; each rider rides at least once."""
    source = random.Random(seed)
    total = sum(_TRIPS_BY_MONTH.values())
    starts = [month for month, count in _TRIPS_BY_MONTH.items() for _ in range(count)]
    starts = source.sample(starts, k=max(riders, total * riders // 831))
    weights = [1 / (rank + 6) for rank in range(riders)]
    for number, month in enumerate(starts):
        rider = number if number < riders else source.choices(range(riders), weights)[0]
        yield _trip(source, number, rider, month)


def _trip(source: random.Random, number: int, rider: int, month: datetime.date) -> Row:
    start = datetime.datetime(month.year, month.month, source.randrange(1, 29)) + datetime.timedelta(
        seconds=source.randrange(6 * 3600, 23 * 3600)
    )
    metres = 0.0 if source.random() < 0.14 else min(round(source.lognormvariate(8.0, 0.75), 1), 80_000.0)
    seconds = 40 + int(metres / source.uniform(2.2, 4.5))
    latitude, longitude = 42.10 + source.random() * 0.3, -72.66 + source.random() * 0.15
    away = metres / 250_000
    return (
        f"route_{month:%m_%Y}@synthetic-{number:06d}",
        f"synthetic-rider-{rider:04d}",
        source.randrange(900, 1_290),
        start.isoformat(sep=" "),
        (start + datetime.timedelta(seconds=seconds)).isoformat(sep=" "),
        round(latitude, 6),
        round(longitude, 6),
        round(latitude + away, 6),
        round(longitude - away / 2, 6),
        max(2, seconds // 5),
        metres,
    )


def households(names: Sequence[str], seed: int = SEED) -> list[Household]:
    """Give each meter its household; every twentieth is installed after its baseline month."""
    source = random.Random(seed + 1)
    made = []
    for number, meter in enumerate(names):
        new = number % _NEW_METER_EVERY == _NEW_METER_EVERY - 1
        made.append(
            Household(
                meter,
                mean_kwh=source.lognormvariate(math.log(8.5), 0.45),
                yearly_change=source.uniform(-0.18, 0.12),
                first_day=datetime.date(2013, 6, 1) if new else METER_MONTHS[0],
            )
        )
    return made


def half_hourly(homes: Sequence[Household], seed: int = SEED) -> Iterator[Row]:
    """Yield half-hourly readings in the real file's columns, kWh with three decimals."""
    source = random.Random(seed + 2)
    for home in homes:
        for day in _days(home):
            midnight = datetime.datetime(day.year, day.month, day.day)
            for slot, kwh in enumerate(_split(source, _day_kwh(source, home, day))):
                yield home.meter, (midnight + datetime.timedelta(minutes=30 * slot)).isoformat(sep=" "), kwh


def daily(homes: Sequence[Household], seed: int = SEED) -> Iterator[Row]:
    """Yield one reading a day, kWh with three decimals."""
    source = random.Random(seed + 3)
    for home in homes:
        for day in _days(home):
            yield home.meter, day.isoformat(), f"{_day_kwh(source, home, day):.3f}"


def _days(home: Household) -> Iterator[datetime.date]:
    for month in METER_MONTHS:
        day = month
        while day.month == month.month:
            if day >= home.first_day:
                yield day
            day += datetime.timedelta(days=1)


def _day_kwh(source: random.Random, home: Household, day: datetime.date) -> float:
    level = 1 + home.yearly_change if day >= METER_MONTHS[2] else 1.0
    weekend = 1.1 if day.weekday() >= 5 else 1.0
    return home.mean_kwh * level * weekend * source.uniform(0.7, 1.3)


def _split(source: random.Random, kwh: float) -> Iterator[str]:
    """Spread a day's electricity over 48 half-hours."""
    shares = [_DAY_SHAPE[slot // 2] * source.uniform(0.6, 1.4) for slot in range(48)]
    whole = sum(shares)
    for share in shares:
        yield f"{kwh * share / whole:.3f}"
