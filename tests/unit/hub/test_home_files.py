"""A home holds what the operator's manual lists and nothing else; a copy takes of it what the list says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath

import pytest

from hub.backup import FILES_FOLDER, TABLES_FOLDER, backup, read_manifest, restore
from hub.home_files import AS_FILES, PLACES, Return, is_copied
from hub.setup import Opened
from hub.store.location import SqliteFile
from hub.store.schema import metadata, revision
from protos.problems import Malformed
from tests.simulator import EPOCH
from tests.unit.hub.test_accounts import close, release_all
from tests.unit.hub.test_backup import copy_of, emptied_home
from tests.unit.hub.world import World, begin, enrol, make_home, refused, running

DOCUMENT = Path(__file__).parents[3] / "docs" / "operating" / "hub.md"
BESIDE = {
    "beacons/2020-12": b"a note",
    "old-checkpoints/1": b"an older note",
    "witness-policy": b"quorum 0\n",
}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A hub that has closed an epoch, with all that may lie beside a database, copied."""
    world = World(opened=make_home(tmp_path_factory.mktemp("lived") / "hub"))
    with running(world.opened) as hub:
        world.hub = hub
        close(release_all(enrol(begin(world))), EPOCH)
    for name, data in BESIDE.items():
        path = world.opened.home.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    backup(world.opened, copy_of(world))
    return world


def files_of(folder: Path) -> set[PurePosixPath]:
    return {
        PurePosixPath(path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file()
    }


def restored(world: World, folder: Path) -> Opened:
    home = emptied_home(world, SqliteFile(folder / "unused"), folder)
    for name in BESIDE:
        (folder / name).unlink()
    return home


def test_the_manual_lists_every_place_and_how_it_comes_back() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").partition("## Copies")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text, re.M)
    assert rows == [(one.name, one.returns.value) for one in PLACES]


def test_every_file_of_a_home_has_its_place_and_only_one(lived: World) -> None:
    for name in files_of(lived.opened.home.folder):
        assert sum(one.holds(name) for one in PLACES) == 1, name


def test_a_copy_takes_what_the_list_says(lived: World) -> None:
    manifest, taken = read_manifest(copy_of(lived)), files_of(copy_of(lived))
    assert manifest.tables.keys() == {one.name for one in metadata.tables.values() if one is not revision}
    tables = {PurePosixPath(TABLES_FOLDER) / name for name in manifest.tables}
    files = {PurePosixPath(FILES_FOLDER) / name for name in manifest.files}
    assert taken == tables | files | {PurePosixPath("manifest.json"), PurePosixPath("checkpoint")}
    named = {one.name.removesuffix("/") for one in AS_FILES}
    assert {PurePosixPath(name).parts[0] for name in manifest.files} == named
    apart = [one for one in PLACES if one.returns is not Return.COPY]
    assert not any(one.holds(PurePosixPath(name)) for one in apart for name in manifest.files)


def test_what_a_copy_took_is_put_back_where_nothing_is(lived: World, tmp_path: Path) -> None:
    home = restored(lived, tmp_path / "again")
    kept = home.home.folder / "witness-policy"
    kept.write_bytes(b"a newer one")
    restore(home, copy_of(lived))
    found = {name: (home.home.folder / name).read_bytes() for name in BESIDE}
    assert found == {**BESIDE, "witness-policy": b"a newer one"}


@pytest.mark.parametrize("name", sorted(BESIDE))
def test_a_changed_file_of_a_copy_is_refused(lived: World, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(copy_of(lived), copy)
    path = copy / FILES_FOLDER / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert isinstance(refused(lambda: restore(restored(lived, tmp_path / "again"), copy)), Malformed)


@pytest.mark.parametrize(
    "name", ["private/log.key", "hub.toml", "beacons/../private/log.key", "beacons/a/b", "/etc/passwd"]
)
def test_nothing_is_put_where_a_copy_takes_nothing_from(name: str) -> None:
    assert not is_copied(PurePosixPath(name))
