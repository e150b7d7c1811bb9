"""The runbooks of docs/operating/hub.md work as written: their blocks run in order against a hub."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hub.backup import backup
from hub.cli import hub as program
from hub.store import ledger_schema
from hub.store.database import open_writer
from hub.store.dialects import wipe
from hub.store.schema import link, metadata
from privacy import keys
from protos.epochs import next_epoch
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_PROGRAMME_UNKNOWN, REASON_SUSPENDED
from protos.v1.release_pb2 import NOTHING_REASON_SUSPENDED
from runtime.configuration import write_private
from tests.simulator import EPOCH, key, pseudonym
from tests.unit.hub.spending import begin_with_programme, prove, reserve, submit
from tests.unit.hub.world import World, make_home, refused, running

DOCUMENT = Path(__file__).parents[3] / "docs" / "operating" / "hub.md"
LATE = "utility"


def blocks() -> dict[str, list[str]]:
    """Give the commands of each runbook, block by block."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("## Runbooks")[2]
    parts = re.split(r"^### (.*)$", text, flags=re.M)[1:]
    found = zip(parts[::2], parts[1::2], strict=True)
    return {title: re.findall(r"^```sh\n(.*?)^```$", part, re.M | re.S) for title, part in found}


def run(block: str, code: int = 0) -> list[dict[str, Any]]:
    """Run a block's lines as an operator would, each ending in this code; give what they say, as JSON."""
    said = []
    for line in block.splitlines():
        if not line.startswith("cgsp-hub "):
            subprocess.run(["bash", "-euc", line], check=True)
            continue
        arguments = [*shlex.split(line)[1:], "--json"]
        result = CliRunner().invoke(program, arguments, standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        assert (result.return_value or 0) == code, result.output
        said.append(json.loads(result.stdout))
    return said


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a hub's home and the signers' keys."""
    folder = tmp_path_factory.mktemp("runbooks")
    for name in ("operator", "regulator"):
        write_private(folder / f"{name}.key", keys.encode_private(key(name)))
    return folder


@pytest.fixture
def world(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A hub whose enterprises have joined and that runs until it is told to stop."""
    monkeypatch.chdir(place)
    made = World(opened=make_home(place / "H"))
    with ExitStack() as stack:
        made.hub = stack.enter_context(running(made.opened))
        begin_with_programme(made)
        made.stop = stack.close  # type: ignore[attr-defined]
        yield made


def test_the_runbooks_lead_where_they_say(world: World) -> None:
    books = blocks()
    assert list(books) == [
        "An enterprise is late",
        "An enterprise must be suspended",
        "A programme was wrong",
        "The database is lost",
        "The books are damaged",
    ]
    check_late(world, books["An enterprise is late"])
    check_suspended(world, books["An enterprise must be suspended"])
    check_withdrawn(world, books["A programme was wrong"])
    check_restored(world, books["The database is lost"])
    check_rebuilt(world, books["The books are damaged"])


def check_late(world: World, book: list[str]) -> None:
    """The late release changes no closed book and stands in the next."""
    world.release("bike-share")
    status, first = run(book[0])
    assert any(LATE in reason for epoch in status["epochs"] for reason in epoch["waiting_for"])
    assert first["missing"] == [LATE]
    world.follow()
    world.release(LATE)
    for one in world.enterprises:
        world.release(one.id, next_epoch(EPOCH))
    second, proved = run(book[1])
    assert (second["missing"], proved["ok"]) == ([], True)
    assert second["accounts"] > first["accounts"]
    world.follow()


def check_suspended(world: World, book: list[str]) -> None:
    """Nothing more is taken from the enterprise."""
    run(book[0])
    world.follow()
    later = next_epoch(next_epoch(EPOCH))
    problem = refused(lambda: world.reserve(LATE, later))
    assert problem.reason == REASON_SUSPENDED
    world.nothing_to_report(LATE, NOTHING_REASON_SUSPENDED, later)
    world.release("bike-share", later)


def check_withdrawn(world: World, book: list[str]) -> None:
    """Nothing is redeemed from the epoch named on, and what was stays."""
    _, shown, proved = run(book[0])
    assert proved["ok"]
    assert shown
    world.follow()
    run("cgsp-hub close --home H 2021-02")
    world.follow()
    account = world.linked[pseudonym(0)][0]
    prove(world, [account], next_epoch(next_epoch(next_epoch(EPOCH))))
    problem = refused(lambda: submit(world, reserve=reserve(account)))
    assert isinstance(problem, Refused)
    assert problem.reason == REASON_PROGRAMME_UNKNOWN


def check_restored(world: World, book: list[str]) -> None:
    """The hub serves on from the copy."""
    [copied] = run(book[0])
    size = world.hub.log_size
    world.stop()  # type: ignore[attr-defined]
    restored, examined, proved = run(book[1])
    assert restored["differences"] == []
    assert (examined["ok"], proved["ok"]) == (True, True)
    assert restored["log_root"] == copied["log_root"]
    with running(world.opened) as hub:
        assert hub.log_size == size


def check_rebuilt(world: World, book: list[str]) -> None:
    """The log gives back what the tables held."""
    home = world.opened.home
    before = backup(world.opened, home.folder.parent / "whole").tables
    engine = open_writer(home.database)
    with engine.begin() as connection:
        wipe(connection, metadata, [ledger_schema.credit, ledger_schema.system_balance, link])
    engine.dispose()
    [named] = run(book[0], code=1)
    assert "the table credit is missing" in named["differences"]
    assert named["written"]
    again, proved = run(book[1])
    assert (again["differences"], proved["ok"]) == ([], True)
    assert backup(world.opened, home.folder.parent / "again").tables == before
