"""Packs and records made for tests: small activities, every feature of the language, random records."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

import packs as pack_data
from accounting.activities import Activity, ActivityInput, InputKind, parse_activities
from accounting.compiler import CompiledPack, compile_pack
from accounting.documents import checked
from accounting.evaluator import Record
from accounting.factors import parse_table
from accounting.packs import Pack, Vector, parse_pack, required_files
from accounting.vectors import evaluate_vector
from engine.duckdb_engine import DuckDbEngine
from engine.engine import Engine
from protos.epochs import Epoch, end_day, first_day, shift_epoch

PACKS = Path(pack_data.__file__).parent
EPOCH = Epoch(202012)
REGIONS = ("east", "west")
DOMAINS = ("life", "public_good", "consumption", "tourism", "travel")

ACTIVITIES = """
["test.trip"]
name_en = "Trip"
name_zh = "行程"
records_per_day_max = 1000
inputs.distance = { kind = "quantity", unit = "m", decimals = 0, minimum = "-1000", maximum = "300000" }
inputs.detour = { kind = "quantity", unit = "m", decimals = 0, minimum = "0", maximum = "300000" }
inputs.mode = { kind = "key" }

["test.energy"]
name_en = "Energy"
name_zh = "能源"
records_per_day_max = 1000
inputs.energy = { kind = "quantity", unit = "Wh", decimals = 0, minimum = "-500", maximum = "100000" }
inputs.meter = { kind = "key" }
"""

FACTORS_TOML = b"""
id = "modes"
version = 1
unit = "kgCO2e/km"
decimals = 4
source = "made for tests"
licence = "none"
confidence = "illustrative"
"""

FACTORS_CSV = b"""key,value,since,until,note
bus,0.0443,,2020-12-10,
bus,0.0400,2020-12-10,,
metro,0.0253,,,
car,0.1771,2020-01-01,2021-01-01,
"""

TRIP = """
id = "test.sample"
version = 1
domain = "travel"
overlap_class = "OC-TRIP"
activity = "test.trip"
purpose = "credit"
formula = "distance * f"
names = { en = "Sample", zh = "样例" }
baseline = { kind = "high_carbon_alternative", text = "the other way" }
inputs = { distance = "km" }
parameters.f = { value = "0.0487", unit = "kgCO2e/km", source = "made", confidence = "official" }
"""

ENERGY = """
id = "test.saving"
version = 1
domain = "life"
overlap_class = "OC-METER"
activity = "test.energy"
purpose = "credit"
formula = "energy * grid"
names = { en = "Saving", zh = "节能" }
inputs = { energy = "kWh" }
parameters.grid = { value = "0.5306", unit = "kgCO2e/kWh", source = "made", confidence = "official" }

[baseline]
kind = "own_history_same_month"
text = "the year before"
quantity = "energy"
day_maximum = { value = "12", unit = "kWh" }
years = 1
"""


def activities() -> Mapping[str, Activity]:
    """Give the test's activities."""
    return parse_activities(ACTIVITIES.encode())


def document(text: str = TRIP, **changes: Any) -> dict[str, Any]:
    """Give a pack's document with changes laid over it; None removes a key."""
    merged = tomllib.loads(text) | {"vectors": [_vector(text)]} | changes
    return {key: value for key, value in merged.items() if value is not None}


def _vector(text: str) -> dict[str, Any]:
    """A vector that holds for the untouched document."""
    if text == ENERGY:
        return {"date": "2020-12-01", "months": [["1"], ["2"]], "milligrams": 530600}
    return {"inputs": {"distance": "2"}, "milligrams": 97400}


def make_pack(text: str = TRIP, **changes: Any) -> Pack:
    """Make a pack of a changed document; its activity is one of the test's."""
    merged = document(text, **changes)
    merged["activity"] = activities()[merged["activity"]].model_dump(mode="json")
    return checked(Pack, merged, "pack.toml")


def compiled(text: str = TRIP, *, vector: Mapping[str, Any] | None = None, **changes: Any) -> CompiledPack:
    """Compile such a pack; its vector is taken from its own oracle unless one is given."""
    vectors = [dict(vector)] if vector else [_own_vector(make_pack(text, **changes))]
    return compile_pack(make_pack(text, **{**changes, "vectors": vectors}))


def _own_vector(pack: Pack) -> dict[str, Any]:
    if pack.baseline.years is not None:
        vector: dict[str, Any] = {"date": "2020-12-01", "months": [["1"]] + [["2"]] * pack.baseline.years}
    else:
        inputs = {name: "metro" if unit == "key" else "1" for name, unit in pack.inputs.items()}
        vector = {"date": "2020-12-01", "inputs": inputs}
    return vector | {"milligrams": evaluate_vector(pack, checked(Vector, vector, "vector"))}


