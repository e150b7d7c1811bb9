"""A million generated records over all packs together, in Parquet, and who the persons are.

Records lie at the edges of their activity's ranges, near zero and anywhere between; keys are those of the
packs' tables and words, and unknown ones; some inputs are missing. Beside the shipped packs stand those that
use every feature of the formula language.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from accounting.activities import ActivityInput, InputKind
from accounting.compiler import CompiledPack, compile_pack
from accounting.contributions import Relations
from accounting.expressions import Lookup, Member, Text, parse_expression, walk
from accounting.packs import Pack
from engine.duckdb_engine import DuckDbEngine
from engine.engine import Engine
from protos.epochs import end_day, first_day, shift_epoch
from runtime.pack_files import load_packs
from tests.unit.accounting import samples
from tests.unit.accounting.test_compiler import LANGUAGE, history_pack, language_pack

RECORDS = 1_000_000
LANGUAGE_RECORDS = 20_000
KEYS_MAX = 200
UNKNOWN_KEYS = ("unknown", "other")
EPOCH = samples.EPOCH
REGIONS = samples.REGIONS

_DAY_RECORDS_MAX = 3
_PERSONS = {"person": "BIGINT", "since_day": "INTEGER", "until_day": "INTEGER"}
_EXCLUDED = {
    "epoch": "INTEGER",
    "person": "BIGINT",
    "overlap_class": "VARCHAR",
    "first_day": "INTEGER",
    "end_day": "INTEGER",
}
_POOLED = {"epoch": "INTEGER", "person": "BIGINT"}


@dataclass(frozen=True, slots=True)
class World:
    """The files of one generated world."""

    folder: Path
    codes: tuple[str, ...]

    def activities(self, code: str) -> Path:
        return self.folder / f"{code}.parquet"

    def define_persons(self, engine: Engine) -> None:
        """Name the file of persons in an engine."""
        engine.view("persons", [self.folder / "persons.parquet"], _PERSONS)

    def define(self, engine: Engine, packs: Sequence[CompiledPack]) -> Relations:
        """Name the world's files in an engine."""
        names = {code: "activity_" + code.replace(".", "_") for code in self.codes}
        columns = {one.pack.activity.code: one.pack.activity.columns() for one in packs}
        for code, name in names.items():
            engine.view(name, [self.activities(code)], columns[code])
        self.define_persons(engine)
        engine.view("pooled", [self.folder / "pooled.parquet"], _POOLED)
        engine.view("excluded", [self.folder / "excluded.parquet"], _EXCLUDED)
        return Relations(names, "persons", exclusions="excluded", pooled="pooled")


@functools.cache
def shipped_packs() -> tuple[CompiledPack, ...]:
    """Compile every pack and version the project ships."""
    return tuple(compile_pack(pack) for pack in load_packs(samples.PACKS))


@functools.cache
def all_packs() -> tuple[CompiledPack, ...]:
    """Give the shipped packs, then those of the language; a pack is named by its place in this list."""
    return (*shipped_packs(), history_pack(2), *(language_pack(name) for name in sorted(LANGUAGE)))


def days(packs: Sequence[CompiledPack]) -> list[int]:
    """Give the days of the epoch, those before that any pack's history reads, and those just outside."""
    spans = [(first_day(EPOCH), end_day(EPOCH))]
    spans += [span for one in packs if one.history for span in one.history.window.spans(EPOCH)]
    return sorted({day for begin, end in spans for day in range(begin - 1, end + 1)})


def make_world(folder: Path, packs: Sequence[CompiledPack], records: int = RECORDS) -> World:
    """Generate the world; equal for equal packs."""
    by_code: dict[str, list[CompiledPack]] = {}
    for one in packs:
        by_code.setdefault(one.pack.activity.code, []).append(one)
    shares = _shares(list(by_code), records)
    with DuckDbEngine(memory_limit_mb=512, threads=2, temp_dir=folder) as engine:
        persons = 0
        for code, members in by_code.items():
            asked, read = shares[code], days(members)
            each = min(_DAY_RECORDS_MAX, members[0].pack.activity.records_per_day_max)
            people = math.ceil(asked / (each * len(read)))
            sql = _records_sql([one.pack for one in members], asked, people, each, read)
            assert engine.write_parquet(sql, folder / f"{code}.parquet") == asked
            persons = max(persons, people)
        _write_people(engine, folder, persons, sorted({one.pack.overlap_class for one in packs}))
    return world_at(folder, packs)


def world_at(folder: Path, packs: Sequence[CompiledPack]) -> World:
    """Give the world that was made in a folder of the same packs."""
    return World(folder, tuple(dict.fromkeys(one.pack.activity.code for one in packs)))


