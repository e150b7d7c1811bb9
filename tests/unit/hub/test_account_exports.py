"""An account as its person sees it: what it holds, why, and by whose word it was touched or looked at."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hub.cli_account import account as commands
from privacy import account_changes as changes
from privacy.choices import subject
from privacy.exports import ACCOUNT, open_export
from protos.problems import Problem
from protos.v1 import account_pb2, programme_pb2
from protos.v1 import problem_pb2 as reasons
from tests.simulator import EPOCH, key
from tests.unit.hub.test_participation import (
    BIKES,
    JANUARY,
    POWER,
    ask,
    balance,
    change,
    close,
    holder,
    shown,
)
from tests.unit.hub.world import World, refused


def test_a_look_is_remembered_over_a_restart_and_shown_to_the_person(city: World) -> None:
    """Any enterprise with a person on its roster can look at the whole account: the person sees who did."""
    close(city, EPOCH)
    ticket = city.ticket(POWER, 8, "view")
    request = account_pb2.GetAccountRequest(ticket=ticket)
    ask(city, lambda stub: stub.GetAccount(request), enterprise=POWER)
    city.hub.__exit__(None, None, None)
    city.hub.__enter__()
    again = refused(lambda: ask(city, lambda stub: stub.GetAccount(request), enterprise=POWER))
    assert again.reason == reasons.REASON_TICKET_USED
    proved = change(city, changes.PROVE, city.ticket(BIKES, 8, "prove"))
    acts = shown(city, BIKES, 8)["acts"]
    assert sorted((one["purpose"], one["enterprise"], one["entry"]) for one in acts) == [
        ("prove", BIKES, proved.index),
        ("view", BIKES, None),
        ("view", POWER, None),
    ]
    assert shown(city, BIKES, 3)["acts"][0]["purpose"] == "view"


def test_a_used_ticket_is_answered_again_only_for_an_enterprise_it_is_of(city: World) -> None:
    ticket = city.ticket(BIKES, 8, "prove")
    change(city, changes.PROVE, ticket)
    problem = refused(lambda: change(city, changes.PROVE, ticket, enterprise=POWER))
    assert problem.reason == reasons.REASON_TICKET_INVALID
    choice = programme_pb2.Choice()
    choice.pool.programme, choice.pool.consents = "city-pool", True
    chosen = city.ticket(BIKES, 8, "choose", subject=subject(choice))
    request = account_pb2.ChooseRequest(choice=choice, ticket=chosen)
    ask(city, lambda stub: stub.Choose(request))
    problem = refused(lambda: ask(city, lambda stub: stub.Choose(request), enterprise=POWER))
    assert problem.reason == reasons.REASON_TICKET_INVALID


def test_an_export_says_what_may_be_spent_and_what_was_chosen(city: World) -> None:
    choice = programme_pb2.Choice()
    choice.pool.programme, choice.pool.consents = "city-pool", True
    ticket = city.ticket(BIKES, 8, "choose", subject=subject(choice))
    ask(city, lambda stub: stub.Choose(account_pb2.ChooseRequest(choice=choice, ticket=ticket)))
    close(city, EPOCH)
    content = shown(city, BIKES, 8)
    assert content["pooling"] == [{"from": "2021-02", "programme": "city-pool", "consents": True}]
    [claims] = [one for one in content["wallets"] if one["key"] == "R"]
    held = {one["key"]: one["amount"] for one in claims["figures"]}
    assert held["available"] - held["deficit"] == content["balance_mg"]
    assert held["spendable"] == max(0, held["available"] - held["reserve"])
    assert held["reserve"] > 0


def test_every_byte_of_an_export_counts(city: World) -> None:
    close(city, EPOCH)
    request = account_pb2.GetAccountRequest(ticket=city.ticket(BIKES, 1, "view"))
    export = ask(city, lambda stub: stub.GetAccount(request)).export
    for at in range(0, len(export), 13):
        changed = export[:at] + bytes([export[at] ^ 1]) + export[at + 1 :]
        with pytest.raises(Problem):
            open_export(changed, ACCOUNT, [key("hub").verify_key])


def test_a_restarted_hub_takes_no_ticket_of_whoever_left_the_enterprise_that_signs_it(city: World) -> None:
    """Rows erased at an enterprise once do not let it speak for anybody it no longer has on its roster."""
    close(city, EPOCH)
    city.enrol(BIKES, [], effective=JANUARY, withdrawn=[8, 9])
    city.erase(BIKES, [9])
    city.hub.__exit__(None, None, None)
    city.hub.__enter__()
    assert holder(city, 8)
    for leaver, kind, purpose in ((8, changes.CLOSE, "close"), (16, changes.SPLIT, "split")):
        problem = refused(partial(change, city, kind, city.ticket(BIKES, leaver, purpose)))
        assert problem.reason == reasons.REASON_TICKET_INVALID
    denied = refused(lambda: shown(city, BIKES, 8))
    assert denied.reason == reasons.REASON_TICKET_INVALID
    assert change(city, changes.CLOSE, city.ticket(POWER, 8, "close"), enterprise=POWER).account


def test_the_operators_commands_explain_export_and_freeze(city: World, tmp_path: Path) -> None:
    close(city, EPOCH)
    account, home = holder(city, 8), ["--home", str(city.opened.home.folder)]

    def run(*arguments: str) -> Any:
        found = CliRunner().invoke(commands, [*arguments, *home, "--json"], catch_exceptions=False)
        return json.loads(found.output)

    explained = run("explain", account.hex())
    assert explained["balance_mg"] == balance(city, account)
    run("export", account.hex(), str(tmp_path / "account.dsse"))
    data = (tmp_path / "account.dsse").read_bytes()
    assert open_export(data, ACCOUNT, [key("hub").verify_key])["lines"] == explained["lines"]
    assert run("freeze", account.hex())["frozen"]
    assert run("show", account.hex())["account"] == account.hex()
    said = CliRunner().invoke(commands, ["explain", account.hex(), *home], catch_exceptions=False).output
    assert "frozen" in said
    assert not run("unfreeze", account.hex())["frozen"]
