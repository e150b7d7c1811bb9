"""A federation in small as the system tests want it: with marked values planted, each process killed once."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.federation import identifiers
from examples.federation.federation import Federation, audit, found, prepare_data, release
from examples.federation.layout import Layout, open_fresh
from examples.federation.prepare import SMALL, RawData
from examples.federation.processes import Supervisor
from examples.federation.progress import Progress

Json = dict[str, Any]

MARKED_RIDER = "canary-rider-5f1c8e"
MARKED_TRIP = "canary-trip-93d07b"
MARKED_METRES = "23456.7"
MARKED_LATITUDE = "42.3171828459"
MARKED_METER = "canary-meter-77ab12"
MARKED_KWH = "10.918273"
MARKED_RIDER_MOBILE = "19987654321"
MARKED_METER_MOBILE = "16612398765"

MARKED = (
    MARKED_RIDER,
    MARKED_TRIP,
    MARKED_LATITUDE,
    MARKED_METER,
    MARKED_KWH,
    MARKED_RIDER_MOBILE,
    MARKED_METER_MOBILE,
    f"cn_mobile\x1f{MARKED_RIDER_MOBILE}",
    f"cn_mobile\x1f{MARKED_METER_MOBILE}",
    f"+86{MARKED_RIDER_MOBILE}",
)


@dataclass(frozen=True, slots=True)
class SmallFederation:
    """A federation whose two epochs are closed and verified; its hub and custodians still serve."""

    parts: Federation
    verdicts: list[Json]

    @property
    def layout(self) -> Layout:
        """Give its files."""
        return self.parts.layout


@contextmanager
def run_small(home: Path, *, kill: bool) -> Iterator[SmallFederation]:
    """Run a small federation, planted, and leave hub and custodians serving."""
    progress = Progress()
    layout = open_fresh(home)
    with Supervisor(layout.home) as supervisor:
        raw = prepare_data(layout, None, SMALL, progress)
        plant(raw)
        parts = found(raw, layout, supervisor, SMALL, progress)
        release(parts, progress, kill=kill)
        yield SmallFederation(parts, audit(parts, progress, kill=kill))


def plant(raw: RawData) -> None:
    """Add a marked rider with a marked trip, and a marked meter, one of whose readings is not exact."""
    trip = (MARKED_TRIP, MARKED_RIDER, "7", "2020-12-05 08:00:00", "2020-12-05 09:00:00")
    place = (MARKED_LATITUDE, "-72.5", MARKED_LATITUDE, "-72.6", "99", MARKED_METRES)
    _append(raw.paths["trips"], ",".join((*trip, *place)))
    register = ",".join((MARKED_RIDER_MOBILE, identifiers.DISTRICTS[0], "2018-06-01", ""))
    _append(raw.paths["riders"], f"{MARKED_RIDER},{register}")
    for day in ("2012-12-01", "2013-12-01"):
        _append(raw.paths["daily"], f"{MARKED_METER},{day},9.5")
    _append(raw.paths["daily"], f"{MARKED_METER},2013-12-02,{MARKED_KWH}")
    contract = ",".join((MARKED_METER_MOBILE, identifiers.DISTRICTS[1], "2012-12-01", "2014-02-01"))
    _append(raw.paths["meters"], f"{MARKED_METER},{contract}")


def _append(path: Path, line: str) -> None:
    """Add a line to a CSV file, gzipped or not (gzip members may follow one another)."""
    data = f"{line}\n".encode()
    with path.open("ab") as file:
        file.write(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
