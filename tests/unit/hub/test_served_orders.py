"""Orders that waited and what sales brought, made again from the log alone, row for row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hub.operation_client import OperationClient
from hub.rebuild import rebuild
from protos.v1 import reward_pb2
from runtime.identity import Role
from tests.unit.accounting.programmes.programmes import NAMES, coupon, programme
from tests.unit.hub.pool_world import (
    BIKES,
    NEXT,
    PoolWorld,
    close_next,
    confirm,
    draw,
    follow_all,
    issue,
    pool_world,
    sell,
)
from tests.unit.hub.redeeming import call


def order(world: PoolWorld, person: int) -> Any:
    """Order a ride of the village, which waits for money."""
    asked = world.order("village", "bus")
    with world.rewards(Role.NODE, BIKES) as stub:
        ticket = world.order_ticket(asked, person, BIKES)
        return call(stub.Reserve, reward_pb2.ReserveRequest(order=asked, ticket=ticket)).redemption


def test_a_rebuild_serves_and_pays_out_the_same(tmp_path: Path) -> None:
    with pool_world(tmp_path / "hub") as world:
        fund = {"names": NAMES, "sources": ["government", "sale"], "when_empty": "queue"}
        bus = coupon(cost_points=0, funds=["slow"])
        village = programme(id="village", first_epoch=NEXT, funds={"slow": fund}, rewards={"bus": bus})
        follow_all(world)
        world.publish_programme(village.canonical_bytes())
        served, waiting = order(world, 0), order(world, 1)
        assert (served.funded, waiting.waiting_before) == (False, 1)
        world.deposit("village", "slow", 999)
        assert confirm(world, served.order_key).state == "confirmed"
        sell(world, issue(world).batch.batch, 1_001)
        confirm(world, draw(world, 0)[1].order_key)
        close_next(world)
        with OperationClient(world.opened) as client:
            money = client.balances("M")
    assert (money["payable:bus"], money["fund:village:slow"]) == (500, 499)
    assert (money["payable:bank"], money["fund:city:participants"]) == (300, 301)
    assert rebuild(world.opened, write=False).differences == []
