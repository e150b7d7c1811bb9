"""The tutorial of docs/programmes.md works as written: its blocks run in order, and say what it says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from auditor.cli import audit
from hub.cli import hub
from hub.lookup import first_trust_root
from privacy import keys
from protos.problems import Problem
from runtime.configuration import write_private
from tests.simulator import EPOCH, key
from tests.unit.hub.test_accounts import close, release_all
from tests.unit.hub.world import World, begin, enrol, make_home, running

DOCUMENT = Path(__file__).parents[3] / "docs" / "programmes.md"
PROGRAMS: dict[str, click.Command] = {"cgsp-hub": hub, "cgsp-audit": audit}


def steps() -> list[tuple[str, str]]:
    """Give each block of commands with the refusal it leads to, "" where none is shown."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("## A first programme")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```(sh|text)\n(.*?)^```$", text, re.M | re.S)
    return [
        (commands, blocks[at + 1][1] if at + 1 < len(blocks) and blocks[at + 1][0] == "text" else "")
        for at, (kind, commands) in enumerate(blocks)
        if kind == "sh"
    ]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A hub in H that has closed an epoch, beside the keys of two persons and the trust root."""
    monkeypatch.chdir(tmp_path)
    for name in ("operator", "regulator"):
        write_private(tmp_path / f"{name}.key", keys.encode_private(key(name)))
    made = World(opened=make_home(tmp_path / "H"))
    with running(made.opened) as started:
        made.hub = started
        close(release_all(enrol(begin(made))))
        (tmp_path / "trust-root-1.dsse").write_bytes(first_trust_root(made.opened) or b"")
        yield made


def run(line: str) -> dict[str, Any]:
    """Run a line as an officer would; give what a program of ours says."""
    program = PROGRAMS.get(line.partition(" ")[0])
    if program is None:
        subprocess.run(["bash", "-euc", line], check=True)
        return {}
    arguments = shlex.split(line)[1:]
    result = CliRunner().invoke(program, [*arguments, "--json"], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    said = json.loads(result.stdout)
    return said if isinstance(said, dict) else {"listed": said}


def test_the_tutorial_leads_where_it_says(world: World) -> None:
    assert world.hub.ledger.health().fundings == ()
    said: list[dict[str, Any]] = []
    for commands, refusal in steps():
        *before, last = commands.splitlines()
        said += map(run, before)
        if not refusal:
            said.append(run(last))
            continue
        with pytest.raises(Problem) as refused:
            run(last)
        assert refusal.strip() in refused.value.message
    by_key = {name: one for one in said for name in one}
    assert by_key["trial"]["trial"]["epoch"] == EPOCH
    assert by_key["index"]["signatures"] == 2
    assert by_key["loaded"]["loaded"] == 3
    assert by_key["balances"]["balances"]["fund:my-city:city"] == 1_000_000
    assert by_key["kind"]["partner"] == "corner-shop"
    assert by_key["withdrawn_from"]["withdrawn_from"] == 202103
    page = Path("my-city.html").read_text("utf-8")
    assert "<svg" in page
    assert not re.search(r"<script|(?:src|href)=", page)
    [line] = json.loads(world.get("/v1/programmes"))
    assert (line["id"], line["last_epoch"]) == ("my-city", "2021-02")
