"""Operations through a running hub: decided together, durable, journalled, and replayed by an auditor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from accounting.ledger import chart
from auditor.app import verify_source
from auditor.findings import Check
from auditor.report import Report
from engine.duckdb_engine import DuckDbEngine
from engine.ledgers import Found
from hub.cli import hub as program
from hub.deciding import Answered
from hub.export import export_bundle
from hub.intake import Own
from hub.participation import Asked
from hub.point_in_time import wallets_after
from hub.rebuild import rebuild
from hub.store.database import open_readers, open_writer
from privacy.account_changes import CLOSE, build_change
from privacy.choices import subject
from privacy.claims import ratio
from privacy.envelope import Kind
from protos.epochs import Epoch
from protos.problems import Conflict, Problem
from protos.v1 import problem_pb2 as reasons
from protos.v1 import programme_pb2
from protos.v1.programme_pb2 import ACCOUNT_CHANGE_KIND_FREEZE, ACCOUNT_CHANGE_KIND_PROVE
from tests.simulator import EPOCH, ORIGIN, key, pseudonym
from tests.unit.accounting.programmes.programmes import coupon, programme
from tests.unit.hub.operations import asked, cancel, confirm, deposit, holder_of, reserve
from tests.unit.hub.past_wallets import wallet_at
from tests.unit.hub.test_accounts import close, release_all
from tests.unit.hub.test_api import wait_published
from tests.unit.hub.world import World, refused, running

NEXT = Epoch(202101)
LEDGER = chart.points_ledger("city")
RULES = programme(
    first_epoch=int(EPOCH),
    earn={"base": {"names": {"en": "All", "zh": "全部"}, "ratio": [1, 1]}},
    gifts={"epoch_points_max": 1_000_000},
    rewards={
        "bus": coupon(cost_points=10, quantity_max=50),
        "few": coupon(cost_points=1, stock=2),
        "once": coupon(cost_points=1, overall_account_max=1),
    },
)


@pytest.fixture
def rich(enrolled: World) -> Iterator[tuple[World, bytes]]:
    """A federation with one closed epoch, a programme, money, and an account that may spend."""
    enrolled.publish_policy(enrolled.policy_message(version=2, reserve_z=ratio(Fraction(1, 1_000))))
    enrolled.publish_programme(RULES.canonical_bytes())
    close(release_all(enrolled))
    enrolled.follow()
    account = max(accounts(enrolled), key=lambda one: wallet(enrolled, one).wallet.available)
    change(enrolled, ACCOUNT_CHANGE_KIND_PROVE, account)
    enrolled.hub.ledger.submit(deposit(1))
    yield enrolled, account


def settled(world: World) -> World:
    """Let the hub seal what is open, and take what it logged."""
    world.hub.parts.writer.call(world.hub.ledger.seal)
    world.follow()
    return world


def accounts(world: World) -> list[bytes]:
    return sorted({account for account, _ in world.linked.values()})


def change(world: World, kind: Any, account: bytes) -> None:
    """Let the hub log a change of an account."""
    person = next(number for number in range(20) if world.linked[pseudonym(number)][0] == account)
    purpose = {ACCOUNT_CHANGE_KIND_PROVE: "prove"}.get(kind)
    tickets = [world.ticket("bike-share" if person < 12 else "utility", person, purpose)] if purpose else []

    def build(header: Any) -> Own:
        built = build_change(
            header,
            kind=kind,
            effective=NEXT,
            salt=bytes(32),
            account=account,
            tickets=tickets,
        )
        return Own(Kind.ACCOUNT_CHANGE, built.message, built.bodies)

    settled(world)
    intake = world.hub.parts.intake
    world.hub.parts.writer.call(lambda connection: intake.append_own(connection, build))
    world.follow()


def wallet(world: World, account: bytes, ledger: str = LEDGER) -> Found:
    readers = open_readers(world.opened.home.database)
    try:
        with readers.begin() as connection:
            return world.hub.ledger.books(connection)._found(ledger, account)
    finally:
        readers.dispose()


def balance(world: World, account: chart.LedgerAccount) -> int:
    readers = open_readers(world.opened.home.database)
    try:
        with readers.begin() as connection:
            return world.hub.ledger.books(connection).balance(account).of(account)
    finally:
        readers.dispose()


def audited(world: World, folder: Path) -> Report:
    world.follow()
    wait_published(world)
    readers = open_readers(world.opened.home.database)
    log_key = key("log").verify_key
    export_bundle(world.opened.home.folder, readers, folder / "bundle", origin=ORIGIN, log_key=log_key)
    readers.dispose()
    (folder / "trust-root").write_bytes(world.entries[0].data)
    return verify_source(str(folder / "bundle"), folder / "trust-root", None)


def test_a_reward_is_reserved_confirmed_and_paid_for(rich: tuple[World, bytes], tmp_path: Path) -> None:
    world, account = rich
    had = wallet(world, account).wallet
    submit = world.hub.ledger.submit
    made = submit(asked(world, reserve(2, account, quantity=3)))
    assert made.outcome[:3] == (30, 1_500, 0)
    assert wallet(world, account).wallet.pending == 30
    submit(confirm(3, 2))
    submit(asked(world, reserve(4, account)))
    submit(cancel(5, 4))
    now = wallet(world, account).wallet
    assert (now.available, now.pending) == (had.available - 30, 0)
    assert balance(world, chart.redeemed("city", "commercial", "bus")) == 30
    assert balance(world, chart.payable("bus")) == 1_500
    assert balance(world, chart.fund("city", "city")) == 1_000_000 - 1_500
    close(release_all(settled(world), NEXT), NEXT)
    report = audited(world, tmp_path)
    assert report.results[Check.LEDGERS].findings == []
    assert report.results[Check.LEDGERS].unchecked == []
    assert report.results[Check.LEDGERS].examined >= 5
    world.hub.__exit__()
    assert rebuild(world.opened, write=False).differences == []
    engine = open_writer(world.opened.home.database)
    with engine.begin() as connection:
        connection.execute(text("update system_balance set credits = credits + 1 where path = 'payable:bus'"))
        connection.execute(text("update reservation set points = points + 1"))
    engine.dispose()
    assert rebuild(world.opened, write=True).differences == [
        "in system_balance 1 differ from what the log gives",
        "in reservation 2 differ from what the log gives",
    ]
    assert rebuild(world.opened, write=False).differences == []


def test_i6_the_same_key_gives_the_first_answer_and_another_act_is_a_conflict(
    rich: tuple[World, bytes],
) -> None:
    world, account = rich
    submit = world.hub.ledger.submit
    first = submit(asked(world, reserve(2, account)))
    assert submit(asked(world, reserve(2, account))) == first
    with pytest.raises(Conflict) as caught:
        submit(asked(world, reserve(2, account, quantity=2)))
    assert caught.value.reason == reasons.REASON_IDEMPOTENCY_CONFLICT
    assert wallet(world, account).wallet.pending == 10


def test_operations_at_the_same_time_are_decided_one_after_the_other(rich: tuple[World, bytes]) -> None:
    """Two of a kind are in stock; of many who ask at once two have it, and each key is answered once."""
    world, account = rich
    told: list[Answered | Problem] = []
    lock = threading.Lock()

    def ask(number: int) -> None:
        try:
            answer: Answered | Problem = world.hub.ledger.submit(
                asked(world, reserve(number, account, reward="few"))
            )
        except Problem as problem:
            answer = problem
        with lock:
            told.append(answer)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, [*range(10, 22), *range(10, 22)]))
    taken = [one for one in told if isinstance(one, Answered)]
    assert {one.reason for one in told if isinstance(one, Problem)} == {reasons.REASON_OUT_OF_STOCK}
    assert len({one.number for one in taken}) == 2
    assert wallet(world, account).wallet.pending == 2


def test_what_an_account_had_is_counted_back_when_an_order_is_called_off(rich: tuple[World, bytes]) -> None:
    world, account = rich
    submit = world.hub.ledger.submit
    submit(asked(world, reserve(2, account, reward="once")))
    more = refused(lambda: submit(asked(world, reserve(3, account, reward="once"))))
    assert more.reason == reasons.REASON_CAP_REACHED
    submit(cancel(4, 2))
    submit(asked(world, reserve(5, account, reward="once")))


def test_i17_frozen_and_unproved_accounts_are_not_debited(rich: tuple[World, bytes]) -> None:
    world, account = rich
    other = next(one for one in accounts(world) if one != account)
    unproved = refused(lambda: world.hub.ledger.submit(asked(world, reserve(2, other))))
    assert unproved.reason == reasons.REASON_CONTROL_NOT_PROVED
    world.hub.ledger.submit(asked(world, reserve(3, account)))
    change(world, ACCOUNT_CHANGE_KIND_FREEZE, account)
    frozen = refused(lambda: world.hub.ledger.submit(asked(world, reserve(4, account))))
    assert frozen.reason == reasons.REASON_ACCOUNT_FROZEN
    # What was decided before the change is sealed before it, and credits go on.
    world.hub.ledger.submit(cancel(5, 3))
    assert wallet(world, account).wallet.pending == 0


def test_a_nonce_an_operation_rests_on_is_used_up(rich: tuple[World, bytes]) -> None:
    """For other operations and for what becomes an entry, before a segment holds it and after a restart."""
    world, account = rich
    signer, person = holder_of(world, account)
    nonce = bytes(range(16))

    def check_refused() -> None:
        order = asked(world, reserve(3, account), nonce=nonce)
        closing = Asked(CLOSE, [world.ticket(signer, person, "close", nonce=nonce)])
        choice = programme_pb2.Choice(recording=programme_pb2.RecordingEnterprise(overlap_class="OC-TRIP"))
        chosen = world.ticket(signer, person, "choose", nonce=nonce, subject=subject(choice))
        participation = world.hub.parts.participation
        for act in (
            lambda: world.hub.ledger.submit(order),
            lambda: participation.change(closing),
            lambda: participation.choose(choice, chosen),
        ):
            assert refused(act).reason == reasons.REASON_TICKET_USED

    first = world.hub.ledger.submit(asked(world, reserve(2, account), nonce=nonce))
    check_refused()
    settled(world)
    check_refused()
    world.hub.__exit__()
    with running(world.opened) as world.hub:
        check_refused()
        assert world.hub.ledger.submit(asked(world, reserve(2, account), nonce=nonce)) == first
        assert wallet(world, account).wallet.pending == 10


def test_a_reservation_nobody_confirms_lapses_by_the_hubs_clock(rich: tuple[World, bytes]) -> None:
    world, account = rich
    made = world.hub.ledger.submit(asked(world, reserve(2, account)))
    assert world.hub.ledger.lapse_due() == 0
    world.hub.ledger._clock = world.hub.ledger._decider._clock = lambda: made.outcome.expires_at
    assert world.hub.ledger.lapse_due() == 1
    assert wallet(world, account).wallet.pending == 0
    ended = refused(lambda: world.hub.ledger.submit(confirm(3, 2)))
    assert ended.reason == reasons.REASON_RESERVATION_ENDED


def test_lazy_wallets_equal_those_of_the_close(rich: tuple[World, bytes]) -> None:
    """A wallet stepped when it is touched is what the set-based close made of it, for everybody."""
    world, account = rich
    world.hub.ledger.submit(asked(world, reserve(2, account, quantity=2)))
    close(release_all(settled(world), NEXT), NEXT)
    [last] = (world.opened.home.work / "ledgers").glob("*/P-city-202101-wallets.parquet")
    names = "account, available, claimable, pending, deficit, deficit_since"
    with DuckDbEngine(threads=1) as engine:
        rows = engine.rows(f"SELECT {names} FROM read_parquet('{last}')")
    assert len(rows) == 20
    for holder, *amounts in rows:
        lazy = wallet(world, bytes(holder)).wallet
        assert [lazy.available, lazy.claimable, lazy.pending, lazy.deficit, lazy.deficit_since] == amounts
    # Who was touched before the close is decided on as the close left them, not as they were at hand.
    had = wallet(world, account).wallet
    world.hub.ledger.submit(asked(world, reserve(3, account)))
    now = wallet(world, account).wallet
    assert now == replace(had, available=had.available - 10, pending=had.pending + 10)


class Killed(BaseException):
    """Stands for the process's end."""


