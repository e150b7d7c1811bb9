"""A case from behaviour to statements: records through a node's own ingest and packs."""

from __future__ import annotations

import calendar
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enterprise_node.reductions import MeasureSpec
from enterprise_node.workspace import open_workspace
from privacy.series import MeasureKind
from protos.epochs import Epoch, parse_epoch

PACKS = Path(__file__).parents[3] / "packs"
FOLDER = Path(__file__).parent
CASES = sorted(path.parent for path in FOLDER.glob("*/case.toml"))
DAY_CLAMP_GRAMS = 2_000
_NODE = """\
enterprise_id = "{enterprise}"
name = "Case"
name_zh = "案例"
region = "east"
packs = ["{packs}"]
data = "synthetic"

[[source]]
id = "records"
path = "records.csv"
record = ["record"]
person = "mobile"
activity = "{activity}"

[source.columns]
record = "text"
mobile = {{ type = "text", private = true }}
start = "text"
amount = {{ type = "decimal", decimals = 1 }}

[source.time]
column = "start"

[source.inputs]
{input} = {{ column = "amount", unit = "{unit}", rounding = "down" }}
"""

_REGISTER = """
[persons]
path = "register.csv"
columns = { mobile = { type = "text", private = true }, since = "text" }
person = "mobile"
since = "since"
"""


@dataclass(frozen=True)
class Case:
    """One case's file."""

    folder: Path
    data: dict[str, Any]

    @property
    def epochs(self) -> list[Epoch]:
        """Give the epochs it releases, in order."""
        return [parse_epoch(text) for text in self.data["epochs"]]

    @property
    def kind(self) -> MeasureKind:
        """Say whether the node releases grams or points."""
        return MeasureKind.POINTS if self.data.get("kind") == "points" else MeasureKind.DAY

    @property
    def persons(self) -> list[dict[str, Any]]:
        """Give the persons."""
        found: list[dict[str, Any]] = self.data["person"]
        return found

    @property
    def enterprise(self) -> str:
        """Name the enterprise that records it."""
        return str(self.data.get("sponsor", "recorder"))

    @property
    def measure(self) -> MeasureSpec:
        """Give the one measure it releases."""
        clamp = 0 if self.kind is MeasureKind.POINTS else DAY_CLAMP_GRAMS
        return MeasureSpec("main", (self.data["pack"],), clamp, self.kind)


def load(folder: Path) -> Case:
    """Read a case."""
    return Case(folder, tomllib.loads((folder / "case.toml").read_text(encoding="utf-8")))


def node_statements(case: Case, home: Path) -> list[list[int]]:
    """Ingest the case's records at a node and give each epoch's statement, in the persons' order."""
    home.mkdir(mode=0o700)
    filled = _NODE.format(packs=PACKS, enterprise=case.enterprise, **case.data)
    if "history" in case.data:
        lines = ["mobile,since", *(f"{_mobile(at)},2018-01-01" for at in range(len(case.persons)))]
        (home / "register.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        filled += _REGISTER
    (home / "node.toml").write_text(filled, encoding="utf-8")
    rows = [",".join(row) for row in (("record", "mobile", "start", "amount"), *_records(case))]
    (home / "records.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    workspace = open_workspace(home)
    try:
        taken = [report.outcome for report in workspace.read()]
        assert workspace.quarantine.total() == 0
        assert all(outcome is not None for outcome in taken)
        vectors = [workspace.reductions.statement_vector(epoch, case.measure) for epoch in case.epochs]
    finally:
        workspace.close()
    return [[int(grams) for grams in vector[1]] for vector in vectors]


def _records(case: Case) -> Iterator[tuple[str, str, str, str]]:
    number = 0
    for at, person in enumerate(case.persons):
        for text in case.data.get("history", []):
            for day in range(1, calendar.monthrange(int(text[:4]), int(text[5:]))[1] + 1):
                number += 1
                yield _record(number, at, f"{text}-{day:02d}", person["amount_before"])
        for text, days in zip(case.data["epochs"], person["days"], strict=True):
            for day in range(1, days + 1):
                number += 1
                yield _record(number, at, f"{text}-{day:02d}", person["amount"])


def _record(number: int, person: int, date: str, amount: str) -> tuple[str, str, str, str]:
    return f"r{number}", _mobile(person), f"{date} 08:00:00", amount


def _mobile(person: int) -> str:
    return f"1991234{person:04d}"
