"""Pack folders are read with what they name, from beside them or as installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import packs
from protos.problems import Malformed, Problem, Unavailable
from runtime.pack_files import PACK_FILE, installed, load_activities, load_pack, load_packs, read_pack_files

PACKS = Path(packs.__file__).parent
PACK_FOLDERS = sorted(path.parent for path in PACKS.glob(f"*/*/{PACK_FILE}"))


@pytest.mark.parametrize("folder", PACK_FOLDERS, ids=lambda folder: folder.parent.name)
def test_every_installed_pack_loads(folder: Path) -> None:
    pack = load_pack(folder)
    assert (pack.id, str(pack.version)) == (folder.parent.name, folder.name)


def test_packs_of_a_folder_come_in_order() -> None:
    assert [(pack.id, pack.version) for pack in load_packs(PACKS)] == sorted(
        (folder.parent.name, int(folder.name)) for folder in PACK_FOLDERS
    )


def test_pack_kept_elsewhere_takes_tables_and_activities_as_installed(tmp_path: Path) -> None:
    for folder in PACK_FOLDERS:
        copied = tmp_path / folder.parent.name / folder.name
        shutil.copytree(folder, copied)
        assert load_pack(copied).canonical_bytes() == load_pack(folder).canonical_bytes()
    assert load_activities(tmp_path) == load_activities()


def test_tables_beside_a_pack_win(tmp_path: Path) -> None:
    folder = next(path for path in PACK_FOLDERS if len(read_pack_files(path)) > 2)
    copied = tmp_path / folder.parent.name / folder.name
    shutil.copytree(folder, copied)
    name = next(
        name for name in read_pack_files(copied) if name.startswith("factors/") and name.endswith(".csv")
    )
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"own")
    assert read_pack_files(copied)[name] == b"own"
    with pytest.raises(Problem):
        load_pack(copied)


def test_what_is_missing_or_too_large_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no pack in"):
        load_packs(tmp_path)
    with pytest.raises(Unavailable, match=r"pack\.toml"):
        load_pack(tmp_path)
    (tmp_path / PACK_FILE).write_bytes(b"#" * (5 << 20))
    with pytest.raises(Malformed, match="larger than"):
        load_pack(tmp_path)
    assert installed("activities.toml").is_file()
