"""The hub dies at a step; the next one over the same home goes on as if nothing had happened."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from privacy import envelope, merkle
from privacy.checkpoint import open_checkpoint
from privacy.envelope import Kind
from protos.problems import Conflict, Problem
from protos.v1 import problem_pb2 as reasons
from runtime.identity import Role
from tests.simulator import EPOCH
from tests.unit.hub.test_accounts import check_books, close, release_all
from tests.unit.hub.world import Crash, CrashAt, World, begin, enrol, make_home, refused, running, stored

INTAKE_STEPS = ["checked", "stored", "committed", "tiles written"]
CLOSE_STEPS = ["checked", "stored", "committed", "linked", "folded", "closed", "tiles written"]


def prepared(folder: Path) -> World:
    """Make a home whose log holds documents and rosters."""
    world = World(opened=make_home(folder))
    with running(world.opened) as hub:
        world.hub = hub
        enrol(begin(world))
    return world


def check_log(world: World) -> None:
    """The checkpoint covers exactly what the database holds."""
    logged = stored(world.opened.home)
    checkpoint = open_checkpoint((world.opened.home.folder / "checkpoint").read_bytes(), world.log_vkey)
    assert checkpoint.size == len(logged)
    assert checkpoint.root == merkle.root([entry.data for entry in logged])


@pytest.mark.parametrize("step", INTAKE_STEPS)
def test_a_crash_at_intake_loses_nothing_and_doubles_nothing(tmp_path: Path, step: str) -> None:
    world = prepared(tmp_path / "hub")
    crash = CrashAt(step)
    data = world.signed(Kind.RESERVATION, world.reservation("bike-share"), "bike-share")
    with running(world.opened, crash) as hub:
        world.hub = hub
        try:
            early: bytes | None = world.send(data)
        except Problem as problem:
            early = None
            assert problem.reason in (reasons.REASON_SHUTTING_DOWN, reasons.REASON_PEER_UNREACHABLE)
    assert step in crash.reached
    with running(world.opened) as hub:
        world.hub = hub
        receipt = world.send(data)
        assert early in (None, receipt)
        assert world.send(data) == receipt
        assert [entry.data for entry in stored(world.opened.home)].count(data) == 1
    check_log(world)


@pytest.mark.parametrize("step", CLOSE_STEPS)
def test_a_crash_at_close_is_taken_up_again(tmp_path: Path, step: str) -> None:
    world = prepared(tmp_path / "hub")
    with running(world.opened) as hub:
        world.hub = hub
        release_all(world)
    crash = CrashAt(step)
    with running(world.opened, crash) as hub:
        world.hub = hub
        refused_or_closed(world)
    assert step in crash.reached
    with running(world.opened) as hub:
        world.hub = hub
        response = close(world)
        check_books(world, response, EPOCH)
        assert close(world) == response
    kinds = [envelope.open_envelope(entry.data).kind for entry in stored(world.opened.home)]
    assert (kinds.count(Kind.LINK_BATCH), kinds.count(Kind.EPOCH_CLOSE)) == (1, 1)
    check_log(world)


@pytest.mark.parametrize("skip", [1, 2])
@pytest.mark.parametrize("step", ["checked", "stored", "committed"])
def test_a_crash_at_the_second_write_of_a_close_is_taken_up_again(
    tmp_path: Path, step: str, skip: int
) -> None:
    world = prepared(tmp_path / "hub")
    with running(world.opened) as hub:
        world.hub = hub
        release_all(world)
    with running(world.opened, CrashAt(step, skip)) as hub:
        world.hub = hub
        refused_or_closed(world)
    with running(world.opened) as hub:
        world.hub = hub
        check_books(world, close(world), EPOCH)
    check_log(world)


def refused_or_closed(world: World) -> None:
    """Ask for the close; a hub that dies in the writer answers with a problem."""
    with contextlib.suppress(Problem, Crash):
        world.hub.closer.close(EPOCH, allow_missing=False)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    opened = make_home(tmp_path / "hub")
    with running(opened):
        problem = refused(lambda: running(opened).__enter__())
    assert isinstance(problem, Conflict)
    assert problem.remedy


def test_a_hub_that_broke_says_so_and_stops_taking(tmp_path: Path) -> None:
    world = prepared(tmp_path / "hub")
    with running(world.opened, CrashAt("stored")) as hub:
        world.hub = hub
        data = world.signed(Kind.RESERVATION, world.reservation("bike-share"), "bike-share")
        refused(lambda: world.send(data))
        again = refused(lambda: world.send(data, as_peer=(Role.NODE, "bike-share")))
        assert again.reason in (reasons.REASON_SHUTTING_DOWN, reasons.REASON_PEER_UNREACHABLE)
        assert refused(lambda: world.get("/readyz"))
    assert refused(hub.raise_broken).reason == reasons.REASON_INVARIANT_BROKEN
