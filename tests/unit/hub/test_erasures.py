"""An order erases salt and pseudonym wherever the hub keeps them; books, exports and audits then agree."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from auditor.app import NO_OPTIONS, Options, verify_source
from auditor.findings import Check
from auditor.report import Report
from hub.export import export_bundle
from hub.rebuild import rebuild
from hub.reconcile import reconcile
from hub.store import books
from hub.store.database import open_readers, open_writer
from hub.store.ledger_schema import operation
from hub.store.location import SqliteFile
from hub.store.schema import body, body_erasure
from privacy import envelope
from privacy.envelope import Kind
from privacy.erasures import erased_account
from protos.epochs import Epoch
from protos.problems import Conflict, Problem, Refused, Unavailable
from protos.v1.roster_pb2 import RosterOpening
from tests.simulator import ORIGIN, key, pseudonym
from tests.unit.hub.spending import reserve, settled, submit
from tests.unit.hub.test_accounts import check_books, close, release_all
from tests.unit.hub.test_api import wait_published
from tests.unit.hub.world import Crash, CrashAt, World, make_home, refused, running, stored

BIKES, UTILITY = "bike-share", "utility"
NEXT = Epoch(202101)


@pytest.fixture
def withdrawn(enrolled: World) -> World:
    """The first epoch is closed; persons 0 (bikes alone) and 6 (utility too) have left the bikes."""
    close(release_all(enrolled))
    enrolled.follow()
    enrolled.enrol(BIKES, [], effective=NEXT, withdrawn=[0, 6])
    return enrolled


def raw(world: World) -> bytes:
    """Give everything in the home of a hub that has stopped, files of the database and of its folds."""
    with open_writer(world.opened.home.database).connect() as connection:
        connection.exec_driver_sql("rollback")
        connection.exec_driver_sql("pragma wal_checkpoint(truncate)")
    files = [path for path in world.opened.home.folder.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files)


def database_files(world: World) -> bytes:
    """Give the database's file and its log of writes, also while a hub writes there."""
    location = world.opened.home.database
    assert isinstance(location, SqliteFile)
    log = location.path.with_name(f"{location.path.name}-wal")
    return location.path.read_bytes() + (log.read_bytes() if log.exists() else b"")


def balances(world: World) -> dict[bytes, int]:
    readers = open_readers(world.opened.home.database)
    with readers.begin() as connection:
        found = {one.account: one.balance_mg for one in books.walk_balances(connection)}
    readers.dispose()
    return found


def test_an_order_erases_everywhere_and_the_next_close_agrees(withdrawn: World) -> None:
    before = balances(withdrawn)
    withdrawn.erase(BIKES, [0, 6])
    withdrawn.hub.closer.forget_erased()
    now = balances(withdrawn)
    assert sum(now.values()) == sum(before.values())
    assert len(now) == len(before)  # One person's account is gone, the enterprise's is there.
    assert erased_account(BIKES) in now
    assert [entry.bodies for entry in stored(withdrawn.opened.home)] == [
        entry.bodies for entry in withdrawn.entries
    ]
    response = close(release_all(withdrawn, NEXT), NEXT)
    check_books(withdrawn, response, NEXT)
    withdrawn.hub.__exit__()
    assert pseudonym(0) not in raw(withdrawn)
    assert pseudonym(6) in raw(withdrawn)
    assert rebuild(withdrawn.opened, write=False).differences == []


def test_erased_bytes_leave_the_files_while_the_hub_serves(withdrawn: World) -> None:
    """Without a checkpoint of the database by anybody else: pages are zeroed, the log is emptied."""
    salts = [
        RosterOpening.FromString(data).salts[:16]
        for one in withdrawn.entries
        for data in one.bodies[1::2]
        if envelope.open_envelope(one.data).kind is Kind.ROSTER_BATCH
    ]
    assert pseudonym(0) in database_files(withdrawn)
    assert salts[0] in database_files(withdrawn)
    withdrawn.erase(BIKES, [0, 6])
    withdrawn.hub.parts.forgetting.forget()
    left = database_files(withdrawn)
    assert pseudonym(0) not in left
    assert salts[0] not in left
    assert pseudonym(6) in left  # Of whom the other enterprise still releases.


