"""Participants prove, merge, choose and look through the hub, and every line adds up to the balance."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from auditor.app import verify_source
from auditor.findings import Check
from hub.rebuild import rebuild
from hub.store.database import open_readers
from hub.store.tickets import read_tickets
from privacy import account_changes as changes
from privacy.choices import subject
from privacy.exports import ACCOUNT, open_export
from privacy.ownership import AccountState
from protos.epochs import Epoch
from protos.problems import Problem
from protos.v1 import account_pb2, account_pb2_grpc, programme_pb2
from protos.v1 import problem_pb2 as reasons
from runtime.identity import Role
from runtime.problems import problem_from_rpc_error
from tests.simulator import EPOCH, key, pseudonym
from tests.unit.accounting.programmes.programmes import programme
from tests.unit.hub.world import World, begin, enrol, refused, running, stored, world

BIKES, POWER = "bike-share", "utility"
JANUARY = Epoch(202101)


def close(city: World, epoch: Epoch) -> None:
    for one in city.enterprises:
        city.release(one.id, epoch)
    with city.operator() as client:
        client.close(epoch, allow_missing=False)
    city.follow()


def ask(city: World, call: Callable[[Any], Any], *, enterprise: str = BIKES) -> Any:
    """Call AccountService with an enterprise's certificate."""
    with city.channel(city.identity(Role.NODE, enterprise)) as channel:
        try:
            return call(account_pb2_grpc.AccountServiceStub(channel))
        except grpc.RpcError as error:
            raise problem_from_rpc_error(error) from None
        finally:
            city.follow()


def change(city: World, kind: Any, *tickets: bytes, enterprise: str = BIKES) -> Any:
    request = account_pb2.ChangeAccountRequest(kind=kind, tickets=tickets)
    return ask(city, lambda stub: stub.ChangeAccount(request), enterprise=enterprise)


def shown(city: World, enterprise: str, person: int) -> dict[str, Any]:
    """Look at a person's account through an enterprise; the export verifies with the hub's key."""
    request = account_pb2.GetAccountRequest(ticket=city.ticket(enterprise, person, "view"))
    export = ask(city, lambda stub: stub.GetAccount(request), enterprise=enterprise).export
    content: dict[str, Any] = open_export(export, ACCOUNT, [key("hub").verify_key])
    return content


def holder(city: World, person: int) -> bytes:
    found = city.state.participants.account(pseudonym(person))
    assert found is not None
    return found


def balance(city: World, account: bytes) -> int:
    operator = city.identity(Role.OPERATOR, "operator")
    return int(json.loads(city.get(f"/v1/accounts/{account.hex()}", operator))["balance_mg"])


def test_control_is_proved_before_anything_was_released_and_answered_alike_again(city: World) -> None:
    ticket = city.ticket(BIKES, 3, "prove")
    first = change(city, changes.PROVE, ticket)
    assert change(city, changes.PROVE, ticket) == first
    assert holder(city, 3) == first.account
    assert city.state.participants.is_proved(first.account)
    stolen = city.ticket(POWER, 8, "prove")
    problem = refused(lambda: change(city, changes.PROVE, stolen, enterprise=BIKES))
    assert problem.reason == reasons.REASON_TICKET_INVALID


def test_a_refused_change_leaves_the_hub_running(city: World) -> None:
    lone = city.ticket(BIKES, 3, "merge")
    assert refused(lambda: change(city, changes.MERGE, lone)).reason == reasons.REASON_TICKET_INVALID
    change(city, changes.PROVE, city.ticket(BIKES, 3, "prove"))


