"""Late records and corrections through a whole node: carried within a day's room, by the same slot, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from enterprise_node.app import App
from enterprise_node.erase import erase
from enterprise_node.explain import explain
from enterprise_node.kept import DAYS_SUFFIX, Kept
from enterprise_node.late import released_parts
from enterprise_node.release import OnStep, Step, no_step
from protos.epochs import Epoch
from protos.v1.policy_pb2 import Ratio
from runtime.pack_files import load_pack
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import Federation
from tests.unit.enterprise_node.test_anchors import ANCHORED, quiet, released
from tests.unit.enterprise_node.test_release import Killed

DECEMBER, JANUARY, FEBRUARY, MARCH = Epoch(202012), Epoch(202101), Epoch(202102), Epoch(202103)
PACK = load_pack(PACKS / "trv.shared_bike" / "1")
DAY_CLAMP = 500
# Days since 1970: the third and the ninth of December 2020.
THIRD, NINTH = 18_599, 18_605
CORRECTED, NEWCOMER = "13800000002", "13800000020"


@pytest.fixture
def hub(federation: Federation) -> SimulatedHub:
    started = SimulatedHub(federation)
    started.publish_policy(PACK, **ANCHORED)
    return started


@pytest.fixture
def node(tmp_path: Path, federation: Federation, hub: SimulatedHub) -> Iterator[Callable[..., App]]:
    """Give what opens the node anew, with its sources read; all that was opened is closed."""
    write_home(tmp_path / "node")
    opened: list[App] = []

    def open_anew(on_step: OnStep = no_step) -> App:
        while opened:
            opened.pop().close()
        opened.append(open_node(tmp_path / "node", federation, hub, draw=quiet, on_step=on_step))
        opened[-1].pipeline.ingest()
        return opened[-1]

    yield open_anew
    while opened:
        opened.pop().close()


def arrive(app: App, *rows: str) -> None:
    """Put rows into the enterprise's file, each in the place of one with its record id."""
    path = app.workspace.home / "trips.csv"
    lines = {line.split(",", 1)[0]: line for line in [*path.read_text().splitlines(), *rows]}
    path.write_text("\n".join(lines.values()) + "\n")


def statements(app: App, hub: SimulatedHub, epoch: Epoch) -> list[Counter[int]]:
    """Give each statement's grams by person, the anchor last."""
    persons = [one.person for one in app.pipeline.roster.active(epoch)]
    rows = released(hub, epoch)[1]
    return [Counter(dict(zip(persons, row, strict=True))) for row in rows]


def parts(app: App, identifier: str, day: int) -> list[tuple[Epoch, int]]:
    workspace = app.workspace
    person = workspace.persons.find(identifier)
    assert person is not None
    drawn = workspace.released().drawn
    found = released_parts(workspace.engine, Kept(workspace.home), drawn, person, day)
    return [(epoch, mg) for epoch, _, mg in found]


def test_late_records_and_corrections_are_carried_by_the_next_release(
    node: Callable[[], App], hub: SimulatedHub
) -> None:
    app = node()
    app.pipeline.run([DECEMBER])
    [december] = statements(app, hub, DECEMBER)
    arrive(
        app,
        f"late,{NEWCOMER},2020-12-09 08:00:00,2000",
        f"d2-3,{CORRECTED},2020-12-03 08:00:00,1000",
    )
    app = node()
    late, fixed = (app.workspace.persons.find(one) for one in (NEWCOMER, CORRECTED))
    assert late is not None and fixed is not None
    shown = app.pipeline.preview(JANUARY)
    found = shown.to_json()["late_local_only"]["rides"]
    assert (found["persons"], found["days"], found["left_mg"]) == (2, 2, 0)
    assert any("are carried" in line for line in shown.lines())
    app.pipeline.run([JANUARY])
    january, anchor = statements(app, hub, JANUARY)
    [(_, first), (_, taken_back)] = parts(app, CORRECTED, THIRD)
    [(carried_in, carried)] = parts(app, NEWCOMER, NINTH)
    assert carried_in == JANUARY and carried > 0 > taken_back
    assert january[late] == carried // 1000
    assert first + taken_back == first // 3
    assert anchor == {person: december[person] + january[person] for person in december}
    app.pipeline.run([FEBRUARY])
    [february] = statements(app, hub, FEBRUARY)
    assert february[late] == february[fixed] == 0
    lines = [line for one in explain(app.workspace, "d2-3") for line in one.lines()]
    assert sum("before noise" in line for line in lines) == 2