def test_a_bundle_after_erasures_passes_and_counts_them(withdrawn: World, tmp_path: Path) -> None:
    withdrawn.erase(BIKES, [0, 6])
    withdrawn.hub.closer.forget_erased()
    close(release_all(withdrawn, NEXT), NEXT)
    withdrawn.follow()
    wait_published(withdrawn)
    readers = open_readers(withdrawn.opened.home.database)
    log_key = key("log").verify_key
    export_bundle(withdrawn.opened.home.folder, readers, tmp_path / "bundle", origin=ORIGIN, log_key=log_key)
    readers.dispose()
    (tmp_path / "trust-root").write_bytes(withdrawn.entries[0].data)
    report = verify_source(str(tmp_path / "bundle"), tmp_path / "trust-root", None)
    # The simulator's packs are no packs, and its trust root names no second log key.
    assert {one.check for one in report.results.findings} <= {Check.PACKS, Check.CHECKPOINT}
    assert report.figures["erasures"] == {"orders": 1, "slots": {BIKES: 2}}


def test_a_hub_started_again_over_erased_bodies_goes_on(withdrawn: World) -> None:
    withdrawn.erase(BIKES, [0])
    withdrawn.hub.__exit__()
    with running(withdrawn.opened) as hub:
        withdrawn.hub = hub
        hub.closer.forget_erased()
        withdrawn.enrol(BIKES, [0, 40], effective=NEXT)
        response = close(release_all(withdrawn, NEXT), NEXT, allow_missing=True)
        check_books(withdrawn, response, NEXT)


@pytest.mark.parametrize("step", ["stored", "committed"])
def test_a_crash_during_an_erasure_leaves_all_or_nothing(withdrawn: World, step: str) -> None:
    message = withdrawn.signed(Kind.ERASURE_ORDER, withdrawn.erasure(BIKES, [0]), BIKES)
    withdrawn.hub.__exit__()
    crash = CrashAt(step)
    with running(withdrawn.opened, crash) as hub:
        withdrawn.hub = hub
        with contextlib.suppress(Problem, Crash):
            withdrawn.send(message)
    assert step in crash.reached
    with running(withdrawn.opened) as hub:
        withdrawn.hub = hub
        withdrawn.send(message)
        hub.closer.forget_erased()
    assert [entry.data for entry in stored(withdrawn.opened.home)].count(message) == 1
    withdrawn.empty(BIKES, [0])
    assert [one.bodies for one in stored(withdrawn.opened.home)[:-1]] == [
        one.bodies for one in withdrawn.entries
    ]
    assert rebuild(withdrawn.opened, write=False).differences == []


def test_bodies_change_by_order_alone_and_once(withdrawn: World) -> None:
    withdrawn.erase(BIKES, [0])
    at = next(index for index, one in enumerate(withdrawn.entries) if len(one.bodies) == 2 and index < 12)
    changes = {
        "without an order": update(body).where(body.c.idx == at, body.c.position == 1).values(data=b"x"),
        "a public one": update(body).where(body.c.idx == at, body.c.position == 0).values(data=b"x"),
    }
    engine = open_writer(withdrawn.opened.home.database)
    for change in changes.values():
        with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
            connection.execute(change)
    permit = {"idx": at, "position": 1, "order_idx": 0}
    with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
        connection.execute(body_erasure.insert().values(permit))
        connection.execute(
            text("update body set data = zeroblob(length(data)) where idx = :idx and position = 1"),
            {"idx": at},
        )
    engine.dispose()


def test_the_operator_erases_who_turned_to_the_hub(withdrawn: World) -> None:
    account, linked = withdrawn.linked[pseudonym(0)][0], withdrawn.linked[pseudonym(6)][0]
    with withdrawn.operator() as client:
        enrolled = refused(lambda: client.erase_account(linked))
        assert isinstance(enrolled, Refused)
        assert UTILITY in enrolled.message
        assert len(client.erase_account(account)) == 1
        assert isinstance(refused(lambda: client.erase_account(account)), Unavailable)
    withdrawn.hub.closer.forget_erased()
    assert account not in balances(withdrawn)