def test_a_merge_brings_the_balance_and_the_lines_add_up(city: World, tmp_path: Path) -> None:
    close(city, EPOCH)
    first = city.ticket(BIKES, 3, "merge")
    second = city.ticket(POWER, 15, "merge", subject=hashlib.sha256(first).digest())
    before = [balance(city, holder(city, person)) for person in (3, 15)]
    done = change(city, changes.MERGE, first, second)
    close(city, JANUARY)
    account = holder(city, 3)
    assert holder(city, 15) == account == done.account
    assert change(city, changes.MERGE, first, second) == done
    content = shown(city, POWER, 15)
    assert content["balance_mg"] == balance(city, account)
    counted = [one for one in content["lines"] if one["epoch"] == "2020-12"]
    assert sum(one["grams"] for one in counted) * 1000 == sum(before)
    assert {one["enterprise"] for one in counted} == {BIKES, POWER}
    trust_root = city.write_bundle(tmp_path / "audit" / "bundle")
    report = verify_source(str(tmp_path / "audit" / "bundle"), trust_root, None)
    for check in (Check.ENTRIES, Check.BODIES, Check.TICKETS, Check.SELECTIONS, Check.ACCOUNTS):
        assert report.results[check].findings == []
        assert report.results[check].examined > 0
    city.hub.__exit__(None, None, None)
    made = rebuild(city.opened, write=False)
    assert made.differences == []
    city.hub.__enter__()


def test_every_account_is_explained_to_the_gram(city: World) -> None:
    close(city, EPOCH)
    close(city, JANUARY)
    for person in (0, 8, 19):
        enterprise = BIKES if person < 12 else POWER
        content = shown(city, enterprise, person)
        assert content["balance_mg"] == balance(city, holder(city, person)), person
        assert content["balance_mg"] == 1000 * sum(one["grams"] for one in content["lines"])
        assert content["low_mg"] < content["balance_mg"] < content["high_mg"]
    with pytest.raises(Problem):
        open_export(city.ticket(BIKES, 1, "view"), ACCOUNT, [key("hub").verify_key])


def test_who_is_missing_and_who_came_late_is_named(city: World) -> None:
    city.release(BIKES)
    with city.operator() as client:
        client.close(EPOCH, allow_missing=True)
    city.follow()
    lines = shown(city, BIKES, 8)["lines"]
    named = [(one["what"], one["enterprise"]) for one in lines]
    assert named == [("month", BIKES), ("missing", POWER)]
    city.release(POWER)
    late = shown(city, BIKES, 8)
    assert [one["what"] for one in late["lines"]] == ["month", "came late", "counts at the next close"]
    assert late["balance_mg"] == balance(city, holder(city, 8))
    close(city, JANUARY)
    content = shown(city, POWER, 8)
    assert content["balance_mg"] == balance(city, holder(city, 8))
    assert [one["what"] for one in content["lines"]].count("month") == 4


def test_a_choice_acts_from_the_month_after_and_is_answered_alike_again(city: World) -> None:
    choice = programme_pb2.Choice()
    choice.recording.overlap_class, choice.recording.enterprise_id = "OC-WALK", POWER
    ticket = city.ticket(BIKES, 8, "choose", subject=subject(choice))
    request = account_pb2.ChooseRequest(choice=choice, ticket=ticket)
    done = ask(city, lambda stub: stub.Choose(request))
    assert done.effective_epoch == 202102
    assert ask(city, lambda stub: stub.Choose(request)) == done
    for nothing, reason in (
        (recording("OC-WLAK", POWER), reasons.REASON_UNKNOWN_FIELD_VALUE),
        (recording("OC-WALK", "nobody"), reasons.REASON_NOT_REGISTERED),
        (pool("city-pond"), reasons.REASON_PROGRAMME_UNKNOWN),
    ):
        fresh = city.ticket(BIKES, 8, "choose", subject=subject(nothing))
        asked = account_pb2.ChooseRequest(choice=nothing, ticket=fresh)
        assert refused(partial(ask, city, partial(_choose, asked))).reason == reason
    request.choice.recording.enterprise_id = BIKES
    problem = refused(lambda: ask(city, lambda stub: stub.Choose(request)))
    assert problem.reason == reasons.REASON_TICKET_INVALID
    assert shown(city, BIKES, 8)["choices"] == [
        {"from": "2021-02", "overlap_class": "OC-WALK", "enterprise": POWER}
    ]


def _choose(request: account_pb2.ChooseRequest, stub: Any) -> Any:
    return stub.Choose(request)


def recording(overlap_class: str, enterprise: str) -> programme_pb2.Choice:
    choice = programme_pb2.Choice()
    choice.recording.overlap_class, choice.recording.enterprise_id = overlap_class, enterprise
    return choice


def pool(name: str) -> programme_pb2.Choice:
    choice = programme_pb2.Choice()
    choice.pool.programme, choice.pool.consents = name, True
    return choice


