"""Rotation at the node: everybody gets a pseudonym and a slot under the new key, and the log pairs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from enterprise_node import roster as rosters_of_node
from enterprise_node.app import App
from enterprise_node.pipeline import Rotated
from enterprise_node.store.enrolment import EnrolmentTable
from privacy.envelope import Kind, open_envelope
from protos.epochs import Epoch
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_ROSTER_WRONG
from protos.v1.roster_pb2 import RosterBatch
from tests.unit.enterprise_node.simulated_hub import RIDERS, SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import ENTERPRISE, Federation

DECEMBER, JANUARY, FEBRUARY = Epoch(202012), Epoch(202101), Epoch(202102)


@pytest.fixture
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


@pytest.fixture
def app(tmp_path: Path, federation: Federation, hub: SimulatedHub) -> Iterator[App]:
    write_home(tmp_path / "node")
    opened = open_node(tmp_path / "node", federation, hub)
    opened.pipeline.ingest()
    opened.pipeline.enrol(DECEMBER)
    yield opened
    opened.close()


def pseudonyms(app: App, epoch: Epoch) -> dict[int, bytes]:
    """Open the pseudonym of every person's slot active in an epoch."""
    table = EnrolmentTable(app.workspace.database)
    active = {item.slot for item in app.pipeline.roster.active(epoch)}
    return {
        slot.person: app.pipeline.roster.open_slot(slot)[1]
        for person in range(1, RIDERS + 1)
        for slot in table.of_person(person)
        if slot.slot in active
    }


def batches(hub: SimulatedHub) -> list[RosterBatch]:
    opened = [open_envelope(data) for data in hub.log.list]
    return [one.parse(RosterBatch) for one in opened if one.kind is Kind.ROSTER_BATCH]


def test_everybody_moves_in_one_epoch_and_the_log_pairs_old_and_new(
    app: App, federation: Federation, hub: SimulatedHub
) -> None:
    before = pseudonyms(app, DECEMBER)
    hub.submit(federation.rotate(), ())
    assert app.pipeline.rotate(JANUARY) == Rotated(rotated=RIDERS, enrolled=0, withdrawn=0)
    after = pseudonyms(app, JANUARY)
    assert pseudonyms(app, DECEMBER) == before
    assert after.keys() == before.keys()
    assert set(after.values()).isdisjoint(before.values())
    for person, pseudonym in after.items():
        assert hub.state.successions.predecessor(pseudonym) == before[person]
    assert [item.slot for item in app.pipeline.roster.active(JANUARY)] == list(
        hub.state.roster(ENTERPRISE).active_slots(JANUARY)
    )
    assert app.pipeline.roster.root(JANUARY) == hub.state.roster(ENTERPRISE).root_at(JANUARY)


def test_a_second_pass_has_nothing_to_do(app: App, federation: Federation, hub: SimulatedHub) -> None:
    with pytest.raises(Refused) as caught:
        app.pipeline.rotate(JANUARY)
    assert caught.value.reason == REASON_ROSTER_WRONG
    hub.submit(federation.rotate(), ())
    app.pipeline.rotate(JANUARY)
    logged = len(hub.log.list)
    with pytest.raises(Refused, match="key in force"):
        app.pipeline.rotate(FEBRUARY)
    assert len(hub.log.list) == logged


def test_large_rosters_move_in_even_batches(
    app: App, federation: Federation, hub: SimulatedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rosters_of_node, "WITHDRAWN_MAX", 8)
    before = pseudonyms(app, DECEMBER)
    hub.submit(federation.rotate(), ())
    app.pipeline.rotate(JANUARY)
    moved = batches(hub)[1:]
    assert [batch.count for batch in moved] == [7, 8, 7, 8]
    assert {batch.effective_epoch for batch in moved} == {JANUARY}
    after = pseudonyms(app, JANUARY)
    assert all(hub.state.successions.predecessor(after[person]) == before[person] for person in before)


def test_newcomers_join_in_the_same_batch(app: App, federation: Federation, hub: SimulatedHub) -> None:
    home = app.workspace.home
    riders = (home / "riders.csv").read_text() + "30,13900000030\n"
    (home / "riders.csv").write_text(riders)
    hub.submit(federation.rotate(), ())
    app.pipeline.ingest()
    assert app.pipeline.rotate(JANUARY) == Rotated(rotated=RIDERS, enrolled=1, withdrawn=0)
    assert len(app.pipeline.roster.active(JANUARY)) == RIDERS + 1
    [batch] = batches(hub)[1:]
    assert (batch.count, len(batch.withdrawn_slots)) == (RIDERS + 1, RIDERS)


def test_a_crash_before_the_batch_costs_no_second_evaluation(
    app: App, federation: Federation, hub: SimulatedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.submit(federation.rotate(), ())

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rosters_of_node.Roster, "rotate", crash)
        with pytest.raises(KeyboardInterrupt):
            app.pipeline.rotate(JANUARY)
    asked = sum(len(one.orders) for one in federation.custodians)
    assert app.pipeline.rotate(JANUARY).rotated == RIDERS
    assert sum(len(one.orders) for one in federation.custodians) == asked


def test_releases_go_on_across_the_rotation(app: App, federation: Federation, hub: SimulatedHub) -> None:
    app.pipeline.run([DECEMBER])
    hub.submit(federation.rotate(), ())
    app.pipeline.rotate(JANUARY)
    app.pipeline.run([JANUARY])
    assert set(hub.state.answers(ENTERPRISE)) == {DECEMBER, JANUARY}


def test_no_pair_of_old_and_new_lies_open_in_what_is_public(
    app: App, federation: Federation, hub: SimulatedHub
) -> None:
    hub.submit(federation.rotate(), ())
    app.pipeline.rotate(JANUARY)
    index = max(i for i, data in enumerate(hub.log.list) if open_envelope(data).kind is Kind.ROSTER_BATCH)
    public = hub.log.bodies_by_index[index][0]
    for name in [*pseudonyms(app, DECEMBER).values(), *pseudonyms(app, JANUARY).values()]:
        assert name not in public
        assert name.hex() not in json.dumps(public.hex())
