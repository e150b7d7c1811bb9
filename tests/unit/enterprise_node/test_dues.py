"""A node says what it owes the log and until when, from what it last read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from enterprise_node.app import App
from enterprise_node.dues import NO_DUES, due_lines, read_dues
from enterprise_node.overview import overview
from enterprise_node.status import data_status, status_lines
from privacy.deadlines import DAY_SECONDS, ended_at, moment
from protos.epochs import Epoch
from runtime.pack_files import load_pack
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import Federation

DECEMBER = Epoch(202012)
DAYS = 20


@pytest.fixture
def app(tmp_path: Path, federation: Federation) -> Iterator[App]:
    hub = SimulatedHub(federation)
    hub.publish_policy(load_pack(PACKS / "trv.shared_bike" / "1"), deadline_days=DAYS)
    write_home(tmp_path / "node")
    opened = open_node(tmp_path / "node", federation, hub)
    yield opened
    opened.close()


def states(app: App, at: int) -> dict[str, str]:
    app.pipeline.following.refresh()
    object.__setattr__(app.pipeline.dues, "_clock", lambda: at)
    app.pipeline.dues.note()
    return {one["epoch"]: one["state"] for one in read_dues(app.workspace.home)["due"]}


def test_what_is_due_is_told_until_it_is_answered(app: App) -> None:
    due_at = ended_at(DECEMBER) + DAYS * DAY_SECONDS
    assert read_dues(app.workspace.home) == NO_DUES
    assert states(app, ended_at(DECEMBER)) == {"2020-12": "open"}
    assert states(app, due_at - DAY_SECONDS) == {"2020-12": "soon"}
    assert states(app, due_at) == {"2020-12": "late"}
    lines: list[str] = []
    app.course.tell = lines.append
    app.pipeline.run([DECEMBER])
    assert f"2020-12: an answer is LATE, was due by 已逾期 {moment(due_at)}" in lines
    assert states(app, due_at) == {}


def test_status_shows_it(app: App) -> None:
    states(app, ended_at(DECEMBER))
    figures = data_status(app.workspace) | {
        "dues": read_dues(app.workspace.home),
        "outward": overview(app.workspace.database).to_json(),
    }
    shown = list(status_lines(figures))
    [line] = due_lines(figures["dues"]["due"])
    assert f"  {line}" in shown
