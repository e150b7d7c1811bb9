"""A node's home whose persons are all canaries, against a hub in memory: raw CSV in, released bytes out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from enterprise_node.app import App
from enterprise_node.contents import Draw
from enterprise_node.local_keys import KEY_FILE
from enterprise_node.release import OnStep, no_step
from privacy import noise
from privacy.envelope import Kind, open_envelope
from privacy.releases import parse_statement_chunk
from protos.epochs import Epoch, format_epoch
from protos.v1.release_pb2 import Release
from runtime.files import write_private
from tests.unit.enterprise_node.simulated_hub import NODE_TOML, PACKS, SimulatedHub, open_node
from tests.unit.enterprise_node.simulators import Federation

Coins = NDArray[np.bool_]
Grams = NDArray[np.int64]

METER_TOML = """
enterprise_id = "bikeshare"
name = "Meters"
name_zh = "电表"
region = "east"
packs = ["{packs}"]

[persons]
path = "riders.csv"
columns = {{ user = "text", mobile = {{ type = "text", private = true }}, since = "text" }}
person = "mobile"
since = "since"

[[source]]
id = "readings"
path = "readings.csv"
record = ["reading"]
person = "mobile"
activity = "energy.electricity"

[source.columns]
reading = "text"
mobile = {{ type = "text", private = true }}
day = "text"
kwh = {{ type = "decimal", decimals = 3 }}

[source.time]
column = "day"
format = "%Y-%m-%d"

[source.inputs]
energy = {{ column = "kwh", unit = "kWh" }}
"""


class Killed(BaseException):
    """The process ends here."""


@dataclass(frozen=True, slots=True)
class CanaryNode:
    """A home, the hub it talks to, and how many canaries it knows."""

    home: Path
    federation: Federation
    hub: SimulatedHub
    canaries: int

    @contextmanager
    def opened(
        self,
        *,
        home: Path | None = None,
        draw: Draw = noise.discrete_laplace,
        on_step: OnStep = no_step,
    ) -> Iterator[App]:
        """Open the node as its own process would."""
        app = open_node(home or self.home, self.federation, self.hub, draw=draw, on_step=on_step)
        try:
            yield app
        finally:
            app.close()

    def run(self, *epochs: Epoch, draw: Draw = noise.discrete_laplace) -> None:
        """Release the epochs."""
        with self.opened(draw=draw) as app:
            app.pipeline.run(list(epochs))

    def copy(self, name: str) -> Path:
        """Copy the home, as a backup does."""
        return Path(shutil.copytree(self.home, self.home.with_name(name)))

    def released(self, epoch: Epoch) -> list[Grams]:
        """Give every released statement vector of the epoch that reached the hub, canaries in their order."""
        with self.opened() as app:
            persons = app.workspace.persons.number_all(map(mobile, range(self.canaries)), store=False)
            place = {item.person: row for row, item in enumerate(app.pipeline.roster.active(epoch))}
        rows = np.array([place[persons[mobile(one)] or 0] for one in range(self.canaries)])
        found = {data: bodies for data, bodies in self.hub.received if is_release(data, epoch)}
        return [statement(bodies)[rows] for bodies in found.values()]


def mobile(canary: int) -> str:
    """Give a canary's raw identifier."""
    return f"138{canary:08d}"


def is_release(data: bytes, epoch: Epoch) -> bool:
    """Tell whether an envelope is a release of the epoch."""
    opened = open_envelope(data)
    return opened.kind is Kind.RELEASE and opened.parse(Release).epoch == epoch


def statement(bodies: Sequence[bytes]) -> Grams:
    """Read the rows of the one statement of a release."""
    return np.array([gram for body in bodies for gram in parse_statement_chunk(body).grams()], dtype=np.int64)


def flip_coins(count: int) -> Coins:
    """Decide by fresh coins which canaries are put in."""
    return np.random.default_rng().random(count) < 0.5


def write_riders(home: Path, days: dict[Epoch, Coins]) -> None:
    """Write a bike share: a canary put in rides 3 times 30 km on the 5th, one left out not at all."""
    begin(home, NODE_TOML.format(packs=PACKS / "trv.shared_bike" / "1"))
    canaries = next(iter(days.values())).size
    write_csv(home / "riders.csv", "user,mobile", [f"{one},{mobile(one)}" for one in range(canaries)])
    trips = [
        f"{epoch}-{one}-{ride},{mobile(one)},{format_epoch(epoch)}-05 0{ride}:00:00,30000"
        for epoch, coins in days.items()
        for one in np.flatnonzero(coins).tolist()
        for ride in (7, 8, 9)
    ]
    write_csv(home / "trips.csv", "trip,mobile,start,metres", trips)


def write_meters(home: Path, days: dict[Epoch, Coins]) -> None:
    """Write a utility: a canary put in has one reading beyond the day's clamp on the 5th, others none."""
    begin(home, METER_TOML.format(packs=PACKS / "life.electricity_saving" / "1"))
    canaries = next(iter(days.values())).size
    riders = [f"{one},{mobile(one)},2018-01-01" for one in range(canaries)]
    write_csv(home / "riders.csv", "user,mobile,since", riders)
    readings = [
        f"{epoch}-{one},{mobile(one)},{format_epoch(epoch)}-05,20"
        for epoch, coins in days.items()
        for one in np.flatnonzero(coins).tolist()
    ]
    write_csv(home / "readings.csv", "reading,mobile,day,kwh", readings)


def begin(home: Path, toml: str) -> None:
    """Make a private folder with a node.toml and a local key."""
    home.mkdir(mode=0o700, parents=True)
    (home / "node.toml").write_text(toml, encoding="utf-8")
    write_private(home / KEY_FILE, b"k" * 32)


def write_csv(path: Path, header: str, lines: Sequence[str]) -> None:
    """Write a CSV file."""
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
