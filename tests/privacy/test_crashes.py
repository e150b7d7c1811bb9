"""A node killed at every single write of its state, then started again: one draw, one charge, one release.

The steps a release is told of (tests/unit/enterprise_node/test_release.py) lie between durable moments; here
the process dies before each statement that writes and after each that was made durable, wherever it stands.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from enterprise_node.store.database import Database
from protos.epochs import Epoch
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH
from runtime.pack_files import load_pack
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import Federation
from tests.unit.enterprise_node.test_release import Draws, Killed, check_one_release

DECEMBER = Epoch(202012)
# Fewer would mean that the writes are no longer seen here.
WRITES_MIN = 20


class Killer:
    """Dies at the write of a given number, before it or when it is durable."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def watch(monkeypatch: pytest.MonkeyPatch, killer: Killer) -> None:
    """Tell the killer of every write, and of every transaction that has just ended."""
    execute, execute_many = Database.execute, Database.execute_many

    def watched(self: Database, sql: str, values: Sequence[Any] = ()) -> int:
        killer()
        changed = execute(self, sql, values)
        if self._depth == 0:
            killer()
        return changed

    def watched_many(self: Database, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        killer()
        execute_many(self, sql, rows)
        if self._depth == 0:
            killer()

    monkeypatch.setattr(Database, "execute", watched)
    monkeypatch.setattr(Database, "execute_many", watched_many)


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


@pytest.fixture(scope="module")
def ready(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulatedHub]:
    """Give a home that has read its sources and enrolled, and its hub."""
    home = tmp_path_factory.mktemp("ready") / "node"
    write_home(home)
    hub = SimulatedHub(federation)
    hub.publish_policy(load_pack(PACKS / "trv.shared_bike" / "1"))
    app = open_node(home, federation, hub)
    app.pipeline.ingest()
    app.pipeline.enrol(DECEMBER)
    app.close()
    return home, hub


def again(federation: Federation, hub: SimulatedHub) -> SimulatedHub:
    """Give a hub that has received the same."""
    copy = SimulatedHub(federation)
    for data, bodies in hub.received[1:]:
        copy.submit(data, bodies)
    return copy


def test_killed_at_any_write_it_draws_once_and_loses_no_charge(
    federation: Federation, ready: tuple[Path, SimulatedHub], tmp_path: Path
) -> None:
    home, hub = ready
    for at in itertools.count(1):
        copy, its_hub, draws = (
            Path(shutil.copytree(home, tmp_path / f"{at}")),
            again(federation, hub),
            Draws(),
        )
        app = open_node(copy, federation, its_hub, draw=draws)
        with pytest.MonkeyPatch.context() as patch:
            watch(patch, Killer(at))
            try:
                app.pipeline.release(DECEMBER)
                app.pipeline.submit(DECEMBER)
                is_killed = False
            except Killed:
                is_killed = True
        charged = {
            unit: app.pipeline.ledger.spent(DECEMBER, unit)
            for unit in (PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH)
        }
        assert charged[PRIVACY_UNIT_PERSON_DAY] in (0, Fraction(1, 2))
        assert not draws.vectors or charged[PRIVACY_UNIT_PERSON_DAY] == Fraction(1, 2)
        app.close()
        app = open_node(copy, federation, its_hub, draw=draws)
        app.pipeline.release(DECEMBER)
        app.pipeline.submit(DECEMBER)
        check_one_release(its_hub, app, draws)
        app.close()
        shutil.rmtree(copy)
        if not is_killed:
            assert at > WRITES_MIN
            return
