"""A node whose log is ahead draws nothing; recovered, it has its messages, charges and roster back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from enterprise_node.app import App
from enterprise_node.release import Step
from enterprise_node.store.outbox import OutboxTable
from enterprise_node.store.releases import ReleaseState
from enterprise_node.workspace import STATE_FILE
from privacy.envelope import Kind, open_envelope
from protos.epochs import Epoch, shift_epoch
from protos.problems import Conflict, Refused
from protos.v1.problem_pb2 import REASON_BUDGET_EXCEEDED, REASON_LOG_AHEAD
from protos.v1.release_pb2 import PRIVACY_UNIT_PERSON_DAY, PRIVACY_UNIT_PERSON_MONTH
from tests.unit.enterprise_node.simulated_hub import SimulatedHub, open_node
from tests.unit.enterprise_node.simulators import Federation
from tests.unit.enterprise_node.test_release import Killed, killer

DECEMBER = Epoch(202012)
MONTHS = tuple(shift_epoch(DECEMBER, place) for place in range(4))


@pytest.fixture
def federation() -> Iterator[Federation]:
    with Federation.build() as built:
        yield built


def run(home: Path, federation: Federation, hub: SimulatedHub, *epochs: Epoch) -> None:
    app = open_node(home, federation, hub)
    try:
        app.pipeline.run(epochs)
    finally:
        app.close()


def recover(home: Path, federation: Federation, hub: SimulatedHub) -> App:
    app = open_node(home, federation, hub)
    app.pipeline.ingest()
    app.recovery.recover()
    app.close()
    app = open_node(home, federation, hub)
    app.pipeline.settle()
    return app


def no_draw(values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
    raise AssertionError("nothing may be drawn")


def refuses_to_draw(home: Path, federation: Federation, hub: SimulatedHub, epoch: Epoch) -> None:
    before = len(hub.log.list)
    app = open_node(home, federation, hub, draw=no_draw)
    with pytest.raises(Conflict) as caught:
        app.pipeline.run([epoch])
    assert caught.value.reason == REASON_LOG_AHEAD
    assert "cgsp-node recover" in caught.value.remedy
    app.close()
    assert len(hub.log.list) == before


def check_books(app: App, hub: SimulatedHub, *epochs: Epoch) -> None:
    """The node's chain, releases and charges are those of the log."""
    chain_kinds = (Kind.ROSTER_BATCH, Kind.RESERVATION, Kind.RELEASE, Kind.NOTHING_TO_REPORT)
    logged = [data for data in hub.log.list if open_envelope(data).kind in chain_kinds]
    assert [one.envelope for one in OutboxTable(app.workspace.database).since(1)] == logged
    for epoch in epochs:
        assert app.pipeline.submit(epoch) is ReleaseState.COMMITTED
        assert app.pipeline.ledger.spent(epoch, PRIVACY_UNIT_PERSON_DAY) == Fraction(1, 2)
        assert app.pipeline.ledger.spent(epoch, PRIVACY_UNIT_PERSON_MONTH) == 1
        active = app.pipeline.roster.active(epoch)
        assert len(active) == app.pipeline.following.state.roster("bikeshare").active_count(epoch)
        assert app.pipeline.roster.root(epoch) == app.pipeline.following.state.roster("bikeshare").root_at(
            epoch
        )


def test_yesterdays_copy_refuses_recovers_and_goes_on(
    home: Path, federation: Federation, hub: SimulatedHub, tmp_path: Path
) -> None:
    run(home, federation, hub, MONTHS[0])
    shutil.copytree(home, tmp_path / "copy")
    persons = open_node(home, federation, hub)
    before = persons.pipeline.roster.active(MONTHS[1])
    persons.close()
    run(home, federation, hub, MONTHS[1])
    shutil.rmtree(home)
    shutil.move(tmp_path / "copy", home)
    refuses_to_draw(home, federation, hub, MONTHS[2])
    app = recover(home, federation, hub)
    check_books(app, hub, *MONTHS[:2])
    assert app.pipeline.roster.active(MONTHS[1]) == before
    app.pipeline.run([MONTHS[2]])
    check_books(app, hub, *MONTHS[:3])
    app.close()


def test_a_lost_database_comes_back_from_log_and_keys(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    run(home, federation, hub, *MONTHS[:2])
    app = open_node(home, federation, hub)
    before = app.pipeline.roster.active(DECEMBER)
    app.close()
    for path in home.glob(f"{STATE_FILE}*"):
        path.unlink()
    shutil.rmtree(home / "activities")
    refuses_to_draw(home, federation, hub, MONTHS[2])
    app = recover(home, federation, hub)
    check_books(app, hub, *MONTHS[:2])
    assert app.pipeline.roster.active(DECEMBER) == before
    app.pipeline.run([MONTHS[2]])
    check_books(app, hub, *MONTHS[:3])
    app.close()


def test_of_twins_the_later_one_stops_until_it_has_recovered(
    home: Path, federation: Federation, hub: SimulatedHub, tmp_path: Path
) -> None:
    run(home, federation, hub, MONTHS[0])
    twin = tmp_path / "twin"
    shutil.copytree(home, twin)
    run(home, federation, hub, MONTHS[1])
    refuses_to_draw(twin, federation, hub, MONTHS[1])
    app = recover(twin, federation, hub)
    app.pipeline.run([MONTHS[2]])
    check_books(app, hub, *MONTHS[:3])
    app.close()
    refuses_to_draw(home, federation, hub, MONTHS[3])


def test_a_twins_unlogged_draw_is_dropped_and_stays_charged(
    home: Path, federation: Federation, hub: SimulatedHub, tmp_path: Path
) -> None:
    """Both draw the same month; the log takes one. The other's bytes never count, what they cost does."""
    run(home, federation, hub, MONTHS[0])
    twin = tmp_path / "twin"
    app = open_node(home, federation, hub, on_step=killer(Step.DRAWN))
    with pytest.raises(Killed):
        app.pipeline.run([MONTHS[1]])
    app.close()
    shutil.copytree(home, twin)
    # Both hold the same draw: the same bytes; whoever sends first, it is one release.
    run(home, federation, hub, MONTHS[1])
    app = open_node(twin, federation, hub)
    app.pipeline.run([MONTHS[1]])
    check_books(app, hub, *MONTHS[:2])
    app.close()


def test_a_logged_reservation_without_its_release_is_spent(
    home: Path, federation: Federation, hub: SimulatedHub, tmp_path: Path
) -> None:
    run(home, federation, hub, MONTHS[0])
    shutil.copytree(home, tmp_path / "copy")
    app = open_node(home, federation, hub, on_step=killer(Step.KEEPING))
    with pytest.raises(Killed):
        app.pipeline.run([MONTHS[1]])
    app.close()
    shutil.rmtree(home)
    shutil.move(tmp_path / "copy", home)
    app = recover(home, federation, hub)
    assert app.pipeline.ledger.spent(MONTHS[1], PRIVACY_UNIT_PERSON_DAY) == Fraction(1, 2)
    assert app.pipeline.releaser.state(MONTHS[1]) is ReleaseState.OPEN
    with pytest.raises(Refused) as caught:
        app.pipeline.release(MONTHS[1])
    assert caught.value.reason == REASON_BUDGET_EXCEEDED
    app.close()


def test_a_node_that_knows_its_log_recovers_nothing(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    run(home, federation, hub, DECEMBER)
    app = open_node(home, federation, hub)
    assert app.recovery.recover().messages == 0
    app.close()
