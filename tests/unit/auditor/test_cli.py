"""The program: its exit codes are its promise to scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from auditor.cli import audit
from privacy.envelope import Kind
from runtime.authority import CertificateAuthority
from runtime.identity import load_certificate
from runtime.programs import run_cli
from tests.simulator import Federation, closed
from tests.unit.auditor.city import parts


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        run_cli(audit, list(arguments))
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    closed(**parts()).write_bundle(folder / "bundle")
    closed(**parts()).write_bundle(folder / "bare", with_bodies=False)
    return folder


def test_a_clean_bundle_exits_with_0(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = exported / "report.json"
    code = run(
        "verify",
        str(exported / "bundle"),
        "--trust-root",
        str(exported / "trust-root"),
        "--report",
        str(report),
        "--json",
    )
    assert code == 0
    assert json.loads(capsys.readouterr().out) == json.loads(report.read_text("utf-8"))
    assert json.loads(report.read_text("utf-8"))["verdict"] == "PASS"


def test_findings_exit_with_1_and_are_shown(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tile = next((exported / "bundle/tile/0").iterdir())
    tile = next(tile.iterdir()) if tile.is_dir() else tile
    data = tile.read_bytes()
    tile.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    code = run("verify", str(exported / "bundle"), "--trust-root", str(exported / "trust-root"))
    tile.write_bytes(data)
    assert code == 1
    told = capsys.readouterr().out
    assert told.startswith("FINDINGS")
    assert "tile/0/000.p/" in told


def test_missing_bodies_exit_with_3(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run("verify", str(exported / "bare"), "--trust-root", str(exported / "trust-root"))
    assert code == 3
    assert "UNCHECKED" in capsys.readouterr().out


def test_wrong_use_exits_with_2(exported: Path) -> None:
    assert run("verify", str(exported / "bundle")) == 2
    assert run("verify", str(exported / "bundle"), "--trust-root", str(exported / "nothing")) == 2
    assert run("unknown") == 2


def test_a_source_that_is_neither_folder_nor_address_is_wrong_use(exported: Path) -> None:
    assert run("verify", str(exported / "nowhere"), "--trust-root", str(exported / "trust-root")) == 2


def test_a_hub_that_cannot_be_reached_could_not_be_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = CertificateAuthority.create("cgsp.example")
    federation = Federation()
    root = federation.trust_root()
    root.hub_ca = load_certificate(authority.ca_pem).public_bytes(Encoding.DER)
    trust_root = tmp_path / "trust-root"
    trust_root.write_bytes(federation.signed(Kind.TRUST_ROOT, root, "operator", "regulator"))
    assert run("verify", "127.0.0.1:1", "--trust-root", str(trust_root)) == 3
    assert capsys.readouterr().out.startswith("UNCHECKED")
