"""What waits for an operator is counted for Prometheus and named by the doctor, from the same look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.book_health import BookHealth
from hub.book_meters import BookMeters
from hub.doctor import book_checks, examine
from hub.lookup import health_of
from hub.store.operations import Unsealed
from hub.store.reservations import Reserved
from protos.problems import Refused
from protos.v1 import ledger_pb2
from protos.v1 import problem_pb2 as reasons
from runtime.metrics import Metrics
from tests.unit.hub.spending import PROGRAMME, reserve, settled, submit
from tests.unit.hub.world import World, make_home, refused, running

GUIDES = Path(__file__).parents[3] / "docs" / "operating"
UNIT_FEN = 500
# The epoch's ceiling leaves money for three of one reward, and for hundreds of another.
CITY = (
    PROGRAMME.replace(
        'sources = ["government"]',
        f'sources = ["government"]\nwhen_empty = "queue"\nepoch_fen_max = {3 * UNIT_FEN}',
    )
    + """
[rewards.sticker]
names = { en = "Sticker", zh = "贴纸" }
kind = "policy"
cost_points = 1
funds = ["main"]
unit_cost_fen = 1
partner = "printer"
"""
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(opened=make_home(tmp_path / "hub"))
    with running(made.opened) as hub:
        made.hub = hub
        yield made


def named(health: BookHealth) -> tuple[list[str], list[str]]:
    """Give the rewards nobody pays for, and those few more of which are paid for."""
    return [one.reward for one in health.empty], [one.reward for one in health.low]


def test_funds_orders_and_partners_are_seen_as_they_change(world: World) -> None:
    account, now = settled(world, CITY)[0], world.hub.parts.clock()
    health = world.hub.ledger.health()
    assert health == health_of(world.opened, now)
    assert (named(health), health.owed_fen) == (([], ["bus"]), {})
    assert all(one.is_good for one in book_checks(health, now))
    for key in (b"1" * 16, b"2" * 16, b"3" * 16):
        submit(world, key=key, reserve=reserve(account))
    nearly = health_of(world.opened, now + 72 * 3_600 - 1_800)
    assert (named(nearly), tuple(nearly.reserved)) == ((["bus", "sticker"], []), (3, 3, 0))
    submit(world, key=b"4" * 16, reserve=reserve(account))
    submit(world, confirm=ledger_pb2.Confirm(reserve_key=b"1" * 16))
    health = health_of(world.opened, now)
    assert tuple(health.reserved) == (3, 0, 1)
    assert health.owed_fen == {"transit": UNIT_FEN}
    failed = {one.name: one for one in book_checks(health, now) if not one.is_good}
    assert set(failed) == {"funds", "orders"}
    assert "no more of city/bus (main), city/sticker (main)" in failed["funds"].detail
    assert "deposit" in failed["funds"].remedy.lower()
    # The doctor's clock is not the simulated one, so that it finds the journal late as well.
    assert {one.name for one in examine(world.opened.home.folder) if not one.is_good} >= set(failed)
    check_metrics(world)


def check_metrics(world: World) -> None:
    """What was done is counted, and the look's findings stand beside it."""
    problem = refused(lambda: submit(world, settle=ledger_pb2.Settle(partner="transit", fen=501)))
    assert problem.reason == reasons.REASON_FUND_EXHAUSTED
    text = world.get("/metrics").decode()
    for line in (
        'operations_total{kind="reserve"} 4.0',
        'operations_total{kind="confirm"} 1.0',
        'operations_refused_total{reason="FUND_EXHAUSTED"} 1.0',
        "close_seconds_count 1.0",
        "partners_owed 1.0",
        "partners_owed_fen 500.0",
        "rewards_unfunded 2.0",
        "reservations_unfunded 1.0",
    ):
        assert f"\ncgsp_hub_{line}\n" in text
    assert not re.search(r"city|transit|bus|[0-9a-f]{32}", text)


def test_the_operators_guide_names_every_figure(world: World) -> None:
    guide = (GUIDES / "hub.md").read_text("utf-8")
    shown = re.findall(r"^# TYPE cgsp_hub_(\w+?)(?:_total|_created)? ", world.get("/metrics").decode(), re.M)
    assert not [one for one in shown if f"`{one}" not in guide]
    alerts = (GUIDES / "alerts.yml").read_text("utf-8")
    alerted = set(re.findall(r"cgsp_hub_(\w+?)(?:_total|_bucket)?\b", alerts))
    assert alerted
    assert alerted <= set(shown)


def test_operations_of_a_hub_that_is_down_stand_out() -> None:
    open_since = BookHealth((), Reserved(0, 0, 0), {}, Unsealed(operations=2, since=1_000))
    assert [one.is_good for one in book_checks(open_since, 1_060) if one.name == "journal"] == [True]
    [late] = [one for one in book_checks(open_since, 1_061) if one.name == "journal"]
    assert not late.is_good
    assert "Start the hub" in late.remedy


def test_a_hub_without_books_shows_nothing() -> None:
    metrics = Metrics("hub")

    def look() -> BookHealth:
        raise Refused(reasons.REASON_POLICY_NOT_IN_FORCE, "There is no policy yet.")

    BookMeters(metrics).watch(look, lambda: 0)
    assert b"\ncgsp_hub_partners_owed 0.0\n" in metrics.exposition()
