"""A copy of one store restores on any, row for row, and only what the log proves is restored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hub.backup import MANIFEST_FILE, TABLES_FOLDER, backup, restore
from hub.configuration import Home
from hub.setup import Opened
from hub.store.database import current_revision
from hub.store.dialects import connect_writer
from hub.store.location import Location, PostgresServer
from protos.problems import Conflict, Malformed, Problem, Unverified
from tests.simulator import EPOCH
from tests.unit.hub.stores import fresh_schema
from tests.unit.hub.test_accounts import check_books, close, release_all
from tests.unit.hub.world import Crash, CrashAt, World, begin, enrol, make_home, refused, running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A hub that has closed an epoch, and was copied while it served."""
    return copied(tmp_path_factory.mktemp("served"), None)


def copied(folder: Path, server: PostgresServer | None) -> World:
    world = World(opened=make_home(folder / "hub", server))
    with running(world.opened) as hub:
        world.hub = hub
        release_all(enrol(begin(world)))
        check_books(world, close(world), EPOCH)
        backup(world.opened, folder / "copy")
    return world


def copy_of(world: World) -> Path:
    return world.opened.home.folder.parent / "copy"


@pytest.fixture
def emptied(served: World, location: Location, tmp_path: Path) -> Opened:
    """A home with the keys of the one served and with an empty place for a database, on each store."""
    return emptied_home(served, location, tmp_path / "again")


def emptied_home(served: World, location: Location, folder: Path) -> Opened:
    shutil.copytree(served.opened.home.folder, folder)
    for path in (folder / "private").glob("hub.sqlite*"):
        path.unlink()
    home = Home(folder)
    text = home.configuration.read_text().partition("[store]")[0]
    if isinstance(location, PostgresServer):
        text += '[store]\nkind = "postgresql"\ndsn_file = "private/store.dsn"\n'
        dsn = home.private / "store.dsn"
        dsn.write_text(location.dsn)
        dsn.chmod(0o600)
    home.configuration.write_text(text)
    return Opened.load(home)


def is_empty(location: Location) -> bool:
    engine = connect_writer(location)
    with engine.begin() as connection:
        found = current_revision(connection)
    engine.dispose()
    return found is None


def check_restored(served: World, emptied: Opened) -> None:
    manifest, made = restore(emptied, copy_of(served))
    assert made.differences == []
    assert made.entries == manifest.log_size > 0
    assert backup(emptied, emptied.home.folder / "again") == manifest
    with running(emptied) as hub:
        assert hub.log_size == manifest.log_size


def test_what_is_restored_serves_on_and_is_copied_to_the_same_bytes(served: World, emptied: Opened) -> None:
    check_restored(served, emptied)


def test_a_copy_of_a_server_restores_on_a_server_and_in_a_file(
    location: Location, postgres_server: str, tmp_path: Path
) -> None:
    with fresh_schema(postgres_server) as server:
        served = copied(tmp_path / "served", server)
        check_restored(served, emptied_home(served, location, tmp_path / "again"))


def test_a_copy_is_private_and_holds_no_key(served: World) -> None:
    copy = copy_of(served)
    secrets = [path.read_bytes() for path in served.opened.home.private.glob("*.key")]
    assert secrets
    for path in copy.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in secrets)
    assert isinstance(refused(lambda: backup(served.opened, copy)), Conflict)


def test_nothing_is_overwritten(served: World, emptied: Opened) -> None:
    restore(emptied, copy_of(served))
    assert isinstance(refused(lambda: restore(emptied, copy_of(served))), Conflict)


def test_a_changed_byte_in_any_file_is_refused_and_leaves_nothing(
    served: World, emptied: Opened, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    for name in sorted(path.name for path in (copy_of(served) / TABLES_FOLDER).iterdir()):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(copy_of(served), copy)
        path = copy / TABLES_FOLDER / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert isinstance(refused(lambda: restore(emptied, copy)), Malformed), name
    assert is_empty(emptied.home.database)


@pytest.mark.parametrize(
    "change",
    [
        {"log_root": "00" * 32},
        {"log_size": 1},
        {"origin": "other.example/log"},
        {"form": 2},
        {"revision": "9999"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_manifest_that_says_otherwise_is_refused(
    served: World, emptied: Opened, tmp_path: Path, change: dict[str, object]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(copy_of(served), copy)
    path = copy / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert isinstance(refused(lambda: restore(emptied, copy)), Malformed | Unverified)
    path.unlink()
    assert isinstance(refused(lambda: restore(emptied, copy)), Problem)
    assert is_empty(emptied.home.database)


def test_a_copy_behind_the_log_that_was_published_is_refused(tmp_path: Path, location: Location) -> None:
    """Whoever restores an old copy would sign a second history."""
    world = World(opened=make_home(tmp_path / "hub"))
    with running(world.opened) as hub:
        world.hub = hub
        begin(world)
        backup(world.opened, tmp_path / "copy")
        enrol(world)
    emptied = emptied_home(world, location, tmp_path / "again")
    problem = refused(lambda: restore(emptied, tmp_path / "copy"))
    assert isinstance(problem, Unverified)
    assert "not of this log" in problem.message
    assert is_empty(emptied.home.database)


@pytest.mark.parametrize("skip", [0, 7])
def test_a_restore_cut_off_leaves_nothing_and_is_done_again(
    served: World, emptied: Opened, skip: int
) -> None:
    crash = CrashAt("table loaded", skip, is_armed=True)
    with pytest.raises(Crash):
        restore(emptied, copy_of(served), step=crash)
    assert is_empty(emptied.home.database)
    assert restore(emptied, copy_of(served))[1].differences == []