def mode_table() -> dict[str, Any]:
    """Give the factor table of modes as a document."""
    return parse_table(FACTORS_TOML, FACTORS_CSV, "table.toml")


def shipped(pack_id: str, version: int = 1) -> Pack:
    """Read one of the packs that ship with the project."""
    folder = PACKS / pack_id / str(version)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    files |= {name: (PACKS / name).read_bytes() for name in required_files(files["pack.toml"])}
    return parse_pack(files, parse_activities((PACKS / "activities.toml").read_bytes()))


def shipped_ids() -> list[str]:
    """Name the packs that ship with the project, first versions."""
    return sorted(path.parent.parent.name for path in PACKS.glob("*/*/pack.toml"))


def known_keys(pack: Pack) -> tuple[str, ...]:
    """Give words a pack's keys may hold: of its tables, conditions and vectors, and an unknown one."""
    words = {row.key for table in pack.tables.values() for row in table.rows[:5]}
    words |= {word for one in pack.applicability.only.values() for word in one}
    words |= {word for one in pack.exclusions for word in one.words}
    vectors = [
        *(one.inputs for one in pack.vectors),
        *(row.inputs for one in pack.vectors for row in one.records),
    ]
    words |= {
        inputs[name] for inputs in vectors for name, unit in pack.inputs.items() if unit == "key" and inputs
    }
    return (*sorted(words), "unknown")


def load_records(engine: Engine, name: str, activity: Activity, records: Iterable[Record]) -> None:
    """Put records into a table of the activity's columns."""
    rows = list(records)
    columns: dict[str, Any] = {
        "record": np.array([f"r{index}" for index in range(len(rows))], dtype=object),
        "person": np.array([row.person for row in rows], dtype=np.int64),
        "day": np.array([row.day for row in rows], dtype=np.int32),
        "region": np.array([row.region for row in rows], dtype=object),
    }
    for one in activity.inputs:
        kind = object if one.kind is InputKind.KEY else np.int64
        columns[one.name] = np.array([row.inputs[one.name] for row in rows], dtype=kind)
    engine.register(name, columns, activity.columns())


def load_persons(engine: Engine, persons: Mapping[int, tuple[int, int | None]]) -> None:
    """Put persons with their dates into the table persons."""
    columns: dict[str, Any] = {
        "person": np.array(list(persons), dtype=np.int64),
        "since_day": np.array([since for since, _ in persons.values()], dtype=np.int32),
        "until_day": np.array([until for _, until in persons.values()], dtype=object),
    }
    engine.register("persons", columns, {"person": "BIGINT", "since_day": "INTEGER", "until_day": "INTEGER"})


def everybody(count: int = 4) -> dict[int, tuple[int, int | None]]:
    """Give persons 0 to count-1 who were always there."""
    return dict.fromkeys(range(count), (0, None))


def new_engine() -> DuckDbEngine:
    """Open a small engine."""
    return DuckDbEngine(memory_limit_mb=256, threads=1)


def record_days(years: int = 0) -> st.SearchStrategy[int]:
    """Draw days of the epoch's first days, of earlier years' same month, and of the days around."""
    months = [shift_epoch(EPOCH, -12 * year) for year in range(years + 1)]
    inside = [st.integers(first_day(month), first_day(month) + 2) for month in months]
    around = [st.sampled_from([first_day(EPOCH) - 1, end_day(EPOCH) - 1, end_day(EPOCH)])]
    return st.one_of(*inside, *around)


def input_values(one: ActivityInput, keys: tuple[str, ...]) -> st.SearchStrategy[int | str]:
    """Draw stored values of an input: its bounds, small ones, any."""
    if one.kind is InputKind.KEY:
        return st.sampled_from(keys)
    edges = [one.minimum, one.maximum, max(one.minimum, 0)]
    small = st.integers(max(one.minimum, -3), min(one.maximum, 20))
    return st.one_of(st.sampled_from(edges), small, st.integers(one.minimum, one.maximum))


def records(pack: Pack, keys: tuple[str, ...], *, persons: int = 3) -> st.SearchStrategy[list[Record]]:
    """Draw records of a pack's activity."""
    inputs = st.fixed_dictionaries({one.name: input_values(one, keys) for one in pack.activity.inputs})
    record = st.builds(
        Record,
        person=st.integers(0, persons - 1),
        day=record_days(pack.baseline.years or 0),
        region=st.sampled_from([*REGIONS, "elsewhere"]),
        inputs=inputs,
    )
    return st.lists(record, max_size=25)
