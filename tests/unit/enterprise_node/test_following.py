"""A node believes only a log that keeps its rules and its promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from enterprise_node.app import App
from privacy import codec, envelope
from privacy.envelope import Kind
from privacy.merkle import leaf_hash
from privacy.tlog_proof import parse_proof, verify_proof
from protos.epochs import Epoch
from protos.problems import Conflict, Problem, Refused, Unavailable, Unverified
from protos.v1 import release_pb2
from protos.v1.problem_pb2 import (
    REASON_HISTORY_INCONSISTENT,
    REASON_LOG_AHEAD,
    REASON_POLICY_NOT_IN_FORCE,
    REASON_SIGNATURE_INVALID,
)
from tests.unit.enterprise_node.simulated_hub import SimulatedHub, open_node, write_home
from tests.unit.enterprise_node.simulators import ENTERPRISE, ORIGIN, Federation, signing_key

DECEMBER = Epoch(202012)


@pytest.fixture
def app(tmp_path: Path, federation: Federation, hub: SimulatedHub) -> Iterator[App]:
    write_home(tmp_path / "node")
    opened = open_node(tmp_path / "node", federation, hub)
    yield opened
    opened.close()


def silence(sequence: int, previous: bytes, issuer: str = ENTERPRISE) -> bytes:
    header = envelope.header(ORIGIN, issuer, sequence=sequence, previous=previous, issued_at=1)
    message = release_pb2.NothingToReport(
        header=header, epoch=DECEMBER, reason=release_pb2.NOTHING_REASON_EMPTY_ROSTER
    )
    return envelope.sign(codec.encode(message), Kind.NOTHING_TO_REPORT, [signing_key(issuer)])


def test_policies_and_registration_come_from_the_log(app: App) -> None:
    following = app.pipeline.following
    assert not following.is_registered()
    following.refresh()
    assert following.is_registered()
    policy = following.policy_for(DECEMBER)
    assert following.policy_by_hash(policy.policy_hash) == policy
    with pytest.raises(Refused) as caught:
        following.policy_for(Epoch(202011))
    assert caught.value.reason == REASON_POLICY_NOT_IN_FORCE


def test_what_was_read_is_known_without_the_hub(
    tmp_path: Path, federation: Federation, hub: SimulatedHub, app: App
) -> None:
    app.pipeline.following.refresh()
    app.close()
    again = open_node(tmp_path / "node", federation, hub)
    assert again.pipeline.following.state.size == len(hub.log.list)
    assert again.pipeline.following.is_registered()
    again.close()


def test_an_entry_against_the_rules_breaks_the_log(app: App, hub: SimulatedHub) -> None:
    hub.log.append(silence(7, bytes(32)))
    with pytest.raises(Unverified) as caught:
        app.pipeline.following.refresh()
    assert caught.value.reason == REASON_HISTORY_INCONSISTENT
    assert "entry 3" in str(caught.value)


def test_a_log_that_takes_something_back_is_not_believed(app: App, hub: SimulatedHub) -> None:
    app.pipeline.following.refresh()
    hub.log.list.pop()
    with pytest.raises(Unverified) as caught:
        app.pipeline.following.refresh()
    assert caught.value.reason == REASON_HISTORY_INCONSISTENT


def test_a_message_of_ours_that_we_do_not_know_stops_us(app: App, hub: SimulatedHub) -> None:
    hub.submit(silence(1, bytes(32)), [])
    app.pipeline.following.refresh()
    with pytest.raises(Conflict) as caught:
        app.pipeline.following.require_current()
    assert caught.value.reason == REASON_LOG_AHEAD
    with pytest.raises(Conflict):
        app.pipeline.following.check(silence(2, bytes(32)), [])


def test_a_receipt_is_held_against_message_and_hub_key(app: App, hub: SimulatedHub) -> None:
    app.pipeline.following.refresh()
    data = silence(1, bytes(32))
    receipt = hub.submit(data, [])
    assert app.pipeline.following.receipt_index(receipt, data) == 3
    with pytest.raises(Unverified) as caught:
        app.pipeline.following.receipt_index(receipt, data + b"x")
    assert caught.value.reason == REASON_SIGNATURE_INVALID
    broken = bytearray(receipt)
    broken[-80] ^= 1
    with pytest.raises(Problem):
        app.pipeline.following.receipt_index(bytes(broken), data)


def test_a_message_the_hub_would_refuse_is_never_kept(app: App, hub: SimulatedHub) -> None:
    app.pipeline.ingest()
    app.pipeline.enrol(DECEMBER)
    app.pipeline.run([DECEMBER])
    sent = len(hub.received)
    with pytest.raises(Problem):
        # The epoch has its answer: a silence for it would be a second one.
        app.pipeline.releaser._report_nothing(
            DECEMBER, app.pipeline.following.policy_for(DECEMBER), app.pipeline.following.check
        )
    app.pipeline.settle()
    assert len(hub.received) == sent


def test_without_the_log_a_wait_ends_with_what_was_waited_for(app: App, hub: SimulatedHub) -> None:
    app.pipeline.ingest()
    hub.is_merging = False
    with pytest.raises(Unavailable, match="roster-batch 1"):
        app.pipeline.enrol(DECEMBER)


def test_receipts_and_proofs_are_kept_for_auditors(app: App, hub: SimulatedHub, tmp_path: Path) -> None:
    app.pipeline.ingest()
    app.pipeline.enrol(DECEMBER)
    folder = tmp_path / "node" / "receipts"
    assert sorted(path.name for path in folder.iterdir()) == [
        "000001-roster-batch.receipt",
        "000001-roster-batch.tlog-proof",
    ]
    proof = parse_proof((folder / "000001-roster-batch.tlog-proof").read_bytes())
    assert verify_proof(proof, leaf_hash(hub.log.list[proof.index]), hub.log.vkey).size == len(hub.log.list)


def test_tiles_that_do_not_lead_to_the_checkpoint_are_found(app: App, hub: SimulatedHub) -> None:
    app.pipeline.ingest()
    hub.log.tile = lambda level, index, width=256: bytes(32 * width)  # type: ignore[method-assign]
    with pytest.raises(Unverified):
        app.pipeline.enrol(DECEMBER)
