"""The tutorial in docs/operating/node.md works as written: its blocks run, in order, against a real hub."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples.federation.federation import Federation
from examples.federation.founding import PACKS, TEMPLATES
from examples.federation.layout import POLICY_KEYS, Party
from tests.system.small_federation import SmallFederation

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("federation")]

DOCUMENT = Path(__file__).parents[2] / "docs" / "operating" / "node.md"
SHOP = Party("cornershop", "Corner Shop", "街角小店")
BLOCK_SECONDS_MAX = 900
SECTION = """
[enterprises.cornershop]
month_clamp_grams = 5000

[enterprises.cornershop.measures.groceries]
packs = ["con.plant_protein"]
day_clamp_grams = 500
"""
# What the output of a block must say.
SAID = {
    "cgsp-node check": ("240 to keep", "not-exact, column 列 amount (line 行 242)", "Nothing was stored"),
    "cgsp-node status --home cornershop\n": (),
    "cgsp-node explain": ("2 taken", "1 took the place of an earlier version", "spend 6.03 USD2017", "plant"),
    "cgsp-node submit": ("2021-03",),
    "cgsp-node person erase": ("erased",),
}


def blocks() -> list[str]:
    """Give the tutorial's commands."""
    return re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)


def run(block: str, folder: Path, **variables: str) -> str:
    """Run one block as a person would paste it; give what it says."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=BLOCK_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def admit(parts: Federation, folder: Path) -> None:
    """Let the operator name the shop in the trust root and publish a policy with a section for it."""
    parts.founding.publish_trust_root()
    policy = (TEMPLATES / "policy.toml").read_text(encoding="utf-8")
    policy = policy.replace("version = 1\n", "version = 2\n").replace('"2020-12"', '"2021-03"')
    (folder / "policy.toml").write_text(policy + SECTION, encoding="utf-8")
    key = ("--key", str(parts.layout.key(POLICY_KEYS[0])))
    parts.founding.hub_at_home("policy", "publish", str(folder / "policy.toml"), *key)


def test_the_tutorial_leads_from_receipts_to_a_release(federation: SmallFederation, tmp_path: Path) -> None:
    (tmp_path / "packs").symlink_to(PACKS)
    invitation = ("--id", SHOP.id, "--name", SHOP.name, "--name-zh", SHOP.name_zh, "--quota", "1000")
    founding = federation.parts.founding
    token = str(founding.hub_at_home("invite", "--role", "node", *invitation)["token"])
    said = ""
    for block in blocks():
        told = run(block, tmp_path, TOKEN=token)
        for command, words in SAID.items():
            if command in block:
                assert [word for word in words if word not in told] == [], told
        if "cgsp-node join" in block:
            admit(federation.parts, tmp_path)
        said += told if "cgsp-node" in block else ""
    assert "committed" in said
    assert "138000" not in said
