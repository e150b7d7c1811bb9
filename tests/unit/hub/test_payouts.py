"""What sales owe to those whose grams a batch was made of: drawn through an app, replayed by an auditor."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from accounting.issuance import MG_PER_TONNE
from auditor.findings import Check, Verdict
from hub.cli import hub as program
from hub.lookup import settlement_of
from hub.operation_client import OperationClient
from hub.reconcile import reconciled
from hub.store.dialects import connect_writer
from protos.v1 import problem_pb2 as reasons
from protos.v1 import reward_pb2
from runtime.identity import Role
from tests.unit.auditor.city import audited
from tests.unit.hub.pool_world import (
    BIKES,
    PoolWorld,
    close_next,
    confirm,
    draw,
    issue,
    pool_world,
    sell,
)
from tests.unit.hub.redeeming import call
from tests.unit.hub.test_cli import run
from tests.unit.hub.world import refused

# Who draws, who is only looked at, and whom an auditor follows: each test has its own.
GIVERS = DRAWS, LOOKS, FOLLOWED, _ = range(4)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolWorld]:
    with pool_world(tmp_path_factory.mktemp("payouts") / "hub", GIVERS) as found:
        sell(found, issue(found).batch.batch, 1_001)
        yield found


def money(world: PoolWorld) -> dict[str, int]:
    with OperationClient(world.opened) as client:
        return client.balances("M")


def book(world: PoolWorld, person: int) -> dict[str, dict[str, int]]:
    """Give the sections of a person's book."""
    ticket = base64.urlsafe_b64encode(world.ticket(BIKES, person, "view")).decode()
    sections = json.loads(world.get(f"/v1/books/person?ticket={ticket}"))["sections"]
    return {one["key"]: {figure["key"]: figure["amount"] for figure in one["figures"]} for one in sections}


def paid(world: PoolWorld) -> int:
    """Say what the bank is owed: with what is left for participants it is all they got of the sale."""
    found = money(world)
    owed = found.get("payable:bank", 0)
    assert owed + found["fund:city:participants"] == 601
    return owed


def settled(world: PoolWorld) -> reward_pb2.SettlementStatement:
    return settlement_of(world.opened, "bank", 0, None, now=1_700_000_000).statement


def test_a_payout_goes_through_quote_order_delivery_and_settlement(world: PoolWorld) -> None:
    """Of 1,001 fen 601 are the participants'; four gave alike, so 150 each, and one fen is nobody's."""
    held, lines = paid(world), settled(world).count
    before = book(world, DRAWS)["pool:city"]
    assert (before["contributed"], before["owed"], before["due"]) == (4 * MG_PER_TONNE, 150, 150)
    quote, made = draw(world, DRAWS)
    assert (quote.payout_fen, quote.refused_reason) == (150, 0)
    assert (made.state, made.payout_fen, made.points) == ("reserved", 150, 0)
    assert refused(lambda: draw(world, DRAWS)).reason == reasons.REASON_NOTHING_DUE
    assert refused(lambda: draw(world, 5)).reason in (
        reasons.REASON_CONTROL_NOT_PROVED,
        reasons.REASON_NOTHING_DUE,
    )
    assert confirm(world, made.order_key).state == "confirmed"
    after = book(world, DRAWS)["pool:city"]
    assert (after["drawn"], after["due"]) == (150, 0)
    assert paid(world) == held + 150
    assert (settled(world).count, settled(world).fen) == (lines + 1, held + 150)


def test_apps_are_told_that_a_reward_pays_out(world: PoolWorld) -> None:
    with world.rewards(Role.NODE, BIKES) as stub:
        offers = {one.reward: one for one in call(stub.ListRewards, reward_pb2.ListRewardsRequest()).offers}
    assert (offers["share"].payout_fen_min, offers["pool"].payout_fen_min) == (10, 0)


def test_an_export_and_an_explanation_say_what_each_batch_owes(world: PoolWorld) -> None:
    account = world.account_of(LOOKS).hex()
    asked = ("account", "explain", account, "--home", world.opened.home.folder)
    shown = run(*asked)
    told = CliRunner().invoke(program, [*map(str, asked)]).output
    sections = {
        one["key"]: {figure["key"]: figure["amount"] for figure in one["figures"]} for one in shown["wallets"]
    }
    pool, batch = sections["pool:city"], sections["batch:city/bikes/2020-12"]
    assert (pool["contributed"], pool["owed"], pool["drawn"], pool["due"]) == (4 * MG_PER_TONNE, 150, 0, 150)
    assert batch == {"taken": 4 * MG_PER_TONNE - pool["waiting"], "owed": 150}
    assert "due 可领取 150 fen" in told
    assert "批次 city/bikes/2020-12" in told


@pytest.mark.parametrize(("language", "word"), [("en", "may be drawn"), ("zh", "可领取")])
def test_the_page_says_it_in_both_languages(world: PoolWorld, language: str, word: str) -> None:
    ticket = base64.urlsafe_b64encode(world.ticket(BIKES, LOOKS, "view")).decode()
    assert word in world.get(f"/books/person?ticket={ticket}&lang={language}").decode()


@pytest.mark.parametrize("kind", ["staked", "drawn", "proceeds"])
def test_a_counter_that_was_changed_is_named_by_the_reconciliation(world: PoolWorld, kind: str) -> None:
    _, made = draw(world, LOOKS)
    engine = connect_writer(world.opened.home.database)
    with engine.connect() as connection, connection.begin() as transaction:
        assert [str(check) for check in reconciled(connection) if not check.is_good] == []
        change = text(
            "update counter set value = value + 1 where name = "
            "(select name from counter where name like :kind order by length(name) desc limit 1)"
        )
        assert connection.execute(change, {"kind": f"{kind}:%"}).rowcount == 1
        wrong = [check.name for check in reconciled(connection) if not check.is_good]
        transaction.rollback()
    engine.dispose()
    assert wrong == ["participants"]
    with world.rewards(Role.NODE, BIKES) as stub:
        call(stub.Cancel, reward_pb2.CancelRequest(key=world.fresh_key(), order_key=made.order_key))


def test_an_auditor_pays_out_the_same_from_the_log_alone(world: PoolWorld, tmp_path: Path) -> None:
    _, made = draw(world, FOLLOWED)
    confirm(world, made.order_key)
    close_next(world)
    report = audited(world, tmp_path)
    assert report.verdict is Verdict.PASS
    assert report.results[Check.LEDGERS].findings == []
    replayed = report.figures["ledgers"]["M"]
    assert replayed == money(world)
    assert replayed["payable:bank"] == paid(world) >= 150
    assert run("reconcile", "--home", world.opened.home.folder)["ok"]
