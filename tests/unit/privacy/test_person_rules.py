"""Rosters, counts and links: slots in order, everybody counted, nobody twice."""

from __future__ import annotations

import pytest

from privacy import rosters
from privacy.acceptance import LogState
from privacy.envelope import Kind
from privacy.standing import Role
from protos.epochs import Epoch
from protos.problems import Unverified
from protos.v1 import custodian_pb2
from protos.v1 import problem_pb2 as reasons
from tests import simulator
from tests.simulator import CUSTODIANS, EPOCH, begun, closed, enrolled
from tests.unit.privacy.decisions import BIKES, JANUARY, next_trust, refused, replay


def test_slots_are_contiguous_and_epochs_open() -> None:
    federation = closed()
    refused(lambda: federation.enrol(BIKES, [40]), reasons.REASON_EPOCH_CLOSED)
    federation.enrol(BIKES, [40], effective=Epoch(202103))
    refused(lambda: federation.enrol(BIKES, [41], effective=JANUARY), reasons.REASON_ROSTER_WRONG)
    built = federation.roster(BIKES, [41], effective=Epoch(202103))
    built.message.first_slot += 1
    data = federation.signed(Kind.ROSTER_BATCH, built.message, BIKES)
    refused(lambda: federation.append(data, built.bodies), reasons.REASON_ROSTER_WRONG)


def test_a_roster_cannot_change_under_a_release() -> None:
    federation = enrolled()
    federation.release(BIKES)
    refused(lambda: federation.enrol(BIKES, [40]), reasons.REASON_ALREADY_RELEASED)
    federation.enrol(BIKES, [40], effective=JANUARY)


def test_batches_have_a_minimum_but_withdrawals_need_not_wait() -> None:
    federation = enrolled(batch_min=5)
    refused(lambda: federation.enrol(BIKES, [40, 41]), reasons.REASON_ROSTER_WRONG)
    federation.enrol(BIKES, [], withdrawn=[1])
    empty = federation.roster(BIKES, [])
    data = federation.signed(Kind.ROSTER_BATCH, empty.message, BIKES)
    refused(lambda: federation.append(data), reasons.REASON_WRONG_SHAPE)


def test_a_person_is_active_once_and_may_come_back() -> None:
    federation = enrolled()
    refused(lambda: federation.enrol(BIKES, [40, 40]), reasons.REASON_ALREADY_EXISTS)
    refused(lambda: federation.enrol(BIKES, [40, 3]), reasons.REASON_ALREADY_EXISTS)
    federation.enrol(BIKES, [40, 3], withdrawn=[3])
    refused(lambda: federation.enrol(BIKES, [3]), reasons.REASON_ALREADY_EXISTS)
    federation.enrol(BIKES, [], effective=JANUARY, withdrawn=[13])
    federation.enrol(BIKES, [3], effective=JANUARY)
    assert 13 in federation.state.roster(BIKES).active_slots(EPOCH)
    assert 13 not in federation.state.roster(BIKES).active_slots(JANUARY)


def test_a_false_roster_root_is_refused() -> None:
    federation = enrolled()
    for persons, withdrawn in (([40], ()), ([], (1,))):
        built = federation.roster(BIKES, persons, withdrawn=withdrawn)
        built.message.roster_root = bytes(32)
        data = federation.signed(Kind.ROSTER_BATCH, built.message, BIKES)
        refused(
            lambda data=data, built=built: federation.append(data, built.bodies),  # type: ignore[misc]
            reasons.REASON_ROSTER_WRONG,
        )


def test_another_pseudonym_key_is_refused() -> None:
    federation = enrolled()
    built = federation.roster(BIKES, [40])
    built.message.pseudonym_key_id = b"other"
    data = federation.signed(Kind.ROSTER_BATCH, built.message, BIKES)
    refused(lambda: federation.append(data, built.bodies), reasons.REASON_KEY_UNKNOWN)


