from __future__ import annotations

import threading

import pytest

from privacy import envelope, merkle
from privacy.envelope import Kind
from privacy.receipts import open_receipt
from protos.epochs import Epoch
from protos.v1 import books_pb2, hub_pb2
from protos.v1 import problem_pb2 as reasons
from protos.v1.release_pb2 import NOTHING_REASON_EMPTY_ROSTER, NOTHING_REASON_NOT_YET_LIVE
from tests.simulator import CUSTODIANS, EPOCH, ORIGIN, key
from tests.unit.hub.world import World, begin, refused, running

NEXT = Epoch(202101)


def close(world: World, epoch: Epoch = EPOCH, *, allow_missing: bool = False) -> hub_pb2.CloseEpochResponse:
    with world.operator() as client:
        return client.close(epoch, allow_missing=allow_missing)


def message_of(response: hub_pb2.CloseEpochResponse) -> books_pb2.EpochClose:
    return envelope.open_envelope(response.close).parse(books_pb2.EpochClose)


def release_all(world: World, epoch: Epoch = EPOCH) -> World:
    for one in world.enterprises:
        world.release(one.id, epoch)
    return world


def check_books(world: World, response: hub_pb2.CloseEpochResponse, epoch: Epoch) -> None:
    """The close says what an independent fold of the same log says."""
    world.follow()
    message, books = message_of(response), world.accounts(epoch)
    leaves = [
        row + balance.to_bytes(8, "big", signed=True) + variance.to_bytes(16, "big")
        for row, (balance, variance, _) in sorted(books.items())
    ]
    assert message.accounts_root == merkle.root(leaves)
    assert message.accounts == len(books)
    assert message.accounts_in_two_or_more == sum(len(issuers) > 1 for _, _, issuers in books.values())
    assert message.total_mg == sum(balance for balance, _, _ in books.values())
    assert message.log_root == world.state.root(message.log_size)


def test_a_close_links_everybody_and_folds_every_statement(enrolled: World) -> None:
    response = close(release_all(enrolled))
    check_books(enrolled, response, EPOCH)
    message = message_of(response)
    assert (message.accounts, message.accounts_in_two_or_more, list(message.missing)) == (20, 6, [])
    receipt = open_receipt(response.receipt, key("hub").verify_key, origin=ORIGIN, entry=response.close)
    assert receipt.index == message.log_size == len(enrolled.entries) - 1


def test_a_second_epoch_adds_to_the_same_accounts(enrolled: World) -> None:
    close(release_all(enrolled))
    enrolled.follow()
    response = close(release_all(enrolled, NEXT), NEXT)
    check_books(enrolled, response, NEXT)
    kinds = [envelope.open_envelope(entry.data).kind for entry in enrolled.entries]
    assert kinds.count(Kind.LINK_BATCH) == 1


def test_closing_again_gives_the_first_close(enrolled: World) -> None:
    first = close(release_all(enrolled))
    enrolled.follow()
    release_all(enrolled, NEXT)
    assert close(enrolled) == first
    close(enrolled, NEXT)
    assert close(enrolled) == first


