"""A copy of a log follows a replaced key by the trust root alone, and no other key."""

from __future__ import annotations

from pathlib import Path

import pytest

from privacy import trust
from protos.problems import Unverified
from runtime import successors
from runtime.log_mirror import LogMirror
from runtime.log_reader import FolderLog
from tests.simulator import Federation, enrolled


def served(federation: Federation, folder: Path) -> FolderLog:
    federation.write_bundle(folder)
    return FolderLog(folder)


def test_a_copy_goes_on_under_the_next_key_and_after_a_restart(tmp_path: Path) -> None:
    federation = enrolled()
    first = trust.verify_first(federation.entries[0].data)
    mirror = LogMirror(tmp_path / "mirror", first.log_vkey)
    assert successors.grow(mirror, served(federation, tmp_path / "one"), first) == 0
    before = federation.state.size
    federation.succeed()
    federation.release("bike-share")
    reader = served(federation, tmp_path / "two")
    assert successors.grow(mirror, reader, first) == before
    assert (mirror.size, mirror.root) == (federation.state.size, federation.state.root())
    for again in (mirror, LogMirror(tmp_path / "mirror", first.log_vkey)):
        assert again.vkey == federation.log_vkey
        assert successors.grow(again, reader, federation.state.trust) == federation.state.size
    federation.succeed("cgsp.example/log-three", "log-three")
    fresh = LogMirror(tmp_path / "fresh", first.log_vkey)
    assert successors.grow(fresh, served(federation, tmp_path / "three"), first) == 0
    assert fresh.vkey == federation.log_vkey


def test_a_key_named_by_no_trust_root_is_not_followed(tmp_path: Path) -> None:
    federation = enrolled()
    first = trust.verify_first(federation.entries[0].data)
    mirror = LogMirror(tmp_path / "mirror", first.log_vkey)
    for origin, log_key in (("cgsp.example/log-two", "stranger"), (federation.origin, "stranger")):
        federation.origin, federation.log_key = origin, log_key
        with pytest.raises(Unverified):
            successors.grow(mirror, served(federation, tmp_path / origin.rpartition("/")[2]), first)
    assert (mirror.size, mirror.vkey) == (0, first.log_vkey)


def test_a_succession_over_another_history_is_a_fork(tmp_path: Path) -> None:
    federation, other = enrolled(), enrolled(batch_min=2)
    first = trust.verify_first(federation.entries[0].data)
    mirror = LogMirror(tmp_path / "mirror", first.log_vkey)
    successors.grow(mirror, served(federation, tmp_path / "one"), first)
    other.succeed()
    with pytest.raises(Unverified, match="do not continue"):
        successors.grow(mirror, served(other, tmp_path / "two"), first)
