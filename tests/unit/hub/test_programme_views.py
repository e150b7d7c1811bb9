"""Anybody sees a programme as the books have it: rules, points, money, tonnes by state; in JSON and pages."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from accounting.ledger import chart
from hub.store.reservations import walk_balances
from protos.v1 import ledger_pb2
from protos.v1 import problem_pb2 as reasons
from runtime.https import client_context
from tests.unit.hub.pool_world import PoolWorld, issue, pool_world
from tests.unit.hub.world import refused

OUTSIDE = re.compile(r"<script|style=|javascript:|(?:src|href)=\"(?:https?:)?//")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolWorld]:
    """A hub that has issued, sold and retired."""
    with pool_world(tmp_path_factory.mktemp("programmes") / "hub") as found:
        found.deposit("city", "city", 50_000)
        batch = issue(found).batch
        named = {"programme": "city", "batch": batch.batch, "buyer": "works"}
        for name, act in (
            ("sell", {"tonnes": 3, "fen": 9_001}),
            ("retire", {"tonnes": 1, "purpose": "voluntary"}),
        ):
            operation = ledger_pb2.Operation(key=found.fresh_key())
            for field, value in {**named, **act}.items():
                setattr(getattr(operation, name), field, value)
            found.hub.ledger.submit(operation)
        yield found


def shown(world: PoolWorld) -> dict[str, Any]:
    return dict(json.loads(world.get("/v1/programmes/city")))


def test_what_became_of_points_money_and_tonnes_is_what_the_ledgers_hold(world: PoolWorld) -> None:
    seen = shown(world)
    with world.hub.parts.readers.begin() as connection:
        books = world.hub.ledger.books(connection)
        wallets = [books.wallet("P:city", one) for one in {account for account, _ in world.linked.values()}]
        balances = dict(walk_balances(connection))
    held = sum(one.available + one.claimable + one.pending - one.deficit for one in wallets)
    assert seen["points"]["persons"] == held
    assert seen["points"]["mint"] == held + sum(
        amount for kind, amount in seen["points"].items() if kind not in ("mint", "persons")
    )
    funds = {one["id"]: one["fen"] for one in seen["funds"]}
    assert funds == {"city": 50_000 + 2_700, "participants": 5_401}
    for name, fen in funds.items():
        account = chart.fund("city", name)
        assert balances[account].of(account) == fen
    assert {one["id"]: one["payout_fen_min"] for one in seen["rewards"]} == {"pool": None, "share": 10}
    [batch] = seen["batches"]
    assert batch["tonnes"]["issuer"] == sum(
        tonnes for state, tonnes in batch["tonnes"].items() if state != "issuer"
    )
    assert {state: batch["tonnes"][state] for state in ("sold", "retired")} == {"sold": 2, "retired": 1}
    said = batch["explained"]
    assert said["issued_tonnes"] + said["buffer_tonnes"] == batch["tonnes"]["issuer"]
    assert said["pooled_grams"] == 9_000_000


def test_the_list_names_what_is_in_force(world: PoolWorld) -> None:
    [line] = json.loads(world.get("/v1/programmes"))
    assert (line["id"], line["is_in_force"], line["first_epoch"], line["last_epoch"]) == (
        "city",
        True,
        "2020-12",
        None,
    )
    assert refused(partial(world.get, "/v1/programmes/village")).reason == reasons.REASON_NOT_FOUND


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            [
                "What points buy",
                "left out for noise and methodology",
                "527.00 yuan",
                "sold, not yet used",
                "2 t",
            ],
        ),
        ("zh", ["积分可换什么", "噪声与方法学扣减", "527.00 元", "已售未用", "2 吨"]),
    ],
)
def test_a_programme_is_a_page_in_both_languages(world: PoolWorld, language: str, words: list[str]) -> None:
    listed = world.get(f"/programmes?lang={language}").decode()
    assert f'href="/programmes/city?lang={language}"' in listed
    page = world.get(f"/programmes/city?lang={language}").decode()
    for word in words:
        assert word in page
    assert page.count('role="img"') >= 3
    for each in (listed, page, world.get(f"/?lang={language}").decode()):
        assert not OUTSIDE.search(each)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/programmes/village?lang=en", 404, "There is no programme village."),
        ("/books/person?ticket=%3F&lang=zh", 403, "无法显示"),
        ("/books/enterprises/bike-share?lang=zh", 403, "client certificate"),
    ],
)
def test_a_page_that_cannot_be_shown_says_so_to_a_person(
    world: PoolWorld, path: str, status: int, said: str
) -> None:
    host, _, port = world.hub.https_address.rpartition(":")
    context = client_context(world.opened.authority.ca_pem)
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    page = answer.read().decode()
    connection.close()
    assert answer.status == status
    assert answer.getheader("content-type") == "text/html; charset=utf-8"
    assert said in page
    assert not OUTSIDE.search(page)
