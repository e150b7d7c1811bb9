"""Checkpoints are served when the trust root's witnesses have cosigned them, and nobody is paid before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auditor.witness import Witness
from auditor.witness_home import WitnessHome, init_witness
from auditor.witness_server import WitnessServer
from examples.federation.ports import held_address
from hub import assembly
from hub.log import CHECKPOINT_FILE
from hub.witnesses import POLICY_FILE, Witnessing
from privacy import checkpoint
from privacy.witness_policy import PolicyWitness, WitnessPolicy, format_policy
from protos.problems import Refused, Unavailable
from protos.v1.problem_pb2 import REASON_EPOCH_NOT_READY, REASON_SHUTTING_DOWN
from runtime.log_follower import Witnesses, open_head
from tests.simulator import EPOCH
from tests.unit.hub.world import World, begin, enrol, running

NOW = 1_700_000_000
PATIENCE_SECONDS = 120


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessServer]:
    server = serve(init_witness(tmp_path / "witness", "witness.example/w1"), held_address())
    yield server
    server.stop()


def serve(home: WitnessHome, address: str) -> WitnessServer:
    server = WitnessServer(Witness(home, clock=lambda: NOW), address)
    server.start()
    return server


def home_of(tmp_path: Path) -> WitnessHome:
    return WitnessHome(tmp_path / "witness")


def served(found: World) -> checkpoint.Checkpoint:
    note = (found.opened.home.folder / CHECKPOINT_FILE).read_bytes()
    return checkpoint.open_checkpoint(note, found.log_vkey)


def until(condition: Callable[[], bool]) -> None:
    # A witness that was away is asked again after a pause that has doubled.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def name_witnesses(found: World, home: WitnessHome, address: str, *, quorum: int) -> None:
    """Follow the log, say where the witness is, and publish a trust root that names it."""
    home.follow(found.log_vkey)
    policy = WitnessPolicy(
        tuple(PolicyWitness(vkey, f"http://{address}") for vkey in home.keys.vkeys), quorum
    )
    (found.opened.home.folder / POLICY_FILE).write_text(format_policy(found.log_vkey, policy))
    root = found.trust_root(version=2, previous=found.state.trust.envelope_hash)
    root.witness_vkeys.extend(map(str, home.keys.vkeys))
    root.witness_quorum = quorum
    found.publish_trust(root)


def test_a_cosigned_checkpoint_is_served(enrolled: World, witness: WitnessServer, tmp_path: Path) -> None:
    home = home_of(tmp_path)
    name_witnesses(enrolled, home, witness.address, quorum=1)
    until(lambda: served(enrolled).size == enrolled.hub.log_size)
    note = enrolled.get("/checkpoint")
    assert checkpoint.cosigners(note, home.keys.vkeys) == {"witness.example/w1"}
    assert open_head(note, enrolled.log_vkey, Witnesses(home.keys.vkeys, 1)).size == enrolled.hub.log_size
    second = checkpoint.subtree_vkey(enrolled.log_vkey.name, enrolled.opened.log_key)
    assert checkpoint.verify_cosignature(note, second) == checkpoint.NO_TIME
    for one in enrolled.enterprises:
        enrolled.release(one.id)
    enrolled.hub.closer.close(EPOCH, allow_missing=True)
    until(lambda: served(enrolled).size == enrolled.hub.log_size)
    assert home.cosigned(enrolled.log_vkey.name).size == enrolled.hub.log_size


def test_without_a_quorum_cosignatures_are_added_later(
    enrolled: World, witness: WitnessServer, tmp_path: Path
) -> None:
    home = home_of(tmp_path)
    name_witnesses(enrolled, home, witness.address, quorum=0)
    until(lambda: served(enrolled).size == enrolled.hub.log_size)
    until(lambda: bool(checkpoint.cosigners(enrolled.get("/checkpoint"), home.keys.vkeys)))


def test_without_its_witness_the_log_stands_still_and_nobody_is_paid(
    enrolled: World, witness: WitnessServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, address = home_of(tmp_path), witness.address
    before = enrolled.hub.log_size
    witness.stop()
    name_witnesses(enrolled, home, address, quorum=1)
    for one in enrolled.enterprises:
        enrolled.release(one.id)
    with monkeypatch.context() as patched, pytest.raises(Refused, match="witnessed up to") as refused:
        patched.setattr(assembly, "WITNESS_SECONDS_MAX", 0.3)
        enrolled.hub.closer.close(EPOCH, allow_missing=True)
    assert refused.value.reason == REASON_EPOCH_NOT_READY
    assert served(enrolled).size == before
    again = serve(home, address)
    try:
        until(lambda: served(enrolled).size == enrolled.hub.log_size)
        enrolled.hub.closer.close(EPOCH, allow_missing=True)
    finally:
        again.stop()


def test_a_restart_keeps_the_cosignatures(tmp_path: Path, empty: World, witness: WitnessServer) -> None:
    home = home_of(tmp_path)
    begin(empty)
    name_witnesses(empty, home, witness.address, quorum=1)
    until(lambda: served(empty).size == empty.hub.log_size)
    empty.hub.__exit__()
    note = (empty.opened.home.folder / CHECKPOINT_FILE).read_bytes()
    with running(empty.opened) as again:
        assert (empty.opened.home.folder / CHECKPOINT_FILE).read_bytes() == note
        empty.hub = again
        enrol(empty)
        until(lambda: served(empty).size == again.log_size)


def test_a_witness_that_has_seen_another_history_stops_the_log(
    enrolled: World, witness: WitnessServer, tmp_path: Path
) -> None:
    home = home_of(tmp_path)
    other = checkpoint.Checkpoint(enrolled.log_vkey.name, enrolled.hub.log_size, bytes(32))
    home.keep(other, checkpoint.sign_checkpoint(other, enrolled.opened.log_key))
    before = enrolled.hub.log_size
    name_witnesses(enrolled, home, witness.address, quorum=1)
    until(lambda: bool(home.evidence()))
    assert served(enrolled).size == before


def test_who_waits_is_told_that_the_hub_stops(tmp_path: Path) -> None:
    witnessing = Witnessing(tmp_path, lambda: None)
    witnessing.stop()
    with pytest.raises(Unavailable) as stopped:
        witnessing.wait(1, seconds=600)
    assert stopped.value.reason == REASON_SHUTTING_DOWN