def _shares(codes: list[str], records: int) -> dict[str, int]:
    """Share the records out: a small part to the language's activities, the rest evenly."""
    language = {code: LANGUAGE_RECORDS for code in codes if code.startswith("test.")}
    shipped = [code for code in codes if code not in language]
    rest = records - sum(language.values())
    shares = {code: rest // len(shipped) for code in shipped} | language
    shares[shipped[0]] += records - sum(shares.values())
    return shares


def _records_sql(packs: list[Pack], records: int, persons: int, each: int, read: list[int]) -> str:
    """Spread records over persons and days, never more than `each` on one."""
    activity = packs[0].activity
    inputs = ", ".join(
        f"{_input_sql(one, number, packs)} AS {one.name}" for number, one in enumerate(activity.inputs)
    )
    stated = {region for pack in packs for region in pack.applicability.regions}
    regions = _pick([*REGIONS, *sorted(stated), "elsewhere"], _drawn(1))
    return (
        f"SELECT 'r' || CAST(i AS VARCHAR) AS record, CAST(i // {each} % {persons} AS BIGINT) AS person, "
        f"CAST({read}[1 + i // {each * persons} % {len(read)}] AS INTEGER) AS day, "
        f"{regions} AS region, {inputs} FROM range({records}) AS t(i)"
    )


def _input_sql(one: ActivityInput, number: int, packs: list[Pack]) -> str:
    way, value = f"{_drawn(2 * number + 2)} % 100", _drawn(2 * number + 3)
    if one.kind is InputKind.KEY:
        return f"CASE WHEN {way} = 0 THEN NULL ELSE {_pick(_keys(packs, one.name), value)} END"
    low, high = one.minimum, one.maximum
    near = max(low, min(0, high))

    def between(least: int, most: int) -> str:
        return f"CAST({least} + {value} % {most - least + 1} AS BIGINT)"

    return (
        f"CASE WHEN {way} = 0 THEN NULL WHEN {way} < 4 THEN {low} WHEN {way} < 8 THEN {high} "
        f"WHEN {way} < 30 THEN {between(near, min(near + 100, high))} ELSE {between(low, high)} END"
    )


def _drawn(key: int) -> str:
    """Draw a number below 2^62 for each row, the same in every run."""
    return f"CAST(hash(i, {key}) % {2**62} AS BIGINT)"


def _pick(words: Sequence[str], value: str) -> str:
    listed = ", ".join(f"'{word}'" for word in words)
    return f"[{listed}][1 + {value} % {len(words)}]"


def _keys(packs: Iterable[Pack], name: str) -> list[str]:
    """Gather the words a key can be: of the tables it is looked up in, of the formulas, and unknown ones."""
    found: set[str] = set()
    for pack in packs:
        found.update(pack.applicability.only.get(name, ()))
        found.update(word for one in pack.exclusions if one.input == name for word in one.words)
        for text in filter(None, (pack.formula, pack.applies_when)):
            for node in walk(parse_expression(text)):
                if isinstance(node, Lookup | Member) and node.key == name:
                    keys = sorted({row.key for row in pack.tables[node.table].rows})
                    found.update(keys[:: max(1, len(keys) // KEYS_MAX)])
                if isinstance(node, Text):
                    found.add(node.text)
    return [*sorted(found), *UNKNOWN_KEYS]


def _write_people(engine: Engine, folder: Path, persons: int, classes: Sequence[str]) -> None:
    """Write persons of every kind of contract, who is pooled, and what another enterprise records."""
    begins = [first_day(shift_epoch(EPOCH, -back)) for back in (0, 1, 12, 24)]
    since = f"[0, 0, {', '.join(f'{day}, {day + 1}' for day in begins)}][1 + {_drawn(1)} % 10]"
    until = f"[NULL, NULL, {end_day(EPOCH)}, {end_day(EPOCH) - 1}][1 + {_drawn(2)} % 4]"
    columns = f"i AS person, CAST({since} AS INTEGER) AS since_day, CAST({until} AS INTEGER) AS until_day"
    source = f"FROM range({persons}) AS t(i)"
    engine.write_parquet(f"SELECT {columns} {source} WHERE i % 10 <> 9", folder / "persons.parquet")
    month = f"CAST({EPOCH} AS INTEGER) AS epoch"
    engine.write_parquet(f"SELECT {month}, i AS person {source} WHERE i % 3 = 0", folder / "pooled.parquet")
    listed = ", ".join(f"('{word}', {number})" for number, word in enumerate(classes))
    span = f"CAST({first_day(EPOCH)} AS INTEGER) AS first_day, CAST({end_day(EPOCH)} AS INTEGER) AS end_day"
    columns = f"{month}, i AS person, c AS overlap_class, {span}"
    excluded = f"SELECT {columns} {source}, (VALUES {listed}) AS w(c, n)"
    engine.write_parquet(f"{excluded} WHERE hash(i, n) % 7 = 0", folder / "excluded.parquet")
