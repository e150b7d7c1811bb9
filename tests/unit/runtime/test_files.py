"""Home folders and files: private, bounded, whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from protos.problems import Malformed, Unavailable
from runtime.files import open_home, read_bounded, read_private, write_atomic, write_private


def test_home_is_made_private(tmp_path: Path) -> None:
    home = open_home(tmp_path / "a" / "home", create=True)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert open_home(home) == home


def test_home_open_to_others_is_refused_with_the_fix(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    with pytest.raises(Malformed) as caught:
        open_home(home)
    assert caught.value.remedy == f"chmod 700 {home}"


def test_missing_home_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no folder"):
        open_home(tmp_path / "nowhere")


def test_private_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"one")
    write_private(path, b"two")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o600)
    assert [item.name for item in tmp_path.iterdir()] == ["key"]
    assert read_private(path, 10) == b"two"
    path.chmod(0o640)
    with pytest.raises(Malformed, match="others can read it"):
        read_private(path, 10)


def test_failed_write_leaves_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["state"]


def test_reading_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(Malformed, match="larger than 4 bytes"):
        read_bounded(path, 4)
    with pytest.raises(Unavailable, match="no file"):
        read_bounded(tmp_path / "other", 4)
    with pytest.raises(Malformed, match="is a folder"):
        read_bounded(tmp_path, 4)
