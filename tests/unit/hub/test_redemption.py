"""Redeeming through an enterprise's app and the portal: one ticket, one order, one outcome."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event

from hub.lookup import settlement_of
from hub.redemption import Caller
from hub.store.operations import next_operation
from privacy import envelope, merkle
from protos.epochs import next_epoch
from protos.v1 import ledger_pb2, reward_pb2
from protos.v1 import problem_pb2 as reasons
from runtime.identity import Role
from tests.simulator import EPOCH, key
from tests.unit.accounting.programmes.programmes import NAMES, coupon, programme
from tests.unit.hub.redeeming import RewardWorld, call, reward_world
from tests.unit.hub.world import refused

BIKES = "bike-share"
NEXT = next_epoch(EPOCH)
# Codes are handed out in the order they came: one reward for each test that loads some.
VOUCHERS = ("bread", "cake", "gadget", "milk", "rice", "tea")
REWARDS = {
    "bus": coupon(cost_points=100),
    "badge": {"names": NAMES, "kind": "honour", "eligible": "lifetime_points >= 900"},
    **{reward: coupon(cost_points=10, stock=5, voucher_codes=True, quantity_max=2) for reward in VOUCHERS},
    "steady": {
        "names": NAMES,
        "kind": "policy",
        "partner": "bank",
        "attestation": {"grams_min": 9_900, "months": 12},
    },
    "tree": {
        "names": NAMES,
        "kind": "charity",
        "cost_points": 100,
        "quantity_max": 3,
        "claim": "retired",
        "claim_grams": 1_000,
        "tree": {"points": 200, "names": NAMES},
    },
    "pool": {"names": NAMES, "kind": "trading", "claim": "to_pool", "claim_grams": 1_000},
}
# Paid by a fund that lets orders wait.
BIKE = coupon(cost_points=1, funds=["patient"], unit_cost_fen=300)
FUNDS = {
    "city": {"names": NAMES, "sources": ["government"]},
    "patient": {"names": NAMES, "sources": ["government"], "when_empty": "queue"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RewardWorld]:
    with reward_world(tmp_path_factory.mktemp("rewards") / "hub") as found:
        earn = {"all": {"names": NAMES, "ratio": [1, 10]}}
        made = programme(first_epoch=EPOCH, earn=earn, rewards={**REWARDS, "bike": BIKE}, funds=FUNDS)
        found.publish_programme(made.canonical_bytes())
        found.figures[BIKES, EPOCH] = [10_000] * 6 + [500] * 6
        found.close_epoch()
        for person in (0, 1, 2, 3, 5, 6):
            found.prove(person, BIKES, NEXT)
        found.deposit("city", "city", 100_000)
        yield found


def reserve(world: RewardWorld, order: reward_pb2.RewardOrder, ticket: bytes, party: str = BIKES) -> Any:
    with world.rewards(Role.NODE, party) as stub:
        return call(stub.Reserve, reward_pb2.ReserveRequest(order=order, ticket=ticket)).redemption


def end(world: RewardWorld, how: str, order: reward_pb2.RewardOrder, party: str = BIKES) -> Any:
    request = {"Confirm": reward_pb2.ConfirmRequest, "Cancel": reward_pb2.CancelRequest}[how]
    role = Role.OPERATOR if party == "operator" else Role.NODE
    with world.rewards(role, party) as stub:
        return call(getattr(stub, how), request(key=world.fresh_key(), order_key=order.key)).redemption


def quote(world: RewardWorld, order: reward_pb2.RewardOrder, ticket: bytes) -> Any:
    with world.rewards(Role.NODE, BIKES) as stub:
        return call(stub.Quote, reward_pb2.QuoteRequest(order=order, ticket=ticket))


def test_offers_are_those_in_force(world: RewardWorld) -> None:
    with world.rewards(Role.NODE, BIKES) as stub:
        offers = call(stub.ListRewards, reward_pb2.ListRewardsRequest()).offers
        assert {(one.programme, one.reward, one.kind) for one in offers} == {
            ("city", "bus", "commercial"),
            ("city", "bike", "commercial"),
            *(("city", reward, "commercial") for reward in VOUCHERS),
            ("city", "badge", "honour"),
            ("city", "pool", "trading"),
            ("city", "steady", "policy"),
            ("city", "tree", "charity"),
        }
        unknown = reward_pb2.ListRewardsRequest(programme="village")
        assert refused(lambda: call(stub.ListRewards, unknown)).reason == reasons.REASON_PROGRAMME_UNKNOWN


def test_an_order_is_quoted_reserved_and_confirmed(world: RewardWorld) -> None:
    order = world.order("city", "bus")
    ticket = world.order_ticket(order, 0, BIKES)
    asked = quote(world, order, ticket)
    assert (asked.points, asked.refused_reason) == (100, 0)
    assert 980 <= asked.spendable_points < 1_000
    made = reserve(world, order, ticket)
    assert (made.state, made.points, made.funded) == ("reserved", 100, True)
    assert reserve(world, order, ticket) == made
    again = world.order("city", "bus")
    left = quote(world, again, world.order_ticket(again, 0, BIKES))
    assert left.spendable_points == asked.spendable_points - 100
    assert end(world, "Confirm", order).state == "confirmed"
    assert refused(lambda: end(world, "Cancel", order)).reason == reasons.REASON_RESERVATION_ENDED


def test_an_answer_takes_one_reading_of_the_store(world: RewardWorld) -> None:
    """Beside the decision itself; whose order is to end is looked up before."""
    began: list[str] = []

    def begin(_: object) -> None:
        # The hub reads for itself as well, on threads of its own.
        if threading.current_thread() is threading.main_thread():
            began.append("begun")

    orders = [world.order("city", "bus") for _ in range(2)]
    tickets = [world.order_ticket(order, 5, BIKES) for order in orders]
    redemptions, readers, caller = world.hub.parts.redemptions, world.hub.parts.readers, Caller(BIKES)
    redemptions.reserve(caller, orders[0], tickets[0])
    event.listen(readers, "begin", begin)
    try:
        redemptions.reserve(caller, orders[1], tickets[1])
        assert len(began) == 1
        redemptions.confirm(caller, world.fresh_key(), orders[0].key)
        redemptions.cancel(caller, world.fresh_key(), orders[1].key)
        assert len(began) == 5
    finally:
        event.remove(readers, "begin", begin)


def test_what_is_called_off_comes_back(world: RewardWorld) -> None:
    order = world.order("city", "bus", quantity=1)
    ticket = world.order_ticket(order, 1, BIKES)
    before = quote(world, order, ticket).spendable_points
    reserve(world, order, ticket)
    assert end(world, "Cancel", order).state == "cancelled"
    fresh = world.order("city", "bus")
    assert quote(world, fresh, world.order_ticket(fresh, 1, BIKES)).spendable_points == before


@pytest.mark.parametrize(
    ("person", "reward", "changes", "reason"),
    [
        (6, "bus", {}, reasons.REASON_NOT_ENOUGH_POINTS),
        (6, "badge", {}, reasons.REASON_NOT_ELIGIBLE),
        (4, "bus", {}, reasons.REASON_CONTROL_NOT_PROVED),
        (1, "tram", {}, reasons.REASON_REWARD_UNKNOWN),
        (1, "bus", {"programme_version": 2}, reasons.REASON_PROGRAMME_UNKNOWN),
        (1, "bus", {"quantity": 2}, reasons.REASON_UNKNOWN_FIELD_VALUE),
        (1, "bus", {"key": b"short"}, reasons.REASON_WRONG_SHAPE),
    ],
)
def test_a_refused_order_says_why_and_changes_nothing(
    world: RewardWorld, person: int, reward: str, changes: dict[str, Any], reason: int
) -> None:
    order = world.order("city", reward, **changes)
    ticket = world.order_ticket(order, person, BIKES)
    before = operations(world)
    asked = quote(world, order, ticket) if "key" not in changes else None
    problem = refused(lambda: reserve(world, order, ticket))
    assert problem.reason in (reason, reasons.REASON_UNKNOWN_FIELD_VALUE)
    assert problem.remedy
    if asked is not None:
        assert asked.refused_reason == problem.reason
        assert asked.refused_message == problem.message
    with world.rewards(Role.NODE, BIKES) as stub:
        find = reward_pb2.GetRedemptionRequest(order_key=order.key)
        assert refused(lambda: call(stub.GetRedemption, find))
    assert operations(world) == before


def operations(world: RewardWorld) -> int:
    with world.hub.parts.readers.begin() as connection:
        return next_operation(connection)


def test_a_ticket_is_for_its_order_person_purpose_and_enterprise_only(world: RewardWorld) -> None:
    order, other = world.order("city", "bus"), world.order("city", "bus")
    for ticket in (
        world.order_ticket(other, 1, BIKES),
        world.order_ticket(order, 1, BIKES, purpose="view"),
        world.order_ticket(order, 1, BIKES, issued_at=1_600_000_000),
        world.order_ticket(order, 15, BIKES),
    ):
        assert refused(partial(reserve, world, order, ticket)).reason == reasons.REASON_TICKET_INVALID
    theirs = world.order_ticket(order, 7, "utility")
    assert refused(lambda: reserve(world, order, theirs)).reason == reasons.REASON_TICKET_INVALID
    good = world.order_ticket(order, 1, BIKES)
    for at in range(0, len(good), 5):
        changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        assert refused(partial(reserve, world, order, changed))


def test_the_same_key_for_another_order_is_a_conflict(world: RewardWorld) -> None:
    order = world.order("city", "pool")
    reserve(world, order, world.order_ticket(order, 2, BIKES))
    other = world.order("city", "bus", key=order.key)
    problem = refused(lambda: reserve(world, other, world.order_ticket(other, 2, BIKES)))
    assert problem.reason == reasons.REASON_IDEMPOTENCY_CONFLICT


def test_only_who_reserved_or_the_operator_ends_an_order(world: RewardWorld) -> None:
    order = world.order("city", "pool")
    reserve(world, order, world.order_ticket(order, 2, BIKES))
    for how in ("Confirm", "Cancel"):
        problem = refused(partial(end, world, how, order, "utility"))
        assert problem.reason == reasons.REASON_RESERVATION_UNKNOWN
    assert end(world, "Confirm", order, "operator").state == "confirmed"


def test_roles_without_an_app_are_refused(world: RewardWorld) -> None:
    with world.rewards(Role.AUDITOR, "auditor") as stub:
        problem = refused(lambda: call(stub.ListRewards, reward_pb2.ListRewardsRequest()))
    assert problem.reason == reasons.REASON_ROLE_NOT_ALLOWED


def test_the_portal_redeems_over_https(world: RewardWorld) -> None:
    order = world.order("city", "bus")
    body = order_body(order, world.order_ticket(order, 3, BIKES))
    offered = [one["reward"] for one in get(world, "/v1/rewards?programme=city")]
    assert offered == sorted([*REWARDS, "bike"])
    assert post(world, "/v1/quotes", body)["points"] == 100
    made = post(world, "/v1/redemptions", body)
    assert (made["state"], made["order_key"]) == ("reserved", order.key.hex())
    assert post(world, "/v1/redemptions", body) == made
    path = f"/v1/redemptions/{order.key.hex()}"
    assert get(world, f"{path}?ticket={look(world, 3)}") == made
    key = {"key": world.fresh_key().hex()}
    confirmed = refused(lambda: post(world, f"{path}/confirmation", key))
    assert confirmed.reason == reasons.REASON_ROLE_NOT_ALLOWED
    assert post(world, f"{path}/cancellation", {**key, "ticket": look(world, 3)})["state"] == "cancelled"
    assert post(world, f"{path}/cancellation", {**key, "ticket": look(world, 3)})["state"] == "cancelled"
    for wrong in ({**body, "quantity": 0}, {**body, "colour": 1}, {**body, "ticket": "?"}, {}):
        assert refused(partial(post, world, "/v1/redemptions", wrong))


def look(world: RewardWorld, person: int) -> str:
    """Sign that a person wants to look, as text for an address."""
    return base64.urlsafe_b64encode(world.ticket(BIKES, person, "view")).decode()


def test_a_partners_statement_adds_up_and_names_every_line(world: RewardWorld) -> None:
    redeemed(world, "bus", 3)
    found = settlement_of(world.opened, "bus", 0, None, now=1)
    opened = envelope.open_envelope(found.envelope)
    envelope.verify(opened, [key("hub").verify_key])
    said = opened.parse(reward_pb2.SettlementStatement)
    lines = [reward_pb2.SettlementLine.FromString(one) for one in found.lines]
    assert said == found.statement
    assert said.lines_root == merkle.root(found.lines)
    assert said.fen == sum(one.fen for one in lines) == 500 * said.count > 0
    assert {one.reward for one in lines} == {"bus"}
    half = lines[-1].operation
    parts = [settlement_of(world.opened, "bus", *bounds, now=1) for bounds in ((0, half), (half, None))]
    assert [line for part in parts for line in part.lines] == list(found.lines)
    disputed = ledger_pb2.Operation(key=world.fresh_key())
    disputed.dispute.reserve_key = lines[-1].order_key
    world.hub.ledger.submit(disputed)
    assert settlement_of(world.opened, "bus", 0, None, now=1).statement.fen == said.fen - 500
    assert settlement_of(world.opened, "nobody", 0, None, now=1).statement.count == 0


def test_a_full_pool_plants_and_the_log_proves_it(world: RewardWorld) -> None:
    path = "/v1/programmes/city/plantings/tree"
    redeemed(world, "tree", 3)
    assert get(world, path) == []
    redeemed(world, "tree", 3, quantity=3)
    world.hub.parts.writer.call(world.hub.ledger.seal)
    # The writer publishes between two jobs: a checkpoint covers the segment now.
    world.hub.parts.writer.call(lambda connection: None)
    world.follow()
    [planted] = get(world, path)
    assert planted["lots"] == 2
    segment = envelope.open_envelope(world.entries[planted["segment_entry"]].data)
    message = segment.parse(ledger_pb2.JournalSegment)
    merkle.verify_inclusion(
        merkle.leaf_hash(bytes.fromhex(planted["operation"])),
        planted["segment_index"],
        planted["segment_count"],
        [bytes.fromhex(one) for one in planted["proof"]],
        message.operations_root,
    )
    plant = ledger_pb2.Operation.FromString(bytes.fromhex(planted["operation"])).plant
    assert (plant.programme, plant.reward, plant.lots) == ("city", "tree", 2)


def test_certificates_say_their_sentence_and_nothing_else(world: RewardWorld) -> None:
    found = []
    for reward in ("steady", "badge", "badge"):
        order = redeemed(world, reward, 1)
        with world.rewards(Role.NODE, BIKES) as stub:
            answer = call(stub.GetCertificate, reward_pb2.GetCertificateRequest(order_key=order.key))
        opened = envelope.open_envelope(answer.certificate)
        envelope.verify(opened, [key("hub").verify_key])
        message = opened.parse(reward_pb2.Attestation)
        assert message.holder_commitment == hashlib.sha256(answer.salt + answer.account).digest()
        assert (message.programme, message.reward, message.last_epoch) == ("city", reward, EPOCH)
        assert answer.account == world.account_of(1)
        assert answer.account not in answer.certificate
        found.append(message)
    assert [one.grams_min for one in found] == [9_900, 0, 0]
    assert len({one.holder_commitment for one in found}) == 3


def test_an_attestation_that_noise_could_have_made_is_refused(world: RewardWorld) -> None:
    order = redeemed(world, "steady", 6)
    bus = world.order("city", "bus")
    reserve(world, bus, world.order_ticket(bus, 1, BIKES))
    for made, reason in (
        (order, reasons.REASON_NOT_ELIGIBLE),
        (bus, reasons.REASON_RESERVATION_ENDED),
        (redeemed(world, "pool", 2), reasons.REASON_REWARD_UNKNOWN),
    ):
        request = reward_pb2.GetCertificateRequest(order_key=made.key)
        with world.rewards(Role.NODE, BIKES) as stub:
            assert refused(partial(call, stub.GetCertificate, request)).reason == reason


def redeemed(world: RewardWorld, reward: str, person: int, **changes: Any) -> reward_pb2.RewardOrder:
    """Reserve and confirm an order."""
    order = world.order("city", reward, **changes)
    reserve(world, order, world.order_ticket(order, person, BIKES))
    assert end(world, "Confirm", order).state == "confirmed"
    return order


def order_body(order: reward_pb2.RewardOrder, ticket: bytes) -> dict[str, Any]:
    return {
        "key": order.key.hex(),
        "programme": order.programme,
        "programme_version": order.programme_version,
        "reward": order.reward,
        "quantity": order.quantity,
        "ticket": base64.b64encode(ticket).decode(),
    }


def get(world: RewardWorld, path: str) -> Any:
    return json.loads(world.get(path))


def post(world: RewardWorld, path: str, body: dict[str, Any]) -> Any:
    client = world.https()
    try:
        return json.loads(client.post_json(path, json.dumps(body).encode(), 1 << 16))
    finally:
        client.close()
