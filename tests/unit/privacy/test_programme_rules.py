"""Two persons sign a programme, its versions follow one another, and closed books stay as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from privacy.acceptance import LogState
from protos.problems import Problem
from protos.v1 import problem_pb2 as reasons
from tests.simulator import EPOCH, Federation, closed, enrolled
from tests.unit.privacy.decisions import JANUARY, replay

WRITER, CHECKER = "operator", "regulator"


def body(version: int = 1, first_epoch: int = JANUARY, programme: str = "city") -> bytes:
    return json.dumps({"id": programme, "version": version, "first_epoch": first_epoch}).encode()


def published(federation: Federation, *versions: bytes) -> Federation:
    for one in versions:
        federation.publish_programme(one)
    return federation


def test_versions_are_taken_in_their_order_and_replay() -> None:
    federation = published(enrolled(), body(), body(2, 202103), body(programme="other"))
    state = replay(federation)
    assert [one.version for one in state.programmes["city"].versions] == [1, 2]
    assert state.programmes["city"].versions[1].first_epoch == 202103
    assert state.root() == federation.state.root()


@pytest.mark.parametrize("signers", [(WRITER,), (CHECKER,), (WRITER, "auditor"), ("auditor", "hub")])
def test_one_person_alone_publishes_nothing(signers: tuple[str, ...]) -> None:
    with pytest.raises(Problem) as refused:
        enrolled().publish_programme(body(), *signers)
    assert refused.value.reason in (reasons.REASON_SIGNATURE_INVALID, reasons.REASON_KEY_UNKNOWN)


@pytest.mark.parametrize(
    ("data", "changes", "reason"),
    [
        (body(), {"version": 0}, reasons.REASON_ALREADY_EXISTS),
        (body(2), {}, reasons.REASON_SEQUENCE_SKIPPED),
        (body(), {"origin": "another/log"}, reasons.REASON_WRONG_ORIGIN),
        (body(), {"id": "City"}, reasons.REASON_UNKNOWN_FIELD_VALUE),
        (body(), {"sha256": bytes(32)}, reasons.REASON_BODY_MISMATCH),
        (body(), {"sha256": b""}, reasons.REASON_WRONG_SHAPE),
        (body(), {"size": 1}, reasons.REASON_BODY_MISMATCH),
        (body(), {"size": 0}, reasons.REASON_WRONG_SHAPE),
        (body(), {"first_epoch": 202113}, reasons.REASON_UNKNOWN_FIELD_VALUE),
        (body(), {"withdrawn": True}, reasons.REASON_PROGRAMME_UNKNOWN),
    ],
)
def test_a_record_that_is_wrong_is_refused(data: bytes, changes: dict[str, Any], reason: int) -> None:
    with pytest.raises(Problem) as refused:
        enrolled().publish_programme(data, **changes)
    assert refused.value.reason == reason


def test_what_is_closed_is_not_paid_for_again() -> None:
    federation = closed()
    with pytest.raises(Problem) as refused:
        federation.publish_programme(body(first_epoch=EPOCH))
    assert refused.value.reason == reasons.REASON_EPOCH_CLOSED
    published(federation, body())
    with pytest.raises(Problem) as refused:
        federation.publish_programme(body(), withdrawn=True, first_epoch=EPOCH)
    assert refused.value.reason == reasons.REASON_EPOCH_CLOSED


def test_a_later_version_does_not_begin_earlier() -> None:
    federation = published(enrolled(), body(first_epoch=202103))
    with pytest.raises(Problem) as refused:
        federation.publish_programme(body(2, 202102))
    assert refused.value.reason == reasons.REASON_SEQUENCE_SKIPPED


def test_a_withdrawn_programme_stays_withdrawn() -> None:
    federation = published(enrolled(), body())
    with pytest.raises(Problem) as refused:
        federation.publish_programme(body(), withdrawn=True, sha256=bytes(32))
    assert refused.value.reason == reasons.REASON_SEQUENCE_SKIPPED
    federation.publish_programme(body(), withdrawn=True, first_epoch=202102)
    assert replay(federation).programmes["city"].withdrawn_from == 202102
    for data, changes in ((body(2, 202103), {}), (body(), {"withdrawn": True, "first_epoch": 202102})):
        with pytest.raises(Problem) as refused:
            federation.publish_programme(data, **changes)
        assert refused.value.reason == reasons.REASON_ALREADY_EXISTS


def test_every_changed_byte_is_refused() -> None:
    federation = published(enrolled(), body())
    entry = federation.entries[-1]
    state = replay_before(federation)
    for at in range(len(entry.data)):
        changed = entry.data[:at] + bytes([entry.data[at] ^ 1]) + entry.data[at + 1 :]
        with pytest.raises(Problem):
            state.check(changed, entry.bodies)
    state.check(entry.data, entry.bodies)


def replay_before(federation: Federation) -> LogState:
    """Replay all but the last entry."""
    state = LogState()
    for logged in federation.entries[:-1]:
        state.apply(state.check(logged.data, logged.bodies))
    return state
