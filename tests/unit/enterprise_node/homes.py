"""Homes of small invented enterprises: files and a node.toml in a folder of the test's own."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from enterprise_node.ingest import FileReport
from enterprise_node.store.sources import Outcome
from enterprise_node.workspace import Workspace, open_workspace

PACKS = Path(__file__).parents[3] / "packs"
OWN_PACKS = ("trv.shared_bike", "life.electricity_saving", "con.plant_protein", "con.retail_footprint")
TODAY = datetime.date(2021, 3, 1)

HEAD = f"""
enterprise_id = "wheels"
name = "Wheels"
name_zh = "单车"
region = "east"
packs = {[str(PACKS / name / "1") for name in OWN_PACKS]}
data = "synthetic"
"""

TRIPS = """
[[source]]
id = "trips"
path = "trips*.csv"
record = ["trip"]
person = "mobile"
activity = "trip.bicycle"

[source.columns]
trip = "text"
mobile = { type = "text", private = true }
start = "text"
km = { type = "decimal", decimals = 3 }

[source.time]
column = "start"

[source.inputs]
distance = { column = "km", unit = "km" }
"""

REGISTER = """
[persons]
path = "register.csv"
columns = { mobile = { type = "text", private = true }, since = "text", until = "text" }
person = "mobile"
since = "since"
until = "until"
"""

TRIP_HEADER = "trip,mobile,start,km"
ANNA, BERT, CARL = "13800000001", "13800000002", "13800000003"


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with a node.toml and raw files."""

    folder: Path

    def write(self, name: str, *lines: str, header: str = TRIP_HEADER) -> Path:
        """Write a CSV file."""
        path = self.folder / name
        path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
        return path

    def configure(self, *parts: str) -> None:
        """Write node.toml."""
        (self.folder / "node.toml").write_text(HEAD + "".join(parts), encoding="utf-8")

    @contextmanager
    def opened(self, today: datetime.date = TODAY) -> Iterator[Workspace]:
        """Open the home's workspace."""
        workspace = open_workspace(self.folder, today=today)
        try:
            yield workspace
        finally:
            workspace.close()

    def read(self) -> list[FileReport]:
        """Read what is new in a workspace of its own."""
        with self.opened() as workspace:
            return list(workspace.read())

    def outcome(self) -> Outcome:
        """Read, and give the outcome of the last file."""
        found = self.read()[-1].outcome
        assert found is not None
        return found


def home_at(folder: Path, *parts: str) -> Home:
    """Make a home; without parts it is that of the trips."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    home = Home(folder)
    home.configure(*(parts or (TRIPS,)))
    return home


def kept(workspace: Workspace, code: str = "trip.bicycle") -> list[tuple[object, ...]]:
    """Give all kept rows of an activity, by record."""
    view = workspace.reductions.views().activities[code]
    return workspace.engine.rows(f"SELECT * FROM {view} ORDER BY record")


def flaws(outcome: Outcome) -> dict[tuple[str, str], int]:
    """Give counted flaws by reason and column."""
    return {(flaw.reason, flaw.column): flaw.rows for flaw in outcome.flaws}


def day(text: str) -> int:
    """Count a date's days since 1970-01-01."""
    return (datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days