def pooling(city: World, *persons: int) -> account_pb2.ChooseAllRequest:
    choice = programme_pb2.Choice()
    choice.pool.programme, choice.pool.consents = "city-pool", True
    return account_pb2.ChooseAllRequest(
        choices=[
            account_pb2.ChooseRequest(
                choice=choice, ticket=city.ticket(BIKES, person, "choose", subject=subject(choice))
            )
            for person in persons
        ]
    )


def test_many_choose_in_one_entry_and_each_is_answered_alike_again(city: World) -> None:
    first = pooling(city, 3, 4)
    [three, four] = ask(city, lambda stub: stub.ChooseAll(first)).answers
    assert three.index == four.index
    assert three.account != four.account
    more = pooling(city, 5)
    more.choices.append(first.choices[1])
    [five, again] = ask(city, lambda stub: stub.ChooseAll(more)).answers
    assert again == four
    assert five.index > four.index
    pooled = city.state.participants.choices
    assert all(pooled.consents(one.account, "city-pool", Epoch(202102)) for one in (three, four, five))


def test_no_choice_of_many_is_logged_where_one_is_refused(city: World) -> None:
    asked = pooling(city, 3, 4)
    asked.choices[1].choice.pool.programme = "another"
    before = city.hub.log_size
    assert refused(lambda: ask(city, lambda stub: stub.ChooseAll(asked))).reason == (
        reasons.REASON_TICKET_INVALID
    )
    assert refused(lambda: ask(city, lambda stub: stub.ChooseAll(account_pb2.ChooseAllRequest()))).reason == (
        reasons.REASON_UNKNOWN_FIELD_VALUE
    )
    # Accounts may have been drawn; nothing was chosen.
    assert city.state.participants.choices.batches == 0
    assert city.hub.log_size <= before + 1


def test_a_retrospective_policy_lets_choices_act_from_what_is_not_settled(tmp_path: Path) -> None:
    with world(tmp_path / "hub") as past:
        past.policy_changes = {"retrospective": True}
        enrol(begin(past))
        past.publish_programme(programme(id="city-pool", first_epoch=EPOCH).canonical_bytes())
        [chosen] = ask(past, lambda stub: stub.ChooseAll(pooling(past, 3))).answers
        assert chosen.effective_epoch == EPOCH


def test_a_split_gives_the_number_a_new_account(city: World) -> None:
    close(city, EPOCH)
    old = holder(city, 8)
    done = change(city, changes.SPLIT, city.ticket(POWER, 8, "split"), enterprise=POWER)
    assert holder(city, 8) == done.account != old
    close(city, JANUARY)
    content = shown(city, POWER, 8)
    assert {one["epoch"] for one in content["lines"]} == {"2021-01"}
    assert content["balance_mg"] == balance(city, done.account)


def test_the_portal_does_the_same_over_https_by_tickets_alone(city: World) -> None:
    close(city, EPOCH)
    client = city.https()

    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(client.post_json(path, json.dumps(body).encode(), 1 << 20))
        return found

    def text(ticket: bytes) -> str:
        return base64.b64encode(ticket).decode()

    try:
        proved = post(
            "/v1/my/account/changes", {"kind": "prove", "tickets": [text(city.ticket(BIKES, 3, "prove"))]}
        )
        seen = post("/v1/my/account", {"ticket": text(city.ticket(BIKES, 3, "view"))})
        choice = programme_pb2.Choice()
        choice.pool.programme, choice.pool.consents = "city-pool", True
        ticket = city.ticket(BIKES, 3, "choose", subject=subject(choice))
        pooled = {"programme": "city-pool", "consents": True, "ticket": text(ticket)}
        assert post("/v1/my/choices/pool", pooled)["from"] == "2021-02"
    finally:
        client.close()
    assert seen["account"]["account"] == proved["account"]
    assert seen["account"]["control_proved"]
    export = open_export(base64.b64decode(seen["export"]), ACCOUNT, [key("hub").verify_key])
    assert export["balance_mg"] == seen["account"]["balance_mg"]