@pytest.mark.parametrize("metres", [(0, 90_000, 0, 90_000), (90_000, 0, 90_000, 0)])
def test_a_day_corrected_back_and_forth_moves_all_releases_by_its_clamp(
    node: Callable[[], App], hub: SimulatedHub, metres: Sequence[int]
) -> None:
    app = node()
    moved: list[int] = []
    for epoch, distance in zip((DECEMBER, JANUARY, FEBRUARY, MARCH), metres, strict=True):
        arrive(app, f"attack,{NEWCOMER},2020-12-09 08:00:00,{distance}")
        app = node()
        app.pipeline.run([epoch])
        person = app.workspace.persons.find(NEWCOMER)
        assert person is not None
        moved.append(statements(app, hub, epoch)[0][person])
        if epoch == JANUARY:
            assert abs(statements(app, hub, epoch)[1][person]) <= DAY_CLAMP
    assert sum(map(abs, moved)) == DAY_CLAMP
    assert sum(map(abs, moved)) == sum(abs(mg) for _, mg in parts(app, NEWCOMER, NINTH)) // 1000


def test_who_comes_back_brings_no_day_along(node: Callable[[], App], hub: SimulatedHub) -> None:
    app = node()
    app.pipeline.run([DECEMBER])
    arrive(app, f"late,{NEWCOMER},2020-12-09 08:00:00,90000")
    app = node()
    pipeline = app.pipeline
    pipeline.settle()
    key, check = pipeline.following.trust.pseudonym_key, pipeline.following.check
    persons = [app.workspace.persons.find(f"138000000{place}") for place in range(20, 25)]
    leaving = [person for person in persons if person is not None]
    assert key is not None and len(leaving) == 5
    pseudonyms = pipeline.pseudonymiser.known(leaving, key.key_id)
    pipeline.roster.withdraw(leaving, JANUARY, key.key_id, check=check)
    pipeline.settle()
    pipeline.run([JANUARY])
    pipeline.roster.enrol(pseudonyms, FEBRUARY, key.key_id, check=check)
    pipeline.settle()
    pipeline.run([FEBRUARY])
    assert not set(leaving) & set(statements(app, hub, JANUARY)[0])
    [february] = statements(app, hub, FEBRUARY)
    assert [february[person] for person in leaving] == [0] * 5
    assert parts(app, NEWCOMER, NINTH) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"day_clamp_grams": 400, "reach_grams": 400},
        {"anchor_epsilon": Ratio(numerator=1, denominator=4)},
    ],
)
def test_a_series_on_other_terms_carries_nothing(
    node: Callable[[], App], hub: SimulatedHub, changes: dict[str, Any]
) -> None:
    app = node()
    app.pipeline.run([DECEMBER])
    hub.publish_policy(PACK, first_epoch=JANUARY, **ANCHORED | changes)
    arrive(app, f"late,{NEWCOMER},2020-12-09 08:00:00,90000")
    app = node()
    app.pipeline.run([JANUARY])
    assert parts(app, NEWCOMER, NINTH) == []
    assert app.pipeline.preview(FEBRUARY).late["rides"]["days"] == 0


def test_a_month_is_closed_when_a_release_since_was_not_drawn_here(node: Callable[[], App]) -> None:
    app = node()
    app.pipeline.run([DECEMBER, JANUARY])
    Kept(app.workspace.home).forget(JANUARY)
    arrive(app, f"late,{NEWCOMER},2020-12-09 08:00:00,90000")
    app = node()
    app.pipeline.run([FEBRUARY])
    assert parts(app, NEWCOMER, NINTH) == []


def test_what_is_committed_to_and_not_drawn_yet_uses_room_too(
    node: Callable[..., App], hub: SimulatedHub
) -> None:
    """January is committed to and February drawn before it: the late day is in one of them, not in both."""
    committed = {"commitment_required": True, "commitment_deadline_days": 9_999}
    hub.publish_policy(PACK, **ANCHORED | committed)
    app = node()
    app.pipeline.run([DECEMBER])
    arrive(app, f"late,{NEWCOMER},2020-12-09 08:00:00,90000")

    def killed(step: Step, epoch: Epoch) -> None:
        if step is Step.DRAWING:
            raise Killed

    app = node(on_step=killed)
    with pytest.raises(Killed):
        app.pipeline.run([JANUARY])
    app = node()
    app.pipeline.run([FEBRUARY])
    app.pipeline.run([JANUARY])
    person = app.workspace.persons.find(NEWCOMER)
    assert person is not None
    moved = [statements(app, hub, epoch)[0][person] for epoch in (DECEMBER, JANUARY, FEBRUARY)]
    assert moved == [0, DAY_CLAMP, 0]


def test_parts_are_private_and_leave_with_their_person_or_their_month(node: Callable[[], App]) -> None:
    app = node()
    app.pipeline.run([DECEMBER])
    kept = Kept(app.workspace.home)
    [path] = kept.days_paths(DECEMBER).values()
    assert path.name.endswith(DAYS_SUFFIX) and not path.stat().st_mode & 0o077
    person = app.workspace.persons.find(CORRECTED)
    assert person is not None and parts(app, CORRECTED, THIRD)
    erase(app.workspace, person)
    assert released_parts(app.workspace.engine, kept, [DECEMBER], person, THIRD) == []
    assert not path.stat().st_mode & 0o077
    kept.forget_days_before(THIRD - 2)
    assert path.exists()
    kept.forget_days_before(THIRD + 30)
    assert not path.exists()
