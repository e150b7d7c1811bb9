"""Policies and packs: their keys, versions and bytes; what they name is in the log."""

from __future__ import annotations

from privacy.envelope import Kind
from protos.v1 import problem_pb2 as reasons
from tests import simulator
from tests.simulator import EPOCH, Federation, begun, closed
from tests.unit.privacy.decisions import JANUARY, refused


def test_a_policy_needs_its_keys_version_packs_and_open_epochs() -> None:
    federation = closed()
    message = federation.policy_message
    outsider = federation.signed(Kind.POLICY, message(version=2, first_epoch=JANUARY), "auditor")
    refused(lambda: federation.append(outsider), reasons.REASON_KEY_UNKNOWN)
    publish = federation.publish_policy
    refused(lambda: publish(message(version=1, first_epoch=JANUARY)), reasons.REASON_SEQUENCE_REUSED)
    refused(lambda: publish(message(version=3, first_epoch=JANUARY)), reasons.REASON_SEQUENCE_SKIPPED)
    refused(lambda: publish(message(version=2, first_epoch=EPOCH)), reasons.REASON_EPOCH_CLOSED)
    renamed = message(version=2, first_epoch=JANUARY, id="other")
    refused(lambda: publish(renamed), reasons.REASON_SEQUENCE_SKIPPED)
    unknown = message(version=2, first_epoch=JANUARY)
    unknown.packs[0].sha256 = bytes(32)
    refused(lambda: publish(unknown), reasons.REASON_PACK_UNKNOWN)
    foreign = message(version=2, first_epoch=JANUARY, origin="other.example/log")
    refused(lambda: publish(foreign), reasons.REASON_WRONG_ORIGIN)
    publish(message(version=2, first_epoch=JANUARY))
    assert federation.state.policy_for(JANUARY).version == 2
    assert federation.state.policy_for(EPOCH).version == 1


def test_a_pack_is_logged_once_with_its_own_bytes() -> None:
    federation = begun()
    again = simulator.SimulatedPack("bike", body=b"changed")
    refused(lambda: federation.publish_pack(again), reasons.REASON_ALREADY_EXISTS)
    pack = simulator.SimulatedPack("bike", version=2, body=b"second")
    data = federation.publish_pack(pack)
    assert data.bodies_checked
    other = Federation()
    other.publish_trust()
    wrong = federation.entries[-1].data
    refused(lambda: other.append(wrong, [b"secont"]), reasons.REASON_BODY_MISMATCH)
    refused(lambda: other.append(wrong, []), reasons.REASON_BODY_TRUNCATED)
    refused(lambda: other.append(wrong, [b"second", b""]), reasons.REASON_BODY_MISMATCH)