def test_the_operator_freezes_and_opens(city: World) -> None:
    close(city, EPOCH)
    account = holder(city, 3)
    with city.operator() as client:
        client.set_frozen(account, frozen=True)
        city.follow()
        assert city.state.participants.state(account) is AccountState.FROZEN
        assert (
            open_export(client.export_account(account), ACCOUNT, [key("hub").verify_key])["state"] == "frozen"
        )
        client.set_frozen(account, frozen=False)
        again = refused(lambda: client.set_frozen(account, frozen=False))
    assert again.reason == reasons.REASON_ALREADY_EXISTS
    request = account_pb2.SetFrozenRequest(account=account, frozen=True)
    denied = refused(lambda: ask(city, lambda stub: stub.SetFrozen(request)))
    assert denied.reason == reasons.REASON_ROLE_NOT_ALLOWED


def test_an_erased_persons_acts_are_gone_and_the_log_still_holds(city: World, tmp_path: Path) -> None:
    close(city, EPOCH)
    old, other = holder(city, 3), holder(city, 15)
    change(city, changes.PROVE, city.ticket(BIKES, 3, "prove"))
    change(city, changes.SPLIT, city.ticket(BIKES, 3, "split"))
    choice = programme_pb2.Choice()
    choice.recording.overlap_class, choice.recording.enterprise_id = "OC-WALK", POWER
    ticket = city.ticket(BIKES, 3, "choose", subject=subject(choice))
    ask(city, lambda stub: stub.Choose(account_pb2.ChooseRequest(choice=choice, ticket=ticket)))
    first = city.ticket(BIKES, 4, "merge")
    second = city.ticket(POWER, 15, "merge", subject=hashlib.sha256(first).digest())
    change(city, changes.MERGE, first, second)
    accounts = [*map(holder, [city] * 3, (3, 4, 15)), old, other]
    for person in (3, 4):
        assert any(pseudonym(person) in body for one in stored(city.opened.home) for body in one.bodies)
    city.enrol(BIKES, [], effective=JANUARY, withdrawn=[3, 4])
    city.erase(BIKES, [3, 4])
    readers = open_readers(city.opened.home.database)
    with readers.begin() as connection:
        left = {one.pseudonym for one in read_tickets(connection, accounts, 100)}
    readers.dispose()
    assert left == {pseudonym(15)}
    city.hub.__exit__(None, None, None)
    city.entries = stored(city.opened.home)
    for person in (3, 4):
        assert not any(pseudonym(person) in body for one in city.entries for body in one.bodies)
    with running(city.opened) as hub:
        assert hub.log_size == len(city.entries)
    trust_root = city.write_bundle(tmp_path / "audit" / "bundle")
    report = verify_source(str(tmp_path / "audit" / "bundle"), trust_root, None)
    for check in (Check.ENTRIES, Check.BODIES, Check.TICKETS, Check.SELECTIONS, Check.ERASURES):
        assert report.results[check].findings == []
    city.hub.__enter__()


def test_a_household_is_shared_out_and_explained_to_everybody(city: World) -> None:
    close(city, EPOCH)
    household, one, other = (holder(city, person) for person in (15, 3, 4))
    person_of = {one: 3, other: 4}
    parts = sorted([(one, 2_500), (other, 7_500)])
    terms = changes.share_terms(household, parts)
    tickets = [city.ticket(POWER, 15, "share", subject=terms)]
    tickets += [city.ticket(BIKES, person_of[account], "share", subject=terms) for account, _ in parts]
    request = account_pb2.ChangeAccountRequest(
        kind=changes.SHARE_OUT,
        tickets=tickets,
        shares_accounts=[account for account, _ in parts],
        shares_basis_points=[points for _, points in parts],
    )
    done = ask(city, lambda stub: stub.ChangeAccount(request))
    assert ask(city, lambda stub: stub.ChangeAccount(request)) == done
    others = account_pb2.ChangeAccountRequest()
    others.CopyFrom(request)
    others.shares_basis_points[:] = [5_000, 5_000]
    problem = refused(lambda: ask(city, lambda stub: stub.ChangeAccount(others)))
    assert problem.reason == reasons.REASON_TICKET_USED
    close(city, JANUARY)
    for person in (3, 4):
        content = shown(city, BIKES, person)
        assert content["balance_mg"] == balance(city, holder(city, person))
        [share] = [line for line in content["lines"] if "household_grams" in line]
        assert share["enterprise"] == POWER
    assert {line["epoch"] for line in shown(city, POWER, 15)["lines"]} == {"2020-12"}
