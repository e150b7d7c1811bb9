"""Operations that wait are decided together; on each store a key used before is found out late."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounting.ledger.wallets import Wallet
from hub.deciding import Answered, Group
from hub.rebuild import rebuild
from hub.store.location import Location, PostgresServer
from protos.problems import Conflict, Problem, Unavailable
from protos.v1 import ledger_pb2
from protos.v1 import problem_pb2 as reasons
from tests.simulator import SimulatedEnterprise
from tests.unit.hub.operations import asked
from tests.unit.hub.spending import reserve, settled
from tests.unit.hub.world import Crash, CrashAt, World, make_home, refused, running


@pytest.fixture
def world(tmp_path: Path, location: Location) -> World:
    """A hub that is down, on each store, of one enterprise."""
    server = location if isinstance(location, PostgresServer) else None
    one = SimulatedEnterprise("bike-share", range(12), ("bike",), quota=48)
    return World(opened=make_home(tmp_path / "hub", server), enterprises=[one])


@pytest.fixture
def account(world: World) -> Iterator[bytes]:
    """The richest account of a running hub."""
    with running(world.opened) as hub:
        world.hub = hub
        yield settled(world)[0]


def order(world: World, number: int, account: bytes, quantity: int = 1) -> ledger_pb2.Operation:
    """Ask for a reward under a small number as its key, by a fresh ticket."""
    operation = ledger_pb2.Operation(key=number.to_bytes(16, "big"), reserve=reserve(account, quantity))
    return asked(world, operation)


def points_of(world: World, account: bytes) -> Wallet:
    """Give an account's wallet of points as the books have it."""
    with world.hub.parts.readers.begin() as connection:
        return world.hub.ledger.books(connection).wallet("P:city", account)


def test_a_key_used_before_is_answered_again_and_harms_nobody_beside_it(world: World, account: bytes) -> None:
    """The store refuses the whole group; decided once more, everybody gets what is theirs."""
    submit, decided = world.hub.ledger.submit, []
    queue = world.hub.ledger._queue
    first = order(world, 1, account)
    answer = submit(first)
    before, tell = points_of(world, account), queue._decided

    def note(group: Group, asked: object) -> None:
        decided.append((group.is_sure, len(group.taken)))
        tell(group, asked)  # type: ignore[arg-type]

    queue._decided = note
    # A fresh ticket for the old key would go through; nothing is read anew, so only the store knows.
    again, beside = order(world, 1, account), order(world, 2, account)
    told: dict[int, Answered] = {}
    with queue._arrived:
        threads = [
            threading.Thread(target=lambda one=one, at=at: told.update({at: submit(one)}))
            for at, one in enumerate((again, beside))
        ]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert told[0] == answer
    assert told[1].number == answer.number + 1
    assert (True, 0) in decided or (True, 1) in decided
    assert points_of(world, account).pending == before.pending + 20
    # The nonces of what was decided twice are used once, and those of the refused group not at all.
    spare = order(world, 3, account)
    spare.reserve.ticket = again.reserve.ticket
    assert refused(lambda: submit(spare)).reason == reasons.REASON_TICKET_INVALID
    same = order(world, 1, account, quantity=2)
    assert isinstance(refused(lambda: submit(same)), Conflict)
    # The first answer also where the act would be refused now: its ticket is used.
    assert submit(first) == answer


def test_what_a_failed_write_had_decided_is_forgotten(world: World, account: bytes) -> None:
    """The database gives up once; the same order goes through afterwards, with the same ticket."""
    queue = world.hub.ledger._queue
    write, failed = queue.write, threading.Event()

    def fail(connection: object) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError("no")
        write(connection)  # type: ignore[arg-type]

    queue.write = fail  # type: ignore[method-assign]
    before, one = points_of(world, account), order(world, 1, account)
    with pytest.raises(OSError, match="no"):
        world.hub.ledger.submit(one)
    assert points_of(world, account) == before
    assert world.hub.ledger.submit(one).number > 0
    assert points_of(world, account).pending == before.pending + 20


@pytest.mark.parametrize("step", ["operations decided", "operations applied"])
def test_a_hub_cut_off_answers_nobody_and_goes_on_from_what_is_durable(world: World, step: str) -> None:
    with running(world.opened) as hub:
        world.hub = hub
        account = settled(world)[0]
        one, crash = order(world, 1, account), CrashAt(step, is_armed=True)
        hub.ledger._queue._step = crash
        assert isinstance(refused(lambda: hub.ledger.submit(one)), Unavailable)
        assert isinstance(hub.parts.writer.broken, Crash)
    with running(world.opened) as hub:
        world.hub = hub
        answer = hub.ledger.submit(one)
        assert hub.ledger.submit(one) == answer
        assert points_of(world, account).pending == 20
    assert rebuild(world.opened, write=False).differences == []


def test_a_stopped_hub_refuses_operations(world: World, account: bytes) -> None:
    one = order(world, 1, account)
    world.hub.__exit__()
    problem: Problem = refused(lambda: world.hub.ledger.submit(one))
    assert problem.reason == reasons.REASON_SHUTTING_DOWN
