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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolWorld]:
    with pool_world(tmp_path_factory.mktemp("payouts") / "hub") as found:
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


def test_a_payout_goes_through_quote_order_delivery_and_settlement(world: PoolWorld) -> None:
    """Of 1,001 fen 601 are the participants'; two gave alike, so 300 each, and one fen is nobody's."""
    assert money(world)["fund:city:participants"] == 601
    before = book(world, 0)["pool:city"]
    assert (before["contributed"], before["owed"], before["due"]) == (4 * MG_PER_TONNE, 300, 300)
    quote, made = draw(world, 0)
    assert (quote.payout_fen, quote.refused_reason) == (300, 0)
    assert (made.state, made.payout_fen, made.points) == ("reserved", 300, 0)
    assert refused(lambda: draw(world, 0)).reason == reasons.REASON_NOTHING_DUE
    assert refused(lambda: draw(world, 5)).reason in (
        reasons.REASON_CONTROL_NOT_PROVED,
        reasons.REASON_NOTHING_DUE,
    )
    assert confirm(world, made.order_key).state == "confirmed"
    after = book(world, 0)["pool:city"]
    assert (after["drawn"], after["due"]) == (300, 0)
    assert (money(world)["payable:bank"], money(world)["fund:city:participants"]) == (300, 301)
    settled = settlement_of(world.opened, "bank", 0, None, now=1_700_000_000)
    assert (settled.statement.count, settled.statement.fen) == (1, 300)


def test_apps_are_told_that_a_reward_pays_out(world: PoolWorld) -> None:
    with world.rewards(Role.NODE, BIKES) as stub:
        offers = {one.reward: one for one in call(stub.ListRewards, reward_pb2.ListRewardsRequest()).offers}
    assert (offers["share"].payout_fen_min, offers["pool"].payout_fen_min) == (10, 0)


def test_an_export_and_an_explanation_say_what_each_batch_owes(world: PoolWorld) -> None:
    account = world.account_of(1).hex()
    asked = ("account", "explain", account, "--home", world.opened.home.folder)
    shown = run(*asked)
    told = CliRunner().invoke(program, [*map(str, asked)]).output
    sections = {
        one["key"]: {figure["key"]: figure["amount"] for figure in one["figures"]} for one in shown["wallets"]
    }
    pool, batch = sections["pool:city"], sections["batch:city/bikes/2020-12"]
    assert (pool["contributed"], pool["owed"], pool["drawn"], pool["due"]) == (4 * MG_PER_TONNE, 300, 0, 300)
    assert batch == {"taken": 4 * MG_PER_TONNE - pool["waiting"], "owed": 300}
    assert "due 可领取 300 fen" in told
    assert "批次 city/bikes/2020-12" in told


@pytest.mark.parametrize(("language", "word"), [("en", "may be drawn"), ("zh", "可领取")])
def test_the_page_says_it_in_both_languages(world: PoolWorld, language: str, word: str) -> None:
    ticket = base64.urlsafe_b64encode(world.ticket(BIKES, 1, "view")).decode()
    assert word in world.get(f"/books/person?ticket={ticket}&lang={language}").decode()


@pytest.mark.parametrize("kind", ["staked", "drawn", "proceeds"])
def test_a_counter_that_was_changed_is_named_by_the_reconciliation(world: PoolWorld, kind: str) -> None:
    _, made = draw(world, 1) if book(world, 1)["pool:city"]["due"] else (None, None)
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
    if made is not None:
        with world.rewards(Role.NODE, BIKES) as stub:
            call(stub.Cancel, reward_pb2.CancelRequest(key=world.fresh_key(), order_key=made.order_key))


def test_an_auditor_pays_out_the_same_from_the_log_alone(world: PoolWorld, tmp_path: Path) -> None:
    _, made = draw(world, 1)
    confirm(world, made.order_key)
    close_next(world)
    report = audited(world, tmp_path)
    assert report.verdict is Verdict.PASS
    assert report.results[Check.LEDGERS].findings == []
    replayed = report.figures["ledgers"]["M"]
    assert replayed == money(world)
    assert replayed["payable:bank"] >= 300
    assert replayed["payable:bank"] + replayed["fund:city:participants"] == 601
    assert run("reconcile", "--home", world.opened.home.folder)["ok"]
