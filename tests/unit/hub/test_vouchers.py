"""A voucher code belongs to one order, is shown once that is confirmed, and to nobody but who ordered."""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

from hub.vouchers import voucher_key
from privacy.sealing import KEY_BYTES
from protos.v1 import problem_pb2 as reasons
from protos.v1 import reward_pb2
from runtime.files import read_private, write_private
from runtime.identity import Role
from tests.unit.hub.redeeming import RewardWorld, call
from tests.unit.hub.test_cli import fails, run
from tests.unit.hub.test_redemption import BIKES, end, get, look, order_body, post, reserve, world
from tests.unit.hub.world import refused

__all__ = ["world"]


def load(world: RewardWorld, reward: str, *codes: str) -> int:
    with world.rewards(Role.OPERATOR, "operator") as stub:
        request = reward_pb2.LoadVouchersRequest(programme="city", reward=reward, codes=codes)
        return int(call(stub.LoadVouchers, request).loaded)


def codes_of(world: RewardWorld, order: reward_pb2.RewardOrder, role: Role = Role.NODE) -> list[str]:
    with world.rewards(role, BIKES if role is Role.NODE else "operator") as stub:
        request = reward_pb2.GetRedemptionRequest(order_key=order.key)
        return list(call(stub.GetRedemption, request).redemption.voucher_codes)


def test_a_code_is_handed_out_once_and_only_when_confirmed(world: RewardWorld) -> None:
    assert load(world, "bread", "AAA-1", "BBB-2", "AAA-1") == 2
    assert load(world, "bread", "BBB-2", "CCC-3") == 1
    orders = [world.order("city", "bread") for _ in range(4)]
    tickets = [world.order_ticket(one, 2, BIKES) for one in orders]
    for at in range(3):
        made = reserve(world, orders[at], tickets[at])
        assert list(made.voucher_codes) == []
        assert reserve(world, orders[at], tickets[at]) == made
    problem = refused(partial(reserve, world, orders[3], tickets[3]))
    assert problem.reason == reasons.REASON_OUT_OF_STOCK
    end(world, "Cancel", orders[0])
    reserve(world, orders[3], tickets[3])
    for one in orders[1:]:
        end(world, "Confirm", one)
    assert codes_of(world, orders[0]) == []
    given = [code for one in orders[1:] for code in codes_of(world, one)]
    assert sorted(given) == ["AAA-1", "BBB-2", "CCC-3"]


def test_the_operator_loads_codes_from_a_file(world: RewardWorld, tmp_path: Path) -> None:
    file, home = tmp_path / "codes.txt", ("--home", world.opened.home.folder)
    file.write_text("EEE 6\r\n\n  FFF-7\n", encoding="utf-8")
    arguments = ("programme", "vouchers", "city", "gadget", file, *home)
    assert run(*arguments)["loaded"] == 2
    assert run(*arguments)["loaded"] == 0
    for wrong in (("city", "bus"), ("city", "gadgets"), ("village", "gadget")):
        refusal = fails("programme", "vouchers", *wrong, file, *home)
        assert refusal.reason == reasons.REASON_REWARD_UNKNOWN
    order = world.order("city", "gadget")
    reserve(world, order, world.order_ticket(order, 1, BIKES))
    end(world, "Confirm", order)
    assert codes_of(world, order) == ["EEE 6"]
    file.write_bytes(b"G" * 300)
    assert fails(*arguments).reason == reasons.REASON_WRONG_SHAPE


def test_a_refused_order_keeps_no_code(world: RewardWorld) -> None:
    load(world, "cake", "DDD-4")
    poor = world.order("city", "cake", quantity=2)
    assert refused(partial(reserve, world, poor, world.order_ticket(poor, 2, BIKES)))
    broke = world.order("city", "cake")
    assert refused(partial(reserve, world, broke, world.order_ticket(broke, 4, BIKES)))
    last = world.order("city", "cake")
    reserve(world, last, world.order_ticket(last, 2, BIKES))
    more = world.order("city", "cake", key=last.key, quantity=2)
    assert refused(partial(reserve, world, more, world.order_ticket(more, 2, BIKES)))
    end(world, "Confirm", last)
    assert codes_of(world, last) == ["DDD-4"]


