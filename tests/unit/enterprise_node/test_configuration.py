"""A node.toml that cannot work is refused with its key; nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from enterprise_node.configuration import NODE_FILE, NodeConfiguration, load_configuration
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID
from tests.unit.enterprise_node.homes import HEAD, REGISTER, TRIPS


def loaded(folder: Path, text: str) -> NodeConfiguration:
    (folder / NODE_FILE).write_text(text, encoding="utf-8")
    return load_configuration(folder)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(Malformed) as caught:
        loaded(folder, text)
    assert caught.value.reason == REASON_CONFIGURATION_INVALID
    return caught.value.message


def test_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path, HEAD + TRIPS + REGISTER)
    assert settings.identifier_kind == "cn_mobile"
    assert settings.ceilings.person_day_epsilon == Fraction(2)
    assert settings.source[0].files().format_of(Path("trips-1.csv")) == "csv"
    assert settings.source[0].time.time_zone == "Asia/Shanghai"
    assert settings.persons is not None
    assert settings.persons.consent is None


def test_ceilings_are_exact_fractions(tmp_path: Path) -> None:
    settings = loaded(tmp_path, HEAD + TRIPS + '[ceilings]\nperson_day_epsilon = "1/3"\n')
    assert settings.ceilings.person_day_epsilon == Fraction(1, 3)
    assert "person_day_epsilon" in refused(tmp_path, HEAD + TRIPS + "[ceilings]\nperson_day_epsilon = 0.5\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trips.parquet", "parquet"),
        ("trips.TSV", "tsv"),
        ("trips.tsv.gz", "tsv"),
        ("trips.jsonl.zst", "jsonl"),
        ("trips.ndjson", "jsonl"),
        ("trips.csv.gz", "csv"),
        ("trips.txt", "csv"),
    ],
)
def test_formats_are_told_by_the_ending(tmp_path: Path, name: str, expected: str) -> None:
    settings = loaded(tmp_path, HEAD + TRIPS).source[0].files()
    assert settings.format_of(Path(name)) == expected
    assert settings.model_copy(update={"kind": "parquet"}).format_of(Path(name)) == "parquet"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('path = "trips*.csv"', "", "needs path"),
        ('path = "trips*.csv"', 'path = "trips*.csv"\nkind = "push"', "needs path"),
        ('path = "trips*.csv"', 'path = "trips*.csv"\ntable = "trips"', 'only as "postgresql"'),
        ('path = "trips*.csv"', 'kind = "postgresql"\ntable = "trips"', "either dsn_file or dsn_variable"),
        ('path = "trips*.csv"', 'kind = "postgresql"\ndsn_file = "x"', "either table or query"),
        ('person = "mobile"', 'person = "mobile"\nversion = "other"', "'other' is neither declared"),
        ('person = "mobile"', 'person = "mobile"\nversion = "km"', "integer, timestamp or date"),
        ('person = "mobile"', 'person = "phone"', "'phone' is neither declared nor given by a lookup"),
        ('column = "km"', 'colum = "km"', "colum"),
        ('id = "trips"', 'id = "persons"', "persons"),
        ('column = "start"', 'column = "start"\ntime_zone = "Mars/Olympus"', "time zone"),
        ('activity = "trip.bicycle"', 'activity = { column = "trip" }', "codes"),
        ('distance = { column = "km", unit = "km" }', 'distance = { unit = "km" }', "column or constant"),
        ('unit = "km"', 'unit = "km", unit_column = "trip"', "not both"),
        ('unit = "km"', 'unit_column = "trip"', "units"),
        ("decimals = 3", "decimals = 30", "decimals"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TRIPS
    assert said in refused(tmp_path, HEAD + TRIPS.replace(old, new, 1))


@pytest.mark.parametrize("at", ["duckdb", "spark://10.0.0.1:7077", "local[2]"])
def test_the_engine_is_named_in_a_word_or_in_a_section(tmp_path: Path, at: str) -> None:
    assert loaded(tmp_path, HEAD + f'engine = "{at}"\n' + TRIPS).engine.at == at
    assert loaded(tmp_path, HEAD + TRIPS + f'[engine]\nat = "{at}"\nthreads = 3\n').engine.at == at


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('at = "postgresql"', "no query engine"),
        ('at = "local[2]"\nspark = { "spark.sql.ansi.enabled" = "false" }', "spark.sql.ansi.enabled"),
        ('at = "local[2]"\nspark = { "spark.sql.session.timeZone" = "Asia/Tokyo" }', "timeZone"),
        ('at = "local[2]"\nspark = { "memory" = "1g" }', "spark."),
        ('spark = { "spark.executor.memory" = "1g" }', "no use to DuckDB"),
    ],
)
def test_an_engine_that_would_be_inexact_is_refused(tmp_path: Path, section: str, said: str) -> None:
    assert said in refused(tmp_path, HEAD + TRIPS + f"[engine]\n{section}\n")


def test_two_sources_of_one_id_are_refused(tmp_path: Path) -> None:
    assert "share an id" in refused(tmp_path, HEAD + TRIPS + TRIPS)


def test_a_lookup_may_not_give_a_known_column(tmp_path: Path) -> None:
    lookup = '[[source.lookup]]\npath = "a.csv"\nkey = "trip"\ncolumns = { km = "text" }\n'
    assert "'km' is declared already" in refused(tmp_path, HEAD + TRIPS + lookup)


def test_a_rule_has_one_condition(tmp_path: Path) -> None:
    rule = '[[source.rule]]\ncolumn = "km"\nat_most = "0"\nat_least = "1"\nreason = "none"\n'
    assert "exactly one" in refused(tmp_path, HEAD + TRIPS + rule)


def declared_keys(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    """Give every key of a model and of the models in it."""
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        yield name
        for inner in models_in(field.annotation):
            yield from declared_keys(inner, seen)


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def test_every_key_stands_in_the_manual() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "operating" / "node.md").read_text(encoding="utf-8")
    sections = {
        "source",
        "persons",
        "engine",
        "ceilings",
        "noise",
        "retention",
        "service",
        "lookup",
        "rule",
        "inputs",
        "time",
    }
    wanted = set(declared_keys(NodeConfiguration, set())) - sections
    assert {"watermark", "file_key", "months", "day_clamp_grams"} <= wanted
    assert sorted(key for key in wanted if f"`{key}`" not in manual) == []
