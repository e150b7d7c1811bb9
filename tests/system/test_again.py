"""Again from scratch: the same exact grams for every person, and no stumbling over what a former run left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from enterprise_node.reductions import MeasureSpec
from enterprise_node.workspace import Workspace, open_workspace
from examples.federation import identifiers
from examples.federation.layout import CUSTODIANS, ENTERPRISES, Layout, Party, open_fresh
from examples.federation.prepare import SMALL
from protos.epochs import Epoch
from tests.system.small_federation import SmallFederation

pytestmark = pytest.mark.system

EPOCHS = (Epoch(202012), Epoch(202101))
MEASURES = {
    "retailer": MeasureSpec("groceries", ("con.plant_protein",), 500),
    "bikeshare": MeasureSpec("rides", ("trv.shared_bike",), 500),
    "utility": MeasureSpec("electricity", ("life.electricity_saving",), 0),
}
START_SECONDS_MAX = 600
RUN_SECONDS_MAX = 1_800


def exact_grams(workspace: Workspace, party: Party) -> dict[tuple[int, bytes], int]:
    """Give each person's exact grams by epoch and identifier; person numbers may differ from run to run."""
    grams: dict[tuple[int, bytes], int] = {}
    for epoch in EPOCHS:
        vector = workspace.reductions.statement_vector(epoch, MEASURES[party.id])
        names = workspace.persons.identifiers([int(person) for person in vector.persons])
        values = (int(value) for value in vector.grams)
        grams |= {(epoch, name): value for name, value in zip(names, values, strict=True)}
    return grams


@pytest.mark.parametrize("party", ENTERPRISES, ids=lambda party: party.id)
def test_reading_the_same_files_again_gives_the_same_grams(
    federation: SmallFederation, tmp_path: Path, party: Party
) -> None:
    first = open_workspace(federation.layout.node(party))
    wanted = exact_grams(first, party)
    first.close()
    again = tmp_path / "node"
    again.mkdir(mode=0o700)
    (again / "node.toml").write_bytes((federation.layout.node(party) / "node.toml").read_bytes())
    second = open_workspace(again)
    register = second.register()
    assert register is not None
    assert list(register.run())
    assert list(second.ingest().run())
    found = exact_grams(second, party)
    second.close()
    assert found == wanted
    assert any(found.values())


def started(home: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "examples.federation", "--home", str(home), "--scale", "small"]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)


def pids(home: Path) -> list[int]:
    path = home / "pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_run_killed_outright_is_followed_by_one_that_passes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = started(home)
    until = time.monotonic() + START_SECONDS_MAX
    while len(pids(home)) < 1 + len(CUSTODIANS) and time.monotonic() < until:
        time.sleep(0.2)
    left = pids(home)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert any(map(is_running, left))
    second = started(home)
    output, _ = second.communicate(timeout=RUN_SECONDS_MAX)
    assert second.returncode == 0, output.decode()
    assert output.decode().rstrip().splitlines()[-3:][0].startswith("-")
    assert not any(map(is_running, left))
    assert not (home / "pids").exists()
    check_summary(json.loads((home / "summary.json").read_text()), Layout(home))


def check_summary(summary: dict[str, object], layout: Layout) -> None:
    wanted = {"enterprises", "accounts", "population", "log", "audit", "sample", "seconds"}
    wanted |= {"redemptions", "issuance", "documents", "ledgers"}
    assert set(summary) == wanted
    enterprises = summary["enterprises"]
    assert isinstance(enterprises, list)
    keys = {"id", "activities_read", "activities_quarantined", "reductions_mg", "enrolled", "statements"}
    keys |= {"epsilon", "egress_bytes", "data"}
    for one in enterprises:
        assert keys <= set(one)
        assert one["statements"] == one["enrolled"] * len(EPOCHS)
    assert summary["accounts"] == accounts_by_rule()
    audit, log = summary["audit"], summary["log"]
    assert isinstance(audit, dict)
    assert isinstance(log, dict)
    assert (audit["verdict"], audit["findings"]) == ("PASS", [])
    assert (layout.hub / "log.vkey").read_text().startswith(str(log["origin"]))
    assert (layout.hub / "checkpoint").read_text().splitlines()[1] == str(log["size"])
    assert (layout.hub / "tile").is_dir()


def accounts_by_rule() -> dict[str, int]:
    """Count the persons that the identifiers' rule makes, and those at two enterprises or more."""
    seen = Counter(map(identifiers.household_person, range(SMALL.households)))
    seen.update(map(identifiers.rider_person, range(SMALL.riders)))
    seen.update(map(identifiers.meter_person, range(SMALL.half_hourly_meters + SMALL.daily_meters)))
    return {"total": len(seen), "in_two_or_more": sum(count > 1 for count in seen.values())}


def test_released_statements_are_not_the_exact_figures(federation: SmallFederation) -> None:
    party = ENTERPRISES[1]
    workspace = open_workspace(federation.layout.node(party))
    exact = workspace.reductions.statement_vector(EPOCHS[0], MEASURES[party.id]).grams
    workspace.close()
    bodies = sorted((federation.layout.bundle / "bodies").glob("*/*"))
    sizes = {len(exact) * 8}
    statements = [path.read_bytes()[-8 * len(exact) :] for path in bodies if is_statement(path, sizes)]
    assert statements
    assert all(np.frombuffer(one, "<i8").tolist() != exact.tolist() for one in statements)


def is_statement(path: Path, sizes: set[int]) -> bool:
    """Tell a statement chunk by the measure's name at its beginning and its rows at its end."""
    content = path.read_bytes()
    return content[2:7] == b"rides" and any(len(content) > size for size in sizes)


def test_home_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        open_fresh(tmp_path)
    assert (tmp_path / "letters.txt").exists()
