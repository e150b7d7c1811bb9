from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.store.location import Location, SqliteFile
from tests.simulator import EPOCH
from tests.simulator.parties import DEFAULT_PACKS, SimulatedPack
from tests.unit.accounting.programmes.programmes import programme
from tests.unit.hub.stores import STORES, fresh_schema
from tests.unit.hub.world import World, begin, enrol, world


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[World]:
    """A hub with an empty log."""
    with world(tmp_path / "hub") as found:
        yield found


@pytest.fixture
def enrolled(empty: World) -> World:
    """A hub whose documents are logged and whose persons are enrolled."""
    return enrol(begin(empty))


@pytest.fixture
def city(tmp_path: Path) -> Iterator[World]:
    """A hub whose persons are enrolled, with a class to choose a recorder of and a programme to pool for."""
    with world(tmp_path / "hub") as found:
        found.packs = (SimulatedPack("bike", overlap_class="OC-WALK"), DEFAULT_PACKS[1])
        begin(found)
        found.publish_programme(programme(id="city-pool", first_epoch=EPOCH).canonical_bytes())
        yield enrol(found)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One enrolled hub for a module's tests that leave no trace."""
    with world(tmp_path_factory.mktemp("shared") / "hub") as found:
        yield enrol(begin(found))


@pytest.fixture(params=STORES)
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Location]:
    """A place for a new database, on each store."""
    if request.param == "sqlite":
        yield SqliteFile(tmp_path / "hub.sqlite")
        return
    with fresh_schema(request.getfixturevalue("postgres_server")) as server:
        yield server


@pytest.fixture
def twin(location: Location, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Location]:
    """A place for a second database on the same store."""
    if isinstance(location, SqliteFile):
        yield SqliteFile(tmp_path / "twin.sqlite")
        return
    with fresh_schema(request.getfixturevalue("postgres_server")) as server:
        yield server
