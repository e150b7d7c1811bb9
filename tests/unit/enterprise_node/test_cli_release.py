"""Commands towards the outside tell what is wrong and how to go on, in text and in JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from enterprise_node.app import open_state
from enterprise_node.assembly import open_journal
from enterprise_node.cli import node
from enterprise_node.exclusive import exclusive
from privacy.egress import EgressKind
from protos.problems import Malformed, Refused, Unavailable

PROGRAM = (sys.executable, "-c", "from enterprise_node.cli import main; main()")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=300, check=False)


def test_egress_shows_every_row_and_the_chain(home: Path) -> None:
    database = open_state(home)
    journal = open_journal(database)
    journal.record(EgressKind.RELEASE, "hub.test:1", (b"abc",), envelope_hash=b"e" * 32)
    journal.record(EgressKind.READ, "hub.test:2", (b"checkpoint",))
    database.close()
    shown = json.loads(run("egress", "--home", str(home), "--json").stdout)
    assert [row["kind"] for row in shown["entries"]] == ["release", "read"]
    assert shown["by_kind"]["release"] == {"count": 1, "bytes": 3}
    assert (shown["bytes_total"], shown["chain"]) == (13, "holds")
    assert "13 bytes" in run("egress", "--home", str(home)).stdout


def test_a_changed_journal_is_an_error(home: Path) -> None:
    database = open_state(home)
    open_journal(database).record(EgressKind.RELEASE, "hub.test:1", (b"abc",))
    database.execute("UPDATE egress_entry SET size = 1")
    database.close()
    done = run("egress", "--home", str(home))
    assert done.returncode != 0
    assert "row 1" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("enrol", "--effective", "2020-12"),
        ("preview", "2020-12"),
        ("release", "2020-12"),
        ("submit",),
        ("run", "--epochs", "2020-12", "--once"),
    ],
)
def test_before_joining_every_command_says_so(home: Path, arguments: tuple[str, ...]) -> None:
    problem = CliRunner().invoke(node, [*arguments, "--home", str(home)]).exception
    assert isinstance(problem, Refused)
    assert "cgsp-node join" in problem.remedy


@pytest.mark.parametrize("epoch", ["2020-13", "202012", "december"])
def test_an_epoch_that_is_none_is_refused(home: Path, epoch: str) -> None:
    problem = CliRunner().invoke(node, ["preview", epoch, "--home", str(home)]).exception
    assert isinstance(problem, Malformed)
    assert "epoch" in problem.message


def test_a_token_that_is_none_is_refused_before_anything_leaves(home: Path) -> None:
    done = run("join", "cgsp1.nonsense", "--home", str(home), "--json")
    assert done.returncode not in (0, 90)
    assert "TOKEN_INVALID" in done.stderr
    assert json.loads(run("egress", "--home", str(home), "--json").stdout)["entries"] == []


def test_two_processes_do_not_release_from_one_home(tmp_path: Path) -> None:
    def take_it_again() -> None:
        with exclusive(tmp_path / "lock", "releasing"):
            pass

    with exclusive(tmp_path / "lock", "releasing"), pytest.raises(Unavailable):
        take_it_again()
    take_it_again()
