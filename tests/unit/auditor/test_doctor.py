"""A doctor looks at what is named, changes nothing, and says what to do about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditor.doctor import examine
from auditor.witness_home import WitnessHome, init_witness
from privacy.witnessing import AddCheckpoint
from tests.simulator import enrolled
from tests.unit.auditor.test_cli import run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logged") / "bundle"
    enrolled().write_bundle(folder)
    return folder


def test_a_sound_bundle_and_witness_are_good(bundle: Path, tmp_path: Path) -> None:
    init_witness(tmp_path / "witness", "witness.example/w1")
    checks = examine(
        trust_root=bundle.parent / "trust-root", source=str(bundle), witness=tmp_path / "witness"
    )
    assert [one.name for one in checks if one.is_good] == [
        "libsodium",
        "DuckDB",
        "trust root",
        "log",
        "witness",
    ]


def test_a_trust_root_that_does_not_hold_is_told_and_the_log_left_out(bundle: Path, tmp_path: Path) -> None:
    changed = bytearray((bundle.parent / "trust-root").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "root").write_bytes(changed)
    checks = examine(trust_root=tmp_path / "root", source=str(bundle))
    assert [(one.name, one.is_good) for one in checks[2:]] == [("trust root", False)]


def test_evidence_of_a_fork_is_a_failure_that_says_where_it_lies(tmp_path: Path) -> None:
    home: WitnessHome = init_witness(tmp_path, "witness.example/w1")
    home.keep_evidence(AddCheckpoint(0, (), b"origin\n0\nroot\n"), "origin", "another root")
    [*_, check] = examine(witness=tmp_path)
    assert not check.is_good and str(tmp_path / "evidence") in check.remedy


def test_a_folder_nobody_joined_with_is_told(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nobody").mkdir(mode=0o700)
    assert run("doctor", "--home", str(tmp_path / "nobody"), "--json") == 1
    told = json.loads(capsys.readouterr().out)["checks"]
    assert [one["name"] for one in told if not one["ok"]] == ["certificate"]
    assert run("doctor", str(bundle)) == 2
