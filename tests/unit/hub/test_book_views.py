"""Three books of one truth: enterprises add up to the government, persons to what it says they hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import partial
from html import escape
from typing import Any

import pytest

from accounting.ledger import chart
from hub.book_pages import WORDS, label
from hub.store.boards import read_entries
from privacy import codec
from privacy.tickets import subject_of
from protos.epochs import next_epoch
from protos.v1 import problem_pb2 as reasons
from protos.v1 import reward_pb2
from runtime.identity import Role
from tests.simulator import EPOCH
from tests.unit.accounting.programmes.programmes import NAMES, coupon, programme
from tests.unit.hub.redeeming import RewardWorld, call, reward_world
from tests.unit.hub.world import refused

BIKES, METERS = "bike-share", "utility"
NEXT = next_epoch(EPOCH)
BOARDS = {
    "cities": {"names": NAMES, "of": "population", "by": "region", "group_min": 20},
    "crowds": {"names": NAMES, "of": "population", "by": "domain", "group_min": 1_000_000},
    "friends": {"names": NAMES, "of": "opted_in", "by": "account"},
    "riders": {"names": NAMES, "of": "opted_in", "by": "account"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RewardWorld]:
    with reward_world(tmp_path_factory.mktemp("books") / "hub") as found:
        gift = coupon(cost_points=100, claim="to_pool", claim_grams=1_000)
        earn = {"all": {"names": NAMES, "ratio": [1, 10]}}
        made = programme(first_epoch=EPOCH, earn=earn, rewards={"gift": gift}, boards=BOARDS)
        found.publish_programme(made.canonical_bytes())
        found.figures[BIKES, EPOCH] = [10_000, -300, *range(1_000, 11_000, 1_000)]
        found.figures[METERS, EPOCH] = [7] * 14
        found.close_epoch()
        found.prove(0, BIKES, NEXT)
        found.deposit("city", "city", 100_000)
        order = found.order("city", "gift")
        ticket = found.order_ticket(order, 0, BIKES)
        with found.rewards(Role.NODE, BIKES) as stub:
            call(stub.Reserve, reward_pb2.ReserveRequest(order=order, ticket=ticket))
            call(stub.Confirm, reward_pb2.ConfirmRequest(key=found.fresh_key(), order_key=order.key))
        yield found


def get(world: RewardWorld, path: str, *party: Any) -> Any:
    return json.loads(world.get(path, world.identity(*party) if party else None))


def figures(book: dict[str, Any], section: str) -> dict[str, int]:
    [found] = [one for one in book["sections"] if one["key"] == section]
    return {one["key"]: one["amount"] for one in found["figures"]}


def view(world: RewardWorld, person: int, **changes: Any) -> str:
    ticket = world.ticket(BIKES, person, **{"purpose": "view", **changes})
    return base64.urlsafe_b64encode(ticket).decode()


def test_enterprises_add_up_to_the_governments_totals(world: RewardWorld) -> None:
    whole = figures(get(world, "/v1/books/government"), "2020-12")
    parts = [
        figures(get(world, f"/v1/books/enterprises/{one}", Role.NODE, one), "2020-12")
        for one in (BIKES, METERS)
    ]
    assert whole["total"] == sum(one["total"] for one in parts)
    assert set(whole) == {"total"} | {key for one in parts for key in one}


def test_regions_are_the_population_releases_own(world: RewardWorld) -> None:
    [epoch] = get(world, "/v1/population")["epochs"]
    shown = figures(get(world, "/v1/books/government"), "2020-12/regions")
    assert shown == {one["key"]: one["total"]["grams"] for one in epoch["regions"]}
    assert shown


def test_persons_hold_together_what_the_government_reads(world: RewardWorld) -> None:
    government = get(world, "/v1/books/government")
    for ledger in ("R", "P:city"):
        held = 0
        for account in {account for account, _ in world.linked.values()}:
            with world.hub.parts.readers.begin() as connection:
                wallet = world.hub.ledger.books(connection).wallet(ledger, account)
            held += wallet.available + wallet.claimable + wallet.pending - wallet.deficit
        assert figures(government, ledger)["persons"] == held
    grams = sum(sum(one) for one in world.figures.values())
    assert figures(government, "R")["src"] == grams * 1_000
    assert figures(government, "R")["pool"] == 1_000_000
    assert figures(government, "M")["payable"] == 500


def test_every_milligram_has_its_enterprise_measure_and_epoch(world: RewardWorld) -> None:
    whole = figures(get(world, "/v1/books/government"), "sources")
    assert whole == {f"2020-12 {one} main": sum(world.figures[one, EPOCH]) * 1_000 for one in (BIKES, METERS)}
    mine = figures(get(world, f"/v1/books/enterprises/{BIKES}", Role.NODE, BIKES), "sources")
    assert mine == {"2020-12 main": whole[f"2020-12 {BIKES} main"]}


def test_a_person_sees_its_own_book_and_no_other(world: RewardWorld) -> None:
    book = get(world, f"/v1/books/person?ticket={view(world, 0)}")
    assert book["name"] == world.account_of(0).hex()
    assert figures(book, "R")["available"] == 9_000_000
    assert figures(book, "P:city")["available"] == 900
    assert figures(book, "P:city")["spendable"] < 900
    [claims] = [one for one in book["sections"] if one["key"] == "R"]
    [moment] = claims["history"]
    assert (moment["epoch"], moment["amount"]) == ("2020-12", 10_000_000)
    assert moment["half"] == claims["figures"][0]["half"] > 0
    assert "pool:city" not in {one["key"] for one in book["sections"]}
    for wrong in (view(world, 0, purpose="prove"), view(world, 0, issued_at=1_600_000_000), "%3F"):
        problem = refused(partial(get, world, f"/v1/books/person?ticket={wrong}"))
        assert problem.reason == reasons.REASON_TICKET_INVALID


def test_an_enterprise_reads_its_own_book_alone(world: RewardWorld) -> None:
    path = f"/v1/books/enterprises/{BIKES}"
    for party in ((), (Role.NODE, METERS), (Role.CUSTODIAN, "regulator")):
        assert refused(partial(get, world, path, *party)).reason == reasons.REASON_ROLE_NOT_ALLOWED
    assert get(world, path, Role.AUDITOR, "auditor") == get(world, path, Role.NODE, BIKES)
    assert figures(get(world, path, Role.NODE, BIKES), "own")["enrolled"] == 12


@pytest.mark.parametrize(("language", "title"), [("en", "Government book"), ("zh", "政府账本")])
def test_every_book_has_a_page_in_both_languages(world: RewardWorld, language: str, title: str) -> None:
    assert title in world.get(f"/books/government?lang={language}").decode()
    mine = world.get(f"/books/enterprises/{BIKES}?lang={language}", world.identity(Role.NODE, BIKES)).decode()
    person = world.get(f"/books/person?ticket={view(world, 0)}&lang={language}").decode()
    for page in (mine, person):
        assert "<script" not in page
        assert "±" in page
    # A ticket opens it once, so both languages are there, and links within the page change between them.
    for words in ('href="#other"', 'href="#content"', 'id="other"', "Personal book", "个人账本"):
        assert words in person


def test_sources_are_told_by_the_enterprises_names(world: RewardWorld) -> None:
    for one in get(world, "/v1/enterprises"):
        for language in ("en", "zh"):
            name = one["name_zh"] if language == "zh" and one["name_zh"] else one["name"]
            page = world.get(f"/books/government?lang={language}").decode()
            assert f"<td>2020-12 {escape(name)} main</td>" in page
            own = f"/books/enterprises/{one['id']}?lang={language}"
            assert "<td>2020-12 main</td>" in world.get(own, world.identity(Role.NODE, one["id"])).decode()


def test_every_line_has_words_in_both_languages(world: RewardWorld) -> None:
    books = [get(world, "/v1/books/government"), get(world, f"/v1/books/person?ticket={view(world, 0)}")]
    lines = {
        (one["key"][:1], each["key"]) for book in books for one in book["sections"] for each in one["figures"]
    }
    lines |= {(ledger, kind) for ledger, kinds in chart.NATURES.items() for kind in kinds}
    regions = {one["key"] for epoch in get(world, "/v1/population")["epochs"] for one in epoch["regions"]}
    # A wallet's own accounts are shown by their parts; sources and regions go by their own names.
    named = regions | set(chart.WALLET_PARTS)
    for language, words in WORDS.items():
        for section, key in sorted(lines):
            if key in named or section == "s":
                continue
            assert label(language, section, key) in words["lines"].values(), (language, section, key)


def test_a_board_shows_large_groups_with_their_noise(world: RewardWorld) -> None:
    shown = get(world, "/v1/programmes/city/boards/cities")
    assert shown
    assert [one["place"] for one in shown] == list(range(1, len(shown) + 1))
    assert [one["amount"] for one in shown] == sorted((one["amount"] for one in shown), reverse=True)
    assert all(one["halfwidth"] > 0 for one in shown)
    assert get(world, "/v1/programmes/city/boards/crowds") == []
    problem = refused(partial(get, world, "/v1/programmes/city/boards/none"))
    assert problem.reason == reasons.REASON_PROGRAMME_UNKNOWN


def join(
    world: RewardWorld,
    person: int,
    alias: str,
    *,
    shown: bool = True,
    board: str = "friends",
    ticket: bytes = b"",
) -> bytes:
    entry = reward_pb2.BoardEntry(programme="city", board=board, alias=alias, shown=shown)
    ticket = ticket or world.ticket(BIKES, person, "choose", subject=subject_of(codec.encode(entry)))
    body = {"alias": alias, "shown": shown, "ticket": base64.urlsafe_b64encode(ticket).decode()}
    client = world.https()
    try:
        client.post_json(f"/v1/programmes/city/boards/{board}/entries", json.dumps(body).encode(), 1 << 16)
    finally:
        client.close()
    return ticket


def test_a_group_that_opted_in_is_not_shown_before_it_is_large_enough(world: RewardWorld) -> None:
    board = "/v1/programmes/city/boards/friends"
    for person in (0, 2, 3):
        if person:
            world.prove(person, BIKES, NEXT)
        join(world, person, f"Rider {person}")
    assert get(world, board) == []
    with world.hub.parts.readers.begin() as connection:
        programme = world.hub.ledger.facts(connection).in_force("city")
    assert programme is not None
    assert programme.boards["friends"].group_min == 20
    with world.hub.parts.readers.begin() as connection:
        group = read_entries(connection, "city", "friends")
        ledger = world.hub.ledger.books(connection)
        lifetimes = {alias: ledger.lifetime("P:city", account) for account, alias in group}
    assert lifetimes == {"Rider 0": 1_000, "Rider 2": 100, "Rider 3": 200}
    ticket = join(world, 3, "Rider 3", shown=False)
    again = refused(partial(join, world, 3, "Rider 3", shown=False, ticket=ticket))
    assert again.reason == reasons.REASON_TICKET_USED
    with world.hub.parts.readers.begin() as connection:
        assert [alias for _, alias in read_entries(connection, "city", "friends")].count("Rider 3") == 0


def test_joining_a_board_needs_ones_own_ticket_and_a_free_name(world: RewardWorld) -> None:
    world.prove(4, BIKES, NEXT)
    riding = partial(join, world, board="riders")
    riding(0, "First")
    assert refused(partial(riding, 4, "First")).reason == reasons.REASON_ALREADY_EXISTS
    assert refused(partial(riding, 5, "Unproved")).reason == reasons.REASON_CONTROL_NOT_PROVED
    assert refused(partial(riding, 0, "x", board="cities")).reason == reasons.REASON_PROGRAMME_UNKNOWN
    assert refused(partial(riding, 0, "<b>")).reason == reasons.REASON_UNKNOWN_FIELD_VALUE