def test_codes_lie_sealed(world: RewardWorld) -> None:
    load(world, "milk", "SECRET-CODE-5")
    world.hub.parts.writer.call(lambda connection: connection.exec_driver_sql("select 1").all())
    private = world.opened.home.private
    for path in private.glob("hub.sqlite*"):
        assert b"SECRET-CODE-5" not in path.read_bytes()
    assert world.opened.home.voucher_key.stat().st_mode & 0o077 == 0
    with world.rewards(Role.NODE, BIKES) as stub:
        request = reward_pb2.LoadVouchersRequest(programme="city", reward="milk", codes=["X"])
        assert refused(partial(call, stub.LoadVouchers, request)).reason == reasons.REASON_ROLE_NOT_ALLOWED


def test_sealed_codes_are_never_left_behind_by_a_new_key(world: RewardWorld, tmp_path: Path) -> None:
    path, kept = tmp_path / "vouchers.key", world.opened.home.voucher_key

    def key() -> bytes:
        with world.hub.parts.readers.begin() as connection:
            return voucher_key(path, connection, secrets.token_bytes)

    load(world, "rice", "LOCKED-CODE")
    assert refused(key).reason == reasons.REASON_KEY_UNKNOWN
    assert not path.exists()
    write_private(path, secrets.token_bytes(KEY_BYTES))
    assert refused(key).reason == reasons.REASON_KEY_UNKNOWN
    write_private(path, read_private(kept, KEY_BYTES))
    assert key() == read_private(kept, KEY_BYTES)


def test_the_key_of_an_order_opens_nothing(world: RewardWorld) -> None:
    """It stands in the journal, with the ticket that ordered: who reads it there is nobody's portal."""
    load(world, "tea", "PORTAL-CODE")
    order = world.order("city", "tea")
    body = order_body(order, world.order_ticket(order, 3, BIKES))
    post(world, "/v1/redemptions", body)
    end(world, "Confirm", order, "operator")
    path, key = f"/v1/redemptions/{order.key.hex()}", {"key": world.fresh_key().hex()}
    for act in (
        lambda ticket: get(world, f"{path}?ticket={ticket}"),
        lambda ticket: post(world, f"{path}/cancellation", {**key, "ticket": ticket}),
        lambda ticket: post(world, f"{path}/certificate", {"ticket": ticket}),
    ):
        for ticket in ("", look(world, 2)):
            assert refused(partial(act, ticket)).reason == reasons.REASON_RESERVATION_UNKNOWN
        assert refused(partial(act, body["ticket"])).reason == reasons.REASON_TICKET_INVALID
    again = post(world, "/v1/redemptions", body)
    assert (again["state"], again["voucher_codes"]) == ("confirmed", [])
    assert (
        get(world, f"{path}?ticket={look(world, 3)}")["voucher_codes"]
        == codes_of(world, order, Role.OPERATOR)
        != []
    )


def test_an_order_waits_for_money_and_says_who_is_before_it(world: RewardWorld) -> None:
    orders = [world.order("city", "bike") for _ in range(2)]
    made = [reserve(world, one, world.order_ticket(one, at, BIKES)) for at, one in enumerate(orders)]
    assert [(one.funded, one.waiting_before) for one in made] == [(False, 0), (False, 1)]
    assert refused(partial(end, world, "Confirm", orders[1])).reason == reasons.REASON_FUND_EXHAUSTED
    world.deposit("city", "patient", 599)
    with world.rewards(Role.NODE, BIKES) as stub:
        first, second = (
            call(stub.GetRedemption, reward_pb2.GetRedemptionRequest(order_key=one.key)).redemption
            for one in orders
        )
    assert (first.funded, second.funded, second.waiting_before) == (True, False, 0)
    end(world, "Cancel", orders[0])
    assert end(world, "Confirm", orders[1]).state == "confirmed"
