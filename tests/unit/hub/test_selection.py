"""The hub logs the selection a reservation waits for and shows its slots to the enterprise it binds alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy import envelope
from privacy.envelope import Kind
from privacy.standing import Selection
from protos.v1 import hub_pb2, hub_pb2_grpc
from protos.v1 import problem_pb2 as reasons
from runtime.identity import Role
from tests.simulator import EPOCH, SimulatedEnterprise, SimulatedPack
from tests.unit.hub.world import World, begin, enrol, make_home, refused, running, traces

WALKING = "OC-WALK"
MAP, PHONE, BANK = "map-app", "phone-maker", "bank"
PACKS = (
    SimulatedPack("map-walk", overlap_class=WALKING),
    SimulatedPack("phone-walk", body=b"phone", overlap_class=WALKING),
    SimulatedPack("pay", body=b"pay", domain="life"),
)
ENTERPRISES = (
    SimulatedEnterprise(MAP, range(6), ("map-walk",)),
    SimulatedEnterprise(PHONE, range(3, 9), ("phone-walk",)),
    SimulatedEnterprise(BANK, range(9), ("pay",)),
)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[World]:
    opened = make_home(tmp_path / "hub")
    with running(opened) as hub:
        yield enrol(
            begin(
                World(
                    packs=PACKS,
                    enterprises=ENTERPRISES,
                    policy_changes={"default_recording": "first_enrolled"},
                    opened=opened,
                    hub=hub,
                )
            )
        )


def settle(city: World, enterprise_id: str) -> bytes:
    """Send a reservation as it would be sent by a node that knows nothing of others."""
    data = city.signed(Kind.RESERVATION, city.reservation(enterprise_id), enterprise_id)
    receipt = city.send(data)
    city.follow()
    assert city.entries[-1].data == data
    return receipt


def read(city: World, enterprise_id: str, role: Role = Role.NODE) -> dict[int, list[bytes]]:
    """Read all bodies a peer may read, by entry."""
    found: dict[int, list[bytes]] = {}
    with city.channel(city.identity(role, enterprise_id)) as channel:
        request = hub_pb2.ReadBodiesRequest(first_index=0, end_index=1000)
        for part in hub_pb2_grpc.BodyServiceStub(channel).ReadBodies(request):
            found.setdefault(part.index, []).append(part.body)
    return found


def test_the_selection_stands_before_the_reservation_that_waits_for_it(city: World) -> None:
    for name in (PHONE, MAP, BANK):
        settle(city, name)
    kinds = [envelope.open_envelope(one.data).kind for one in city.entries[-5:]]
    assert kinds.count(Kind.SELECTION) == 1
    held = city.state.participants.selection(PHONE, EPOCH)
    assert held is not None
    assert held.selection == Selection({WALKING: (0, 1, 2)})
    assert city.state.participants.selection(MAP, EPOCH) is None


def test_its_body_is_for_the_enterprise_it_binds_and_for_auditors(city: World) -> None:
    settle(city, PHONE)
    held = city.state.participants.selection(PHONE, EPOCH)
    assert held is not None
    assert read(city, PHONE)[held.index] == city.entries[held.index].bodies
    assert held.index not in read(city, MAP)
    assert read(city, "auditor", Role.AUDITOR)[held.index] == city.entries[held.index].bodies
    denied = refused(lambda: city.get(f"/v1/bodies/{held.index}/0"))
    assert denied.reason == reasons.REASON_ROLE_NOT_ALLOWED


def test_the_same_reservation_again_selects_nothing_more(city: World) -> None:
    data = city.signed(Kind.RESERVATION, city.reservation(PHONE), PHONE)
    first = city.send(data)
    before = traces(city.opened.home)
    assert city.send(data) == first
    assert traces(city.opened.home) == before


def test_anothers_reservation_selects_nothing(city: World) -> None:
    data = city.signed(Kind.RESERVATION, city.reservation(PHONE), PHONE)
    before = traces(city.opened.home)
    problem = refused(lambda: city.send(data, as_peer=(Role.NODE, MAP)))
    assert problem.reason in (reasons.REASON_ROLE_NOT_ALLOWED, reasons.REASON_SELECTION_WRONG)
    assert traces(city.opened.home) == before
    settle(city, PHONE)


def test_a_restarted_hub_knows_what_it_selected(city: World) -> None:
    settle(city, PHONE)
    city.hub.__exit__(None, None, None)
    with running(city.opened) as hub:
        city.hub = hub
        settle(city, MAP)
        assert city.state.participants.selection(MAP, EPOCH) is None
