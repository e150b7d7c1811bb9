"""People collect what waits for them and give points away, each by a ticket that names just that."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from privacy import codec
from privacy.tickets import subject_of
from protos.epochs import next_epoch
from protos.v1 import ledger_pb2, reward_pb2
from protos.v1 import problem_pb2 as reasons
from runtime.identity import Role
from tests.simulator import EPOCH
from tests.unit.accounting.programmes.programmes import NAMES, programme
from tests.unit.hub.redeeming import RewardWorld, call, reward_world
from tests.unit.hub.test_redemption import post
from tests.unit.hub.world import refused

BIKES, NEXT = "bike-share", next_epoch(EPOCH)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RewardWorld]:
    with reward_world(tmp_path_factory.mktemp("moves") / "hub") as found:
        earn = {"all": {"names": NAMES, "ratio": [1, 10]}}
        window = {"claim_window_epochs": 2, "gifts": {"epoch_points_max": 150}}
        found.publish_programme(programme(first_epoch=EPOCH, earn=earn, **window).canonical_bytes())
        found.figures[BIKES, EPOCH] = [10_000] * 12
        found.close_epoch()
        for person in range(6):
            found.prove(person, BIKES, NEXT)
        yield found


def ticket(
    world: RewardWorld, person: int, key: bytes, *, to: bytes = b"", points: int = 0, **changes: Any
) -> bytes:
    """Sign that a person agreed to an operation: a gift if it is to somebody, else to collect."""
    operation, account = ledger_pb2.Operation(key=key), world.account_of(person)
    if to:
        gift = operation.gift
        gift.programme, gift.from_account, gift.to_account, gift.points = "city", account, to, points
    else:
        operation.collect.programme, operation.collect.account = "city", account
    named = {"subject": subject_of(codec.encode(operation)), **changes}
    return world.ticket(BIKES, person, named.pop("purpose", "redeem"), **named)


def collect(world: RewardWorld, person: int, **changes: Any) -> Any:
    key = world.fresh_key()
    request = reward_pb2.CollectRequest(
        key=key, programme="city", ticket=ticket(world, person, key, **changes)
    )
    with world.rewards(Role.NODE, BIKES) as stub:
        return call(stub.Collect, request), request


def give(world: RewardWorld, request: reward_pb2.GiveRequest, party: str = BIKES) -> int:
    with world.rewards(Role.NODE, party) as stub:
        return int(call(stub.Give, request).points)


def gift(world: RewardWorld, giver: int, receiver: int, points: int) -> reward_pb2.GiveRequest:
    key, to = world.fresh_key(), world.account_of(receiver)
    signed = ticket(world, giver, key, to=to, points=points)
    return reward_pb2.GiveRequest(key=key, programme="city", to_account=to, points=points, ticket=signed)


def wallet(world: RewardWorld, person: int) -> tuple[int, int]:
    with world.hub.parts.readers.begin() as connection:
        found = world.hub.ledger.books(connection).wallet("P:city", world.account_of(person))
    return found.available, found.claimable


def test_what_waits_is_collected_once(world: RewardWorld) -> None:
    assert wallet(world, 0) == (0, 1_000)
    answer, request = collect(world, 0)
    assert (answer.points, wallet(world, 0)) == (1_000, (1_000, 0))
    with world.rewards(Role.NODE, BIKES) as stub:
        assert call(stub.Collect, request) == answer
    assert refused(lambda: collect(world, 0)).reason == reasons.REASON_NOT_ENOUGH_POINTS
    for wrong in ({"purpose": "view"}, {"subject": bytes(32)}, {"issued_at": 1_600_000_000}):
        assert refused(partial(collect, world, 1, **wrong)).reason == reasons.REASON_TICKET_INVALID
    assert wallet(world, 1) == (0, 1_000)


def test_a_gift_arrives_once_and_only_where_it_was_meant(world: RewardWorld) -> None:
    collect(world, 2)
    had, theirs = wallet(world, 2)[0], wallet(world, 3)[0]
    request = gift(world, 2, 3, 100)
    for changes in ({"points": 101}, {"to_account": world.account_of(1)}, {"key": world.fresh_key()}):
        other = reward_pb2.GiveRequest()
        other.CopyFrom(request)
        for name, value in changes.items():
            setattr(other, name, value)
        assert refused(partial(give, world, other)).reason == reasons.REASON_TICKET_INVALID
    assert refused(partial(give, world, request, "utility")).reason == reasons.REASON_TICKET_INVALID
    assert give(world, request) == give(world, request) == 100
    assert (wallet(world, 2)[0], wallet(world, 3)[0]) == (had - 100, theirs + 100)
    assert refused(lambda: give(world, gift(world, 2, 3, 51))).reason == reasons.REASON_CAP_REACHED


def test_the_portal_collects_and_gives(world: RewardWorld) -> None:
    key = world.fresh_key()
    body: dict[str, Any] = {"key": key.hex(), "programme": "city", "ticket": text(ticket(world, 4, key))}
    assert post(world, "/v1/collections", body) == post(world, "/v1/collections", body) == {"points": 1_000}
    request = gift(world, 4, 5, 10)
    body = {
        "key": request.key.hex(),
        "programme": "city",
        "points": 10,
        "to_account": request.to_account.hex(),
        "ticket": text(request.ticket),
    }
    assert post(world, "/v1/gifts", body) == {"points": 10}
    for wrong in ({**body, "points": 0}, {**body, "to_account": "me"}, {**body, "ticket": "?"}):
        assert refused(partial(post, world, "/v1/gifts", wrong))
    assert json.loads(world.get("/v1/programmes/city"))["points"]["mint"] == 12 * 1_000


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()