class Killing:
    """Ends the hub at the n-th step of a name."""

    def __init__(self, name: str) -> None:
        self.name: str | None = name

    def __call__(self, name: str) -> None:
        if name == self.name:
            self.name = None
            raise Killed


@pytest.mark.parametrize(
    "step", ["operations decided", "operations applied", "committed", "credited", "closed"]
)
def test_i15_a_hub_killed_at_any_step_goes_on_to_the_same_root(rich: tuple[World, bytes], step: str) -> None:
    """What was answered is there, what was not is there once when asked again, and the books are one."""
    world, account = rich
    world.hub.ledger.submit(asked(world, reserve(2, account, quantity=2)))
    release_all(settled(world), NEXT)
    killing = Killing(step)
    for part in (world.hub.parts.writer, world.hub.ledger._queue, world.hub.parts.intake, world.hub.closer):
        part._step = killing
    # The closer is called on this thread: one that dies behind gRPC, in a process that lives, answers nobody.
    for attempt in (
        lambda: world.hub.ledger.submit(confirm(3, 2)),
        lambda: world.hub.closer.close(NEXT, allow_missing=False),
    ):
        try:
            attempt()
        except (Problem, Killed):
            break
    assert killing.name is None, "the hub was never killed"
    world.hub.__exit__()
    with running(world.opened) as hub:
        world.hub = hub
        hub.ledger.submit(asked(world, reserve(2, account, quantity=2)))
        hub.ledger.submit(confirm(3, 2))
        again = close(world, NEXT)
        assert close(world, NEXT) == again
        assert wallet(world, account).wallet.pending == 0
        assert balance(world, chart.redeemed("city", "commercial", "bus")) == 20
    assert rebuild(world.opened, write=False).differences == []


