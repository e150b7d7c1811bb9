"""The language against the methodology catalogue: each formula types and keeps its worked example."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from accounting.activities import Activity, ActivityInput, InputKind
from accounting.compiler import CompiledPack, compile_pack
from accounting.documents import checked
from accounting.evaluator import Record
from accounting.packs import Pack
from engine.engine import Engine
from protos.epochs import first_day
from tests.unit.accounting import samples

CATALOGUE = tomllib.loads((Path(__file__).parent / "catalogue.toml").read_text(encoding="utf-8"))


def catalogue_pack(name: str) -> CompiledPack:
    row = CATALOGUE[name]
    inputs = tuple(
        ActivityInput(name=one, kind=InputKind.QUANTITY, unit=unit, decimals=3, minimum=0, maximum=10**7)
        for one, unit in row["inputs"].items()
    )
    activity = Activity(code="test.act", name_en="Act", name_zh="行为", records_per_day_max=10, inputs=inputs)
    made: dict[str, Any] = {
        "id": name,
        "version": 1,
        "names": {"en": name, "zh": name},
        "domain": "life",
        "overlap_class": "OC-NONE",
        "purpose": "credit",
        "activity": activity.model_dump(mode="json"),
        "baseline": {"kind": row["baseline"], "text": name},
        "inputs": row["inputs"],
        "parameters": {
            parameter: {"value": value, "unit": unit, "source": name, "confidence": "illustrative"}
            for parameter, (value, unit) in row.get("parameters", {}).items()
        },
        "formula": row["formula"],
        "vectors": [{"inputs": row["example"], "milligrams": row["milligrams"]}],
    }
    return compile_pack(checked(Pack, made, name))


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_the_worked_example_comes_out_to_the_milligram(name: str, engine: Engine) -> None:
    one = catalogue_pack(name)
    stored = {
        key: one.pack.activity.input(key).value(text) for key, text in CATALOGUE[name]["example"].items()
    }
    day = first_day(samples.EPOCH)
    samples.load_records(engine, "acts", one.pack.activity, [Record(1, day, "east", stored)])
    rows = engine.rows(one.person_day_sql("acts", None, day, day + 1))
    assert rows == [(1, day, CATALOGUE[name]["milligrams"], 1)]
