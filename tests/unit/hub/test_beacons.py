"""The hub draws an epoch's beacon once, over one checkpoint, from whichever custodians answer truly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from privacy import beacon, checkpoint
from privacy.beacon import Part
from privacy.envelope import Kind
from privacy.trust import Custodian
from protos.epochs import Epoch
from protos.problems import Unavailable
from protos.v1.hub_pb2 import DrawBeaconResponse
from protos.v1.problem_pb2 import (
    REASON_COMMITMENT_CLOSED,
    REASON_EPOCH_NOT_READY,
    REASON_PEER_UNREACHABLE,
    REASON_QUORUM_UNAVAILABLE,
)
from tests.simulator import EPOCH, ORIGIN, beacon_dealing
from tests.unit.hub.world import World, begin, enrol, refused, world

NEXT = Epoch(202101)
ASKED = {"commitment_required": True, "commitment_deadline_days": 20}


@dataclass
class Custodians:
    """Real shares behind no network: some away, some lying; each binds an epoch to one checkpoint."""

    away: set[int] = field(default_factory=set)
    lying: set[int] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)
    notes: set[bytes] = field(default_factory=set)

    @contextmanager
    def connect(self, custodian: Custodian) -> Iterator[_Port]:
        if custodian.index in self.away:
            raise Unavailable(REASON_PEER_UNREACHABLE, "The custodian is away.")
        yield _Port(self, custodian.index)


@dataclass
class _Port:
    custodians: Custodians
    index: int

    def evaluate(self, epoch: Epoch, note: bytes) -> Part:
        self.custodians.asked.append(self.index)
        self.custodians.notes.add(note)
        text = checkpoint.parse_note(note).text
        message = beacon.beacon_input(ORIGIN, epoch, text)
        share = beacon_dealing().shares[self.index - 1]
        is_lying = self.index in self.custodians.lying
        return beacon.evaluate(share, message + b"x" * is_lying, random.Random(self.index).randbytes)


@pytest.fixture
def found(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path / "hub") as made:
        made.policy_changes = ASKED
        enrol(begin(made))
        for one in made.enterprises:
            made.commit(one.id)
            made.release(one.id)
        yield made


@pytest.fixture
def custodians(found: World) -> Custodians:
    made = Custodians()
    found.hub.parts.beacons._connect = made.connect
    return made


def draw(found: World) -> DrawBeaconResponse:
    with found.operator() as client:
        return client.draw_beacon(EPOCH)


def close(found: World) -> None:
    with found.operator() as client:
        client.close(EPOCH, allow_missing=False)
    found.follow()


def test_a_beacon_is_drawn_after_the_close_and_given_again(found: World, custodians: Custodians) -> None:
    assert refused(lambda: draw(found)).reason == REASON_EPOCH_NOT_READY
    close(found)
    first = draw(found)
    assert draw(found) == first
    assert custodians.asked == [1, 2]
    found.follow()
    assert found.state.beacons[EPOCH].value == first.value
    assert found.state.beacons[EPOCH].index == first.index
    with found.operator() as client:
        assert refused(lambda: client.draw_beacon(NEXT)).reason == REASON_EPOCH_NOT_READY


def test_another_custodian_stands_in_for_one_that_is_away_or_lies(
    found: World, custodians: Custodians
) -> None:
    close(found)
    custodians.away, custodians.lying = set(), {1}
    value = draw(found).value
    assert custodians.asked == [1, 2, 3]
    found.follow()
    whole = found.state.beacons[EPOCH].value
    assert value == whole


def test_without_a_quorum_the_checkpoint_stays_and_nothing_more_is_committed_to(
    found: World, custodians: Custodians
) -> None:
    close(found)
    custodians.away = {1, 3}
    problem = refused(lambda: draw(found))
    assert problem.reason == REASON_QUORUM_UNAVAILABLE
    assert "regulator" in problem.message
    # The log grows; custodians that know the checkpoint must be asked with it again.
    found.commit(found.enterprises[0].id, NEXT)
    custodians.away = set()
    draw(found)
    assert len(custodians.notes) == 1


def test_once_custodians_may_know_a_beacon_no_commitment_to_it_is_taken(
    found: World, custodians: Custodians
) -> None:
    close(found)
    draw(found)
    bound = found.opened.home.folder / "beacons"
    (bound / "2021-01").write_bytes((bound / "2020-12").read_bytes())
    message = found.commitment(found.enterprises[0].id, NEXT)
    signed = found.signed(Kind.COMMITMENT, message, found.enterprises[0].id)
    assert refused(lambda: found.append(signed)).reason == REASON_COMMITMENT_CLOSED