def test_an_order_is_refused_twice_and_for_strangers(withdrawn: World) -> None:
    withdrawn.erase(BIKES, [0])
    again = withdrawn.signed(Kind.ERASURE_ORDER, withdrawn.erasure(BIKES, [0]), BIKES)
    assert isinstance(refused(lambda: withdrawn.send(again)), Conflict)
    enrolled = withdrawn.signed(Kind.ERASURE_ORDER, withdrawn.erasure(BIKES, [3]), BIKES)
    assert isinstance(refused(lambda: withdrawn.send(enrolled)), Refused)


def test_an_audit_that_followed_stays_exact_over_an_erasure(tmp_path: Path) -> None:
    """Whoever begins after it compares totals; who had seen the books before tells every ledger apart."""
    world = World(opened=make_home(tmp_path / "hub"))
    options = Options(state=tmp_path / "audit.state")
    with running(world.opened) as hub:
        world.hub = hub
        accounts = settled(world)
        person = next(one for one in range(6) if world.linked[pseudonym(one)][0] in accounts)
        mine = world.linked[pseudonym(person)][0]
        other = next(one for one in accounts if one != mine)
        for account in (mine, other):
            submit(world, reserve=reserve(account))
        world.hub.parts.writer.call(world.hub.ledger.seal)
        world.follow()
        before = audited(world, tmp_path / "before", options)
        world.enrol(BIKES, [], effective=NEXT, withdrawn=[person])
        world.send(world.signed(Kind.ERASURE_ORDER, world.erasure(BIKES, [person]), BIKES))
        world.follow()
        world.rows[BIKES][person] = erased_account(BIKES)
        submit(world, reserve=reserve(other))
        world.hub.parts.writer.call(world.hub.ledger.seal)
        world.follow()
        close(release_all(world, NEXT), NEXT)
        world.follow()
        followed = audited(world, tmp_path / "followed", options)
        again = audited(world, tmp_path / "again", options)
        fresh = audited(world, tmp_path / "fresh")
    for report in (before, followed, again):
        for check in (Check.ACCOUNTS, Check.LEDGERS):
            result = report.results[check]
            assert (result.findings, result.unchecked, result.remarks) == ([], [], [])
    assert followed.results[Check.LEDGERS].examined > before.results[Check.LEDGERS].examined
    assert fresh.results[Check.LEDGERS].findings == []
    assert fresh.results[Check.LEDGERS].unchecked != []
    assert fresh.results[Check.ACCOUNTS].remarks != []


def audited(world: World, folder: Path, options: Options = NO_OPTIONS) -> Report:
    wait_published(world)
    readers = open_readers(world.opened.home.database)
    log_key = key("log").verify_key
    export_bundle(world.opened.home.folder, readers, folder / "bundle", origin=ORIGIN, log_key=log_key)
    readers.dispose()
    (folder / "trust-root").write_bytes(world.entries[0].data)
    return verify_source(str(folder / "bundle"), folder / "trust-root", None, options)


def test_tickets_inside_operations_go_and_every_root_holds(tmp_path: Path) -> None:
    world = World(opened=make_home(tmp_path / "hub"))
    with running(world.opened) as hub:
        world.hub = hub
        accounts = settled(world)
        person = next(one for one in range(6) if world.linked[pseudonym(one)][0] in accounts)
        for account in [*accounts[:2], world.linked[pseudonym(person)][0]]:
            submit(world, reserve=reserve(account))
        hub.parts.writer.call(hub.ledger.seal)
        world.follow()
        engine = open_writer(world.opened.home.database)
        emptied = update(operation).values(data=b"")
        with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
            connection.execute(emptied)
        world.enrol(BIKES, [], effective=NEXT, withdrawn=[person])
        assert pseudonym(person) in database_files(world)
        world.send(world.signed(Kind.ERASURE_ORDER, world.erasure(BIKES, [person]), BIKES))
        hub.closer.forget_erased()
        with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
            connection.execute(emptied)
        engine.dispose()
    assert pseudonym(person) not in raw(world)
    assert [one for one in reconcile(world.opened) if not one.is_good] == []
    assert rebuild(world.opened, write=False).differences == []