def test_closes_at_the_same_time_give_one(enrolled: World) -> None:
    release_all(enrolled)
    found: list[hub_pb2.CloseEpochResponse] = []
    threads = [threading.Thread(target=lambda: found.append(close(enrolled))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]


def test_a_close_says_whom_it_waits_for(enrolled: World) -> None:
    enrolled.release("bike-share")
    problem = refused(lambda: close(enrolled))
    assert problem.reason == reasons.REASON_EPOCH_NOT_READY
    assert "utility has neither released nor signed nothing-to-report" in problem.message


def test_a_close_waits_for_the_custodians_counts(empty: World) -> None:
    world = begin(empty)
    world.count(CUSTODIANS[0], "bike-share", 12)
    world.enrol("bike-share", range(12))
    world.release("bike-share")
    world.nothing_to_report("utility", NOTHING_REASON_EMPTY_ROSTER)
    problem = refused(lambda: close(world))
    assert "reported 12 evaluations for bike-share, its enrolments need 24" in problem.message
    world.count(CUSTODIANS[2], "bike-share", 12)
    check_books(world, close(world), EPOCH)


def test_a_missing_enterprise_is_named_in_the_close(enrolled: World) -> None:
    enrolled.release("bike-share")
    response = close(enrolled, allow_missing=True)
    assert list(message_of(response).missing) == ["utility"]
    check_books(enrolled, response, EPOCH)


def test_a_late_release_goes_into_the_next_close(enrolled: World) -> None:
    enrolled.release("bike-share")
    before = message_of(close(enrolled, allow_missing=True))
    enrolled.follow()
    enrolled.release("utility")
    response = close(release_all(enrolled, NEXT), NEXT)
    check_books(enrolled, response, NEXT)
    after = message_of(response)
    assert (before.accounts, after.accounts) == (12, 20)
    # What is late keeps its epoch: claims drawn now, of the vintage they were stated for.
    vintages = [(one.enterprise_id, one.epoch) for one in after.sources]
    assert vintages == [("bike-share", NEXT), ("utility", EPOCH), ("utility", NEXT)]
    assert before.total_mg + sum(one.milligrams for one in after.sources) == after.total_mg


def test_epochs_close_in_order(enrolled: World) -> None:
    release_all(enrolled)
    release_all(enrolled, NEXT)
    problem = refused(lambda: close(enrolled, NEXT, allow_missing=True))
    assert "2020-12 is open" in problem.message
    check_books(enrolled, close(enrolled), EPOCH)
    check_books(enrolled, close(enrolled, NEXT), NEXT)


def test_an_epoch_before_a_closed_one_stays_closed(enrolled: World) -> None:
    close(release_all(enrolled))
    problem = refused(lambda: close(enrolled, Epoch(202011), allow_missing=True))
    assert problem.reason == reasons.REASON_EPOCH_NOT_READY


def test_an_epoch_without_releases_closes_empty(empty: World) -> None:
    world = begin(empty)
    for one in world.enterprises:
        world.nothing_to_report(one.id, NOTHING_REASON_NOT_YET_LIVE)
    message = message_of(close(world))
    assert (message.accounts, message.total_mg) == (0, 0)
    assert message.accounts_root == merkle.root([])


def test_somebody_who_comes_later_gets_an_account_later(enrolled: World) -> None:
    close(release_all(enrolled))
    enrolled.follow()
    for custodian in CUSTODIANS[:2]:
        enrolled.count(custodian, "bike-share", 3)
    enrolled.enrol("bike-share", [30, 31, 6], effective=NEXT, withdrawn=[0, 6])
    response = close(release_all(enrolled, NEXT), NEXT)
    check_books(enrolled, response, NEXT)
    assert message_of(response).accounts == 22


def test_a_release_that_comes_before_the_earlier_epochs_close_gives_accounts(enrolled: World) -> None:
    for one in enrolled.enterprises:
        enrolled.nothing_to_report(one.id, NOTHING_REASON_NOT_YET_LIVE)
    release_all(enrolled, NEXT)
    assert message_of(close(enrolled)).accounts == 0
    enrolled.follow()
    response = close(enrolled, NEXT)
    check_books(enrolled, response, NEXT)
    assert message_of(response).accounts == 20


def test_books_survive_a_restart(enrolled: World) -> None:
    first = close(release_all(enrolled))
    enrolled.follow()
    enrolled.hub.__exit__(None, None, None)
    with running(enrolled.opened) as hub:
        enrolled.hub = hub
        assert close(enrolled) == first
        check_books(enrolled, close(release_all(enrolled, NEXT), NEXT), NEXT)


@pytest.mark.parametrize("lost", ["*.parquet", "*"])
def test_columnar_files_can_be_lost(enrolled: World, lost: str) -> None:
    close(release_all(enrolled))
    enrolled.follow()
    for path in enrolled.opened.home.work.rglob(lost):
        if path.is_file():
            path.unlink()
    check_books(enrolled, close(release_all(enrolled, NEXT), NEXT), NEXT)
