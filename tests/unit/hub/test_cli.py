"""The commands against a running hub, as an operator types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hub.cli import hub
from hub.configuration import Home
from hub.setup import Opened
from protos.problems import Problem
from runtime.joining import JoinToken, join
from tests.simulator import key
from tests.unit.hub.world import running

ROOT = Path(__file__).parents[3]


def run(*arguments: object) -> dict[str, Any]:
    """Run a command with --json and give what it prints."""
    result = CliRunner().invoke(hub, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def fails(*arguments: object) -> Problem:
    """Run a command that is refused and give the problem."""
    with pytest.raises(Problem) as caught:
        CliRunner().invoke(hub, list(map(str, arguments)), catch_exceptions=False)
    return caught.value


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three signers' keys and a hub's home."""
    folder = tmp_path_factory.mktemp("cli")
    options: list[object] = []
    for name in ("operator", "regulator", "auditor"):
        run("trust", "keygen", name, "--out", folder / f"{name}.key")
        options += ["--root-key", f"{name}={folder / name}.key.pub"]
    options += ["--policy-key", f"regulator={folder}/regulator.key.pub", "--policy-threshold", 1]
    made = run(
        "init", "--home", folder / "H", "--origin", "demo.example/log", "--root-threshold", 2, *options
    )
    assert made["log_vkey"].startswith("demo.example/log+")
    return folder


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Path]:
    """The same, with the hub running."""
    with running(Opened.load(Home((place / "H").absolute()))):
        yield place


def test_keys_are_private_and_never_overwritten(place: Path) -> None:
    assert (place / "operator.key").stat().st_mode & 0o077 == 0
    assert "exists already" in fails("trust", "keygen", "operator", "--out", place / "operator.key").message


def test_secrets_lie_in_a_private_folder(place: Path) -> None:
    assert (place / "H/private").stat().st_mode & 0o077 == 0
    secret = [path for path in (place / "H").rglob("*") if path.suffix in (".key", ".pem", ".sqlite")]
    assert secret
    assert all(path.is_relative_to(place / "H/private") for path in secret)


def test_a_home_is_made_once(place: Path) -> None:
    options = ["--root-key", f"a={place}/auditor.key.pub", "--policy-key", f"a={place}/auditor.key.pub"]
    arguments = ["--origin", "x.example/log", "--root-threshold", 1, "--policy-threshold", 1]
    assert (
        "already"
        in fails(
            "init", "--home", place / "H", *arguments, *[o.replace("a=", "aa=") for o in options]
        ).message
    )


@pytest.mark.parametrize(
    "changes",
    [{"--root-threshold": 4}, {"--root-threshold": 0}, {"--listen-grpc": "nowhere"}, {"--origin": "UPPER"}],
)
def test_a_wrong_plan_makes_nothing(place: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    values: dict[str, object] = {
        "--home": tmp_path / "H",
        "--origin": "x.example/log",
        "--root-key": f"auditor={place}/auditor.key.pub",
        "--root-threshold": 1,
        "--policy-key": f"auditor={place}/auditor.key.pub",
        "--policy-threshold": 1,
    }
    assert fails("init", *[part for pair in (values | changes).items() for part in pair]).message
    assert not (tmp_path / "H/hub.toml").exists()


def test_the_operators_day(served: Path) -> None:
    home = ("--home", served / "H")
    unlimited = ("invite", *map(str, home), "--role", "node", "--id", "bikes", "--name", "Bikes")
    refused = CliRunner().invoke(hub, unlimited)
    assert (refused.exit_code, "needs --quota" in refused.output) == (2, True)
    token = run("invite", *home, "--role", "node", "--id", "bikes", "--name", "Bikes", "--quota", 100)[
        "token"
    ]
    join(JoinToken.decode(token), key("bikes"))
    assert [party["id"] for party in run("status", *home)["parties"]] == ["bikes"]

    assert "no trust root yet" in fails("trust", "show", *home).message
    root = served / "root"
    assert run("trust", "propose", *home, "--out", root)["enterprises"] == ["bikes"]
    before = root.read_bytes()
    assert run("trust", "sign", root)["signed_by"] == []
    assert root.read_bytes() == before
    run("trust", "sign", root, "--key", served / "auditor.key")
    assert "2 must" in fails("trust", "publish", *home, root).message
    run("trust", "sign", root, "--key", served / "operator.key")
    published = run("trust", "publish", *home, root)
    assert run("trust", "publish", *home, root) == published
    shown = run("trust", "show", *home, "--out", served / "pinned")
    assert shown["first_fingerprint"] == published["fingerprint"]
    assert (served / "pinned").read_bytes() == root.read_bytes()

    signer = ("--key", served / "regulator.key")
    packs = run("pack", "publish", *home, ROOT / "packs/trv.shared_bike/1", *signer)["packs"]
    assert [(one["id"], one["index"]) for one in packs] == [("trv.shared_bike", 1)]
    policy = served / "policy.toml"
    policy.write_text(
        'id = "city"\nversion = 1\nfirst_epoch = "2020-12"\nregions = ["east"]\npacks = ["trv.shared_bike"]\n'
        '[allowance]\nperson_day = "1/2"\nperson_month = "1"\n'
        '[enterprises.bikes]\n[enterprises.bikes.measures.rides]\npacks = ["trv.shared_bike"]\n'
    )
    cost = run("policy", "publish", *home, policy, *signer)["whole_cost"]["bikes"]
    assert (cost["person_day"], cost["person_month"]) == ("3/2", "33/2")

    assert "bikes has neither released" in fails("close", *home, "2020-12", "--wait", "1").message
    closed = run("close", *home, "2020-12", "--allow-missing")
    assert (closed["missing"], closed["accounts"]) == (["bikes"], 0)
    assert run("close", *home, "2020-12") == closed
    assert "No account" in fails("account", "show", *home, "00").message

    checked = run("doctor", *home)
    assert checked["ok"]
    exported = run("export", *home, "--out", served / "bundle")
    assert (exported["size"], exported["bodies"]) == (4, 1)
    assert (served / "bundle/bodies/0/1-0").exists()
    assert "not empty" in fails("export", *home, "--out", served / "bundle").message


def test_doctor_names_what_is_wrong(place: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(place / "H", tmp_path / "H")
    (tmp_path / "H/log.vkey").write_text("other.example/log+00000000+AAAA\n")
    (tmp_path / "H/private/server/tls.pem").write_bytes(b"")
    result = CliRunner().invoke(hub, ["doctor", "--home", str(tmp_path / "H"), "--json"])
    failed = {check["name"] for check in json.loads(result.stdout)["checks"] if not check["ok"]}
    assert {"log.vkey", "hub's certificate"} <= failed
    (tmp_path / "H/private/hub.key").chmod(0o644)
    checks = json.loads(CliRunner().invoke(hub, ["doctor", "--home", str(tmp_path / "H"), "--json"]).stdout)
    assert not checks["ok"]
    assert checks["checks"][0]["remedy"]
