"""The decision on the next entry: what is in order is taken, everything else is refused with its reason."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Any

import pytest

from privacy import codec, envelope
from privacy.acceptance import LogState
from privacy.envelope import Kind
from privacy.standing import HUB_ID, AnswerKind, Role
from protos.problems import InvariantBroken, Malformed, Problem
from protos.v1 import envelope_pb2, release_pb2
from protos.v1 import problem_pb2 as reasons
from protos.v1.release_pb2 import (
    NOTHING_REASON_DECLARED_OUTAGE,
    NOTHING_REASON_SUSPENDED,
    PRIVACY_UNIT_PERSON_DAY,
    PRIVACY_UNIT_PERSON_MONTH,
)
from tests.simulator import CUSTODIANS, EPOCH, begun, closed, enrolled, key, pseudonym
from tests.unit.privacy.decisions import BIKES, JANUARY, next_trust, refused, replay


def test_a_whole_story_is_taken_and_replays_to_the_same_state() -> None:
    federation = closed(EPOCH, JANUARY)
    again = replay(federation)
    assert again.root() == federation.state.root()
    assert again.last_closed == JANUARY
    assert again.unchecked == ()
    assert again.spent(BIKES, PRIVACY_UNIT_PERSON_DAY, EPOCH) == Fraction(1, 2)
    assert again.spent(BIKES, PRIVACY_UNIT_PERSON_MONTH, JANUARY) == 1
    assert again.remaining(BIKES, PRIVACY_UNIT_PERSON_MONTH, JANUARY) == 0
    assert {answer.kind for answer in again.answers(BIKES).values()} == {AnswerKind.RELEASE}
    assert again.evaluations(BIKES) == dict.fromkeys(CUSTODIANS[:2], 12)
    assert again.chain(Role.ENTERPRISE, BIKES).next_sequence == 6
    assert again.is_linked(pseudonym(3))
    assert set(again.packs) == {("bike", 1), ("power", 1)}
    assert [policy.version for policy in again.policies] == [1]


def test_without_bodies_everything_else_is_still_decided() -> None:
    federation = closed()
    state = replay(federation, with_bodies=False)
    assert state.root() == federation.state.root()
    kinds = [envelope.open_envelope(federation.entries[index].data).kind for index in state.unchecked]
    assert set(kinds) == {Kind.PACK, Kind.ROSTER_BATCH, Kind.LINK_BATCH, Kind.RELEASE}


def test_a_check_changes_nothing() -> None:
    federation = enrolled()
    built = federation.release_message(BIKES, federation.reserve(BIKES))
    data = federation.signed(Kind.RELEASE, built.message, BIKES)
    before = federation.state.root()
    first = federation.state.check(data, built.bodies)
    second = federation.state.check(data, built.bodies, federation.state.size)
    assert first == second
    assert federation.state.root() == before
    assert not federation.state.answers(BIKES)


def test_an_admission_is_for_the_next_entry_only() -> None:
    federation = begun()
    admission = federation.state.check(
        federation.signed(Kind.TRUST_ROOT, next_trust(federation), "operator", "regulator"), ()
    )
    federation.count(CUSTODIANS[0], BIKES, 3)
    with pytest.raises(InvariantBroken):
        federation.state.apply(admission)
    with pytest.raises(InvariantBroken):
        federation.state.check(admission.message.SerializeToString(), (), federation.state.size + 1)


def test_any_byte_of_any_entry_changed_is_refused() -> None:
    federation = closed()
    state = LogState(pinned=federation.entries[0].data)
    for entry in federation.entries:
        for position in range(0, len(entry.data), 7):
            changed = entry.data[:position] + bytes([entry.data[position] ^ 1]) + entry.data[position + 1 :]
            with pytest.raises(Problem):
                state.check(changed, entry.bodies)
        state.apply(state.check(entry.data, entry.bodies))


def test_entries_left_out_or_exchanged_are_refused() -> None:
    federation = closed()
    for left_out in range(len(federation.entries) - 1):
        state = LogState(pinned=federation.entries[0].data)
        with pytest.raises(Problem):
            for index, entry in enumerate(federation.entries):
                if index != left_out:
                    state.apply(state.check(entry.data, entry.bodies))


def test_a_log_begins_with_its_pinned_trust_root() -> None:
    federation = begun()
    state = LogState(pinned=bytes(32))
    refused(lambda: state.check(federation.entries[0].data, ()), reasons.REASON_TRUST_ROOT_INVALID)
    for entry in federation.entries[1:]:
        refused(
            lambda entry=entry: LogState().check(entry.data, entry.bodies),  # type: ignore[misc]
            reasons.REASON_TRUST_ROOT_INVALID,
        )


def test_bounds_come_first() -> None:
    refused(lambda: begun().state.check(bytes(70_000), ()), reasons.REASON_MESSAGE_TOO_LARGE)
    refused(lambda: begun().state.check(b"", ()), reasons.REASON_WRONG_TYPE)


def test_kinds_that_are_not_logged_are_refused() -> None:
    data = envelope.sign(b"", Kind.RECEIPT, [key(HUB_ID)])
    refused(lambda: begun().state.check(data, ()), reasons.REASON_WRONG_TYPE)


def test_unknown_retired_and_foreign_keys_are_refused() -> None:
    federation = enrolled()
    message = federation.reservation(BIKES)
    stranger = federation.signed(Kind.RESERVATION, message, "stranger")
    refused(lambda: federation.append(stranger), reasons.REASON_KEY_UNKNOWN)
    foreign = federation.signed(Kind.RESERVATION, message, "utility")
    refused(lambda: federation.append(foreign), reasons.REASON_ROLE_NOT_ALLOWED)
    custodian = federation.signed(Kind.RESERVATION, message, CUSTODIANS[0])
    refused(lambda: federation.append(custodian), reasons.REASON_ROLE_NOT_ALLOWED)
    renewed = next_trust(federation)
    renewed.enterprises[0].key.CopyFrom(key("new key").verify_key.to_wire())
    federation.publish_trust(renewed)
    retired = federation.signed(Kind.RESERVATION, message, BIKES)
    refused(lambda: federation.append(retired), reasons.REASON_KEY_EXPIRED)
    federation.append(federation.signed(Kind.RESERVATION, message, "new key"))


def test_a_forged_signature_is_refused_before_anything_is_parsed() -> None:
    federation = enrolled()
    good = envelope_pb2.Envelope.FromString(
        federation.signed(Kind.RESERVATION, federation.reservation(BIKES), BIKES)
    )
    good.payload = b"\xff not a protobuf"
    refused(lambda: federation.append(codec.encode(good)), reasons.REASON_SIGNATURE_INVALID)


def test_a_sequenced_message_has_one_signature() -> None:
    federation = enrolled()
    data = federation.signed(Kind.RESERVATION, federation.reservation(BIKES), BIKES, "utility")
    refused(lambda: federation.append(data), reasons.REASON_WRONG_SHAPE)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"origin": "other.example/log"}, reasons.REASON_WRONG_ORIGIN),
        ({"issuer": "utility"}, reasons.REASON_ROLE_NOT_ALLOWED),
        ({"sequence": 1}, reasons.REASON_SEQUENCE_REUSED),
        ({"sequence": 3}, reasons.REASON_SEQUENCE_SKIPPED),
        ({"previous": bytes(32)}, reasons.REASON_HISTORY_INCONSISTENT),
    ],
)
def test_headers_are_held_against_the_chain(changes: dict[str, Any], expected: int) -> None:
    federation = enrolled()
    message = federation.reservation(BIKES)
    for name, value in changes.items():
        setattr(message.header, name, value)
    refused(lambda: federation.append(federation.signed(Kind.RESERVATION, message, BIKES)), expected)


def test_bodies_nobody_asked_for_are_refused() -> None:
    federation = enrolled()
    data = federation.signed(Kind.RESERVATION, federation.reservation(BIKES), BIKES)
    refused(lambda: federation.append(data, [b"body"]), reasons.REASON_BODY_MISMATCH)


def test_a_suspended_enterprise_may_only_withdraw_and_be_silent() -> None:
    federation = enrolled()
    root = next_trust(federation)
    root.enterprises[0].suspended = True
    federation.publish_trust(root)
    refused(lambda: federation.reserve(BIKES), reasons.REASON_SUSPENDED)
    refused(lambda: federation.enrol(BIKES, [40]), reasons.REASON_SUSPENDED)
    federation.enrol(BIKES, [], withdrawn=[0])
    federation.nothing_to_report(BIKES, NOTHING_REASON_SUSPENDED)


def test_malformed_epochs_are_refused() -> None:
    federation = enrolled()
    message = release_pb2.NothingToReport(
        header=federation.header(Role.ENTERPRISE, BIKES), epoch=202013, reason=NOTHING_REASON_DECLARED_OUTAGE
    )
    with pytest.raises(Malformed):
        federation.append(federation.signed(Kind.NOTHING_TO_REPORT, message, BIKES))


def test_leaf_and_envelope_hash_are_the_entrys() -> None:
    federation = begun()
    entry = federation.entries[-1].data
    assert federation.state.policies[0].policy_hash == hashlib.sha256(entry).digest()