def test_i12_i13_a_sealed_close_stays_and_later_operations_do_not_reach_it(
    rich: tuple[World, bytes],
) -> None:
    """The balance at an epoch, from the journal up to its close, is what the close left of it."""
    world, account = rich
    snapshots = sorted((world.opened.home.work / "ledgers").glob("*/P-city-*-wallets.parquet"))
    before = {path: path.read_bytes() for path in snapshots}
    world.hub.ledger.submit(asked(world, reserve(2, account, quantity=2)))
    world.hub.ledger.submit(confirm(3, 2))
    close(release_all(settled(world), NEXT), NEXT)
    world.hub.ledger.submit(asked(world, reserve(4, account)))
    assert {path: path.read_bytes() for path in snapshots} == before
    readers = open_readers(world.opened.home.database)
    with readers.begin() as connection, DuckDbEngine(threads=1) as engine:
        for path in (world.opened.home.work / "ledgers").glob("*/P-city-*-wallets.parquet"):
            epoch = Epoch(int(path.name.split("-")[2]))
            names = "available, claimable, pending, deficit"
            [left] = engine.rows(
                f"SELECT {names} FROM read_parquet('{path}') WHERE account = unhex('{account.hex()}')"
            )
            then = wallet_at(connection, world.hub.ledger.facts(connection), LEDGER, account, epoch)
            assert (then.available, then.claimable, then.pending, then.deficit) == left
            assert wallets_after(world.opened, account, epoch)["wallets"][LEDGER] == asdict(then)
    readers.dispose()
    asked_for = [
        "account",
        "show",
        account.hex(),
        "--home",
        str(world.opened.home.folder),
        "--after",
        "2020-12",
    ]
    assert f"  {LEDGER}: available " in CliRunner().invoke(program, asked_for, standalone_mode=False).output
    assert (
        refused(lambda: wallets_after(world.opened, account, Epoch(202102))).reason
        == reasons.REASON_NOT_FOUND
    )