def test_erased_rows_pass_in_a_replay_only() -> None:
    federation = closed()
    index = next(i for i, entry in enumerate(federation.entries) if len(entry.bodies) == 2)
    entry = federation.entries[index]
    entry.bodies[1] = rosters.erase(entry.bodies[1], 2)
    replay(federation)
    refused(lambda: replay(federation, state=LogState()), reasons.REASON_BODY_MISMATCH)


def test_counts_grow_by_exactly_their_batches() -> None:
    federation = begun()
    federation.count(CUSTODIANS[0], BIKES, 3, 4)
    custodian = CUSTODIANS[0]
    report = custodian_pb2.CountReport(
        header=federation.header(Role.CUSTODIAN, custodian),
        enterprise_id=BIKES,
        key_id=simulator.KEY_ID,
        evaluations_total=9,
    )
    report.batches.add(batch_hash=bytes(32), elements=1)

    def sign() -> bytes:
        return federation.signed(Kind.COUNT_REPORT, report, custodian)

    refused(lambda: federation.append(sign()), reasons.REASON_WRONG_SHAPE)
    report.evaluations_total = 8
    report.batches[0].batch_hash = b"short"
    refused(lambda: federation.append(sign()), reasons.REASON_WRONG_SHAPE)
    report.batches[0].batch_hash = bytes(32)
    report.batches[0].elements = 0
    refused(lambda: federation.append(sign()), reasons.REASON_WRONG_SHAPE)
    report.batches[0].elements = 1
    report.enterprise_id = "nobody"
    refused(lambda: federation.append(sign()), reasons.REASON_NOT_REGISTERED)
    report.enterprise_id = BIKES
    federation.append(sign())
    report.header.CopyFrom(federation.header(Role.CUSTODIAN, custodian))
    report.evaluations_total = 9
    refused(lambda: federation.append(sign()), reasons.REASON_ALREADY_EXISTS)


def test_what_was_counted_for_stays_countable_after_it_has_left() -> None:
    federation, custodian = begun(), CUSTODIANS[0]
    after = next_trust(federation)
    del after.enterprises[0]
    after.pseudonym_key.key_id = b"another key"
    after.pseudonym_key.commitments[0] = bytes([9] * 32)
    federation.publish_trust(after)
    assert all(party.id != BIKES for party in federation.state.trust.enterprises)
    federation.count(custodian, BIKES, 3)
    assert replay(federation).evaluations(BIKES) == {custodian: 3}


def test_a_key_nobody_published_cannot_be_counted_for() -> None:
    federation, custodian = begun(), CUSTODIANS[0]
    report = custodian_pb2.CountReport(
        header=federation.header(Role.CUSTODIAN, custodian),
        enterprise_id=BIKES,
        key_id=b"another key",
        evaluations_total=1,
    )
    report.batches.add(batch_hash=bytes(32), elements=1)
    data = federation.signed(Kind.COUNT_REPORT, report, custodian)
    with pytest.raises(Unverified) as caught:
        federation.append(data)
    assert caught.value.reason == reasons.REASON_KEY_UNKNOWN


def test_a_pseudonym_is_linked_once_for_open_epochs() -> None:
    federation = closed()
    refused(lambda: federation.link([40]), reasons.REASON_EPOCH_CLOSED)
    refused(lambda: federation.link([3], effective=JANUARY), reasons.REASON_ALREADY_EXISTS)
    refused(lambda: federation.link([40, 40], effective=JANUARY), reasons.REASON_ALREADY_EXISTS)
    refused(lambda: federation.link([], effective=JANUARY), reasons.REASON_WRONG_SHAPE)
    federation.link([40], effective=JANUARY)
    built = federation.link_batch([41], effective=JANUARY)
    data = federation.signed(Kind.LINK_BATCH, built.message, BIKES)
    refused(lambda: federation.append(data, built.bodies), reasons.REASON_ROLE_NOT_ALLOWED)
