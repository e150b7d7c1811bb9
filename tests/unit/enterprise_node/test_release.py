"""Killed at any moment and started again, a node releases once, charges once, and sends the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from enterprise_node.app import App
from enterprise_node.overview import overview
from enterprise_node.release import Step
from enterprise_node.store.releases import ReleaseState, ReleaseTable
from privacy import noise
from privacy.envelope import Kind, envelope_hash, open_envelope
from privacy.releases import parse_statement_chunk
from protos.epochs import Epoch
from protos.problems import Refused, Unavailable
from protos.v1.problem_pb2 import REASON_RESERVATION_UNKNOWN
from protos.v1.release_pb2 import Release, Reservation
from runtime.pack_files import load_pack
from tests.unit.enterprise_node.simulated_hub import PACKS, SimulatedHub, open_node
from tests.unit.enterprise_node.simulators import ENTERPRISE, Federation

DECEMBER = Epoch(202012)
PACK = load_pack(PACKS / "trv.shared_bike" / "1")


class Killed(BaseException):
    """The process ends here, whatever stands around."""


class Draws:
    """Counts what was drawn, with real noise."""

    def __init__(self) -> None:
        self.vectors: list[list[int]] = []

    def __call__(self, values: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
        noised = noise.discrete_laplace(values, scale)
        self.vectors.append(noised.tolist())
        return noised


def killer(at: Step) -> Callable[[Step, Epoch], None]:
    def on_step(step: Step, epoch: Epoch) -> None:
        if step is at:
            raise Killed

    return on_step


def logged(hub: SimulatedHub, kind: Kind) -> list[bytes]:
    return [data for data in hub.log.list if open_envelope(data).kind is kind]


def check_one_release(hub: SimulatedHub, app: App, draws: Draws) -> None:
    """Whatever happened: one reservation, one release, one charge, and equal bytes in every sending."""
    [reservation], [release] = logged(hub, Kind.RESERVATION), logged(hub, Kind.RELEASE)
    message = open_envelope(release).parse(Release)
    assert message.reservation_hash == envelope_hash(reservation)
    index = hub.log.list.index(release)
    sent = [gram for body in hub.log.bodies_by_index[index] for gram in parse_statement_chunk(body).grams()]
    # What was kept is the last draw: nothing was drawn after it.
    assert sent == draws.vectors[-5]
    assert [list(table.values) for table in message.tables] == draws.vectors[-4:]
    sendings: dict[bytes, set[tuple[bytes, ...]]] = {}
    for data, bodies in hub.received:
        opened = open_envelope(data)
        if opened.kind in (Kind.RESERVATION, Kind.RELEASE, Kind.ROSTER_BATCH):
            sendings.setdefault(opened.kind.value.encode(), set()).add((data, *bodies))
    assert all(len(forms) == 1 for forms in sendings.values())
    figures = overview(app.workspace.database).epochs[0]
    assert figures.state is ReleaseState.COMMITTED
    assert (figures.person_day_epsilon, figures.person_month_epsilon) == (Fraction(1, 2), Fraction(1))
    assert {charge.state for charge in app.pipeline.ledger.charges(DECEMBER)} == {"committed"}


@pytest.mark.parametrize("at", list(Step))
def test_killed_at_a_step_and_started_again_it_releases_once(
    home: Path, federation: Federation, hub: SimulatedHub, at: Step
) -> None:
    draws = Draws()
    app = open_node(home, federation, hub, draw=draws, on_step=killer(at))
    with pytest.raises(Killed):
        app.pipeline.run([DECEMBER])
    app.close()
    drawn_before = len(draws.vectors)
    app = open_node(home, federation, hub, draw=draws)
    app.pipeline.run([DECEMBER])
    check_one_release(hub, app, draws)
    if at in (Step.DRAWN, Step.SUBMITTED, Step.COMMITTED):
        assert len(draws.vectors) == drawn_before == 5
    app.close()


@pytest.mark.parametrize("answers_lost", [1, 2, 3, 4, 7])
def test_a_lost_answer_leads_to_the_same_bytes_again(
    home: Path, federation: Federation, hub: SimulatedHub, answers_lost: int
) -> None:
    draws = Draws()
    hub.losing = answers_lost
    while True:
        app = open_node(home, federation, hub, draw=draws)
        try:
            app.pipeline.run([DECEMBER])
            break
        except Unavailable:
            app.close()
    check_one_release(hub, app, draws)
    assert len(draws.vectors) == 5
    app.close()


def test_killed_before_the_answer_of_every_sending_it_goes_on(
    home: Path, federation: Federation, hub: SimulatedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = Draws()
    send = hub.submit

    def die_after_sending(data: bytes, bodies: Sequence[bytes]) -> bytes:
        send(data, bodies)
        raise Killed

    for _ in range(3):
        monkeypatch.setattr(hub, "submit", die_after_sending)
        app = open_node(home, federation, hub, draw=draws)
        with pytest.raises(Killed):
            app.pipeline.run([DECEMBER])
        app.close()
        monkeypatch.setattr(hub, "submit", send)
        app = open_node(home, federation, hub, draw=draws)
        app.pipeline.settle()
        app.close()
    app = open_node(home, federation, hub, draw=draws)
    app.pipeline.run([DECEMBER])
    check_one_release(hub, app, draws)
    assert len(draws.vectors) == 5
    app.close()


def test_nothing_is_drawn_before_the_log_shows_the_reservation(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    draws = Draws()
    app = open_node(home, federation, hub, draw=draws)
    app.pipeline.ingest()
    app.pipeline.enrol(DECEMBER)
    policy = app.pipeline.following.policy_for(DECEMBER)
    app.pipeline.releaser.reserve(DECEMBER, policy)
    with pytest.raises(Refused) as caught:
        app.pipeline.releaser.draw(DECEMBER, policy)
    assert caught.value.reason == REASON_RESERVATION_UNKNOWN
    hub.is_merging = False
    with pytest.raises(Unavailable):
        app.pipeline.release(DECEMBER)
    assert draws.vectors == []
    hub.is_merging = True
    hub.merge()
    app.pipeline.release(DECEMBER)
    assert len(draws.vectors) == 5
    app.close()


def test_a_hub_that_is_down_stops_nothing_but_sending(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    draws = Draws()
    app = open_node(home, federation, hub, draw=draws)
    app.pipeline.ingest()
    app.pipeline.enrol(DECEMBER)
    hub.is_down = True
    with pytest.raises(Unavailable):
        app.pipeline.release(DECEMBER)
    assert app.pipeline.releaser.state(DECEMBER) is ReleaseState.RESERVED
    hub.is_down = False
    app.pipeline.release(DECEMBER)
    hub.is_down = True
    with pytest.raises(Unavailable):
        app.pipeline.submit(DECEMBER)
    assert app.pipeline.releaser.state(DECEMBER) is ReleaseState.DRAWN
    hub.is_down = False
    app.pipeline.run([DECEMBER])
    check_one_release(hub, app, draws)
    app.close()


def test_a_changed_policy_does_not_change_what_was_reserved(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    draws = Draws()
    app = open_node(home, federation, hub, draw=draws, on_step=killer(Step.RESERVED))
    with pytest.raises(Killed):
        app.pipeline.run([DECEMBER])
    app.close()
    app = open_node(home, federation, hub, draw=draws)
    app.pipeline.settle()
    hub.publish_policy(PACK, day_clamp_grams=400, reach_grams=400)
    app.pipeline.run([DECEMBER])
    check_one_release(hub, app, draws)
    assert open_envelope(logged(hub, Kind.RELEASE)[0]).parse(Release).statements[0].claim.scale == 1000
    app.close()


def test_a_reservation_names_every_series_with_a_fresh_nonce(
    home: Path, federation: Federation, hub: SimulatedHub
) -> None:
    app = open_node(home, federation, hub)
    app.pipeline.run([DECEMBER, Epoch(202101)])
    messages = [open_envelope(data).parse(Reservation) for data in logged(hub, Kind.RESERVATION)]
    assert len({message.nonce for message in messages}) == 2
    assert [charge.series for charge in messages[0].charges] == [
        item.name for item in app.pipeline.following.policy_for(DECEMBER).series(ENTERPRISE)
    ]
    app.close()


def test_states_only_go_forward(home: Path, federation: Federation, hub: SimulatedHub) -> None:
    app = open_node(home, federation, hub)
    app.pipeline.run([DECEMBER])
    stored = ReleaseTable(app.workspace.database).get(DECEMBER)
    policy = app.pipeline.following.policy_for(DECEMBER)
    app.pipeline.releaser.reserve(DECEMBER, policy)
    app.pipeline.releaser.draw(DECEMBER, policy)
    app.pipeline.releaser.settle(DECEMBER)
    assert ReleaseTable(app.workspace.database).get(DECEMBER) == stored
    app.close()
