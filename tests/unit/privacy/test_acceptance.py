"""The decision on the next entry: what is in order is taken, everything else is refused with its reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from privacy import codec, envelope, releases, rosters
from privacy.acceptance import LogState
from privacy.claims import Claim, ratio
from privacy.envelope import Kind
from privacy.standing import HUB_ID, AnswerKind, Role
from protos.epochs import Epoch
from protos.problems import InvariantBroken, Malformed, Problem, Unverified
from protos.v1 import books_pb2, custodian_pb2, envelope_pb2, release_pb2
from protos.v1 import problem_pb2 as reasons
from protos.v1.release_pb2 import (
    NOTHING_REASON_DECLARED_OUTAGE,
    NOTHING_REASON_EMPTY_ROSTER,
    NOTHING_REASON_NOT_YET_LIVE,
    NOTHING_REASON_SUSPENDED,
    NOTHING_REASON_UNSPECIFIED,
    PRIVACY_UNIT_PERSON_DAY,
    PRIVACY_UNIT_PERSON_MONTH,
)
from tests import simulator
from tests.simulator import CUSTODIANS, EPOCH, Federation, begun, closed, enrolled, key, pseudonym

JANUARY = Epoch(202101)
BIKES = "bike-share"


def refused(act: Callable[[], Any], *expected: int) -> None:
    with pytest.raises(Problem) as caught:
        act()
    assert caught.value.reason in expected, str(caught.value)


def replay(federation: Federation, *, with_bodies: bool = True, state: LogState | None = None) -> LogState:
    state = state or LogState(pinned=federation.entries[0].data, replaying=True)
    for entry in federation.entries[state.size :]:
        state.apply(state.check(entry.data, entry.bodies if with_bodies else None))
    return state


# The whole story.


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


# Envelope, keys, origin, role, chain.


def next_trust(federation: Federation, **changes: Any) -> Any:
    trust = federation.state.trust
    return federation.trust_root(version=trust.version + 1, previous=trust.envelope_hash, **changes)


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


# Documents.


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


# Rosters, counts, links.


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


# Reservations and releases.


def test_a_reservation_is_the_policys_charges_within_the_allowance() -> None:
    federation = enrolled()
    message = federation.reservation(BIKES)

    def sign() -> bytes:
        return federation.signed(Kind.RESERVATION, message, BIKES)

    message.policy_hash = bytes(32)
    refused(lambda: federation.append(sign()), reasons.REASON_POLICY_NOT_IN_FORCE)
    message = federation.reservation(BIKES)
    message.nonce = b"short"
    refused(lambda: federation.append(sign()), reasons.REASON_WRONG_SHAPE)
    message = federation.reservation(BIKES)
    wide = Claim(unit=PRIVACY_UNIT_PERSON_DAY, scale=2_000, reach=500)
    message.charges[0].claim.CopyFrom(wide.to_wire())
    refused(lambda: federation.append(sign()), reasons.REASON_CLAIM_WRONG)
    message = federation.reservation(BIKES)
    message.charges.pop()
    refused(lambda: federation.append(sign()), reasons.REASON_CLAIM_WRONG)
    federation.reserve(BIKES)
    refused(lambda: federation.reserve(BIKES), reasons.REASON_BUDGET_EXCEEDED)
    federation.reserve("utility")


def test_an_allowance_for_two_pays_for_two_reservations_but_one_release() -> None:
    federation = Federation()
    federation.publish_trust()
    for pack in federation.packs:
        federation.publish_pack(pack)
    rich = federation.policy_message(
        person_day_allowance=ratio(Fraction(1)), person_month_allowance=ratio(Fraction(2))
    )
    federation.publish_policy(rich)
    federation.enrol(BIKES, [1, 2])
    lost, kept = federation.reserve(BIKES), federation.reserve(BIKES)
    refused(lambda: federation.reserve(BIKES), reasons.REASON_BUDGET_EXCEEDED)
    built = federation.release_message(BIKES, kept)
    federation.append(federation.signed(Kind.RELEASE, built.message, BIKES), built.bodies)
    second = federation.release_message(BIKES, lost)
    data = federation.signed(Kind.RELEASE, second.message, BIKES)
    refused(lambda: federation.append(data, second.bodies), reasons.REASON_ALREADY_RELEASED)


def test_a_nonce_is_used_once() -> None:
    federation = Federation()
    federation.publish_trust()
    for pack in federation.packs:
        federation.publish_pack(pack)
    federation.publish_policy(
        federation.policy_message(
            person_day_allowance=ratio(Fraction(1)), person_month_allowance=ratio(Fraction(2))
        )
    )
    first = federation.reservation(BIKES)
    federation.append(federation.signed(Kind.RESERVATION, first, BIKES))
    second = federation.reservation(BIKES)
    second.nonce = first.nonce
    data = federation.signed(Kind.RESERVATION, second, BIKES)
    refused(lambda: federation.append(data), reasons.REASON_ALREADY_EXISTS)


def test_no_release_without_its_own_reservation() -> None:
    federation = enrolled()
    theirs = federation.reserve("utility")
    mine = federation.reserve(BIKES)
    for reservation, epoch in ((theirs, EPOCH), (bytes(32), EPOCH), (mine, JANUARY)):
        built = federation.release_message(BIKES, reservation, epoch)
        data = federation.signed(Kind.RELEASE, built.message, BIKES)
        refused(
            lambda data=data, built=built: federation.append(data, built.bodies),  # type: ignore[misc]
            reasons.REASON_RESERVATION_UNKNOWN,
        )


def test_a_release_follows_its_reservations_policy() -> None:
    federation = enrolled()
    reservation = federation.reserve(BIKES)
    federation.publish_policy(federation.policy_message(version=2))
    later = federation.release_message(BIKES, reservation)
    data = federation.signed(Kind.RELEASE, later.message, BIKES)
    refused(lambda: federation.append(data, later.bodies), reasons.REASON_POLICY_NOT_IN_FORCE)
    later.message.policy_hash = federation.state.policies[0].policy_hash
    federation.append(federation.signed(Kind.RELEASE, later.message, BIKES), later.bodies)


def test_a_release_over_another_roster_is_refused() -> None:
    federation = enrolled()
    built = federation.release_message(BIKES, federation.reserve(BIKES))
    federation.enrol(BIKES, [], withdrawn=[0])
    built.message.header.CopyFrom(federation.header(Role.ENTERPRISE, BIKES))
    data = federation.signed(Kind.RELEASE, built.message, BIKES)
    refused(lambda: federation.append(data, built.bodies), reasons.REASON_ROSTER_WRONG)


def test_a_releases_bodies_are_those_signed() -> None:
    federation = enrolled()
    built = federation.release_message(BIKES, federation.reserve(BIKES))
    data = federation.signed(Kind.RELEASE, built.message, BIKES)
    refused(lambda: federation.append(data, []), reasons.REASON_BODY_TRUNCATED)
    other = releases.encode_statement_chunk("main", 0, bytes(8 * 12))
    refused(lambda: federation.append(data, [other]), reasons.REASON_BODY_MISMATCH)
    admission = federation.append(data, built.bodies)
    assert admission.issuer == BIKES
    assert admission.bodies_checked


def test_an_empty_roster_may_release_zero_rows() -> None:
    federation = begun()
    federation.release(BIKES)
    assert federation.state.answers(BIKES)[EPOCH].kind is AnswerKind.RELEASE


def test_one_answer_an_epoch() -> None:
    federation = enrolled()
    federation.release(BIKES)
    refused(lambda: federation.reserve(BIKES), reasons.REASON_ALREADY_RELEASED)
    outage = NOTHING_REASON_DECLARED_OUTAGE
    refused(lambda: federation.nothing_to_report(BIKES, outage), reasons.REASON_ALREADY_RELEASED)
    federation.nothing_to_report("utility", outage)
    refused(lambda: federation.reserve("utility"), reasons.REASON_ALREADY_RELEASED)


def test_the_reason_for_a_silence_must_hold() -> None:
    federation = enrolled()
    wrong = reasons.REASON_UNKNOWN_FIELD_VALUE
    for reason in (NOTHING_REASON_EMPTY_ROSTER, NOTHING_REASON_SUSPENDED, NOTHING_REASON_UNSPECIFIED):
        refused(lambda reason=reason: federation.nothing_to_report(BIKES, reason), wrong)  # type: ignore[misc]
    federation.nothing_to_report("utility", NOTHING_REASON_NOT_YET_LIVE)
    federation.release(BIKES)
    live = NOTHING_REASON_NOT_YET_LIVE
    refused(lambda: federation.nothing_to_report(BIKES, live, JANUARY), wrong)
    assert federation.state.answers("utility")[EPOCH].kind is AnswerKind.NOTHING_TO_REPORT
    federation.enrol("utility", [], effective=JANUARY, withdrawn=list(range(14)))
    federation.nothing_to_report("utility", NOTHING_REASON_EMPTY_ROSTER, JANUARY)


# Closes.


def test_a_close_stands_on_this_logs_beginning() -> None:
    federation = enrolled()
    federation.release(BIKES)
    federation.release("utility")

    def sign(message: books_pb2.EpochClose) -> bytes:
        return federation.signed(Kind.EPOCH_CLOSE, message, HUB_ID)

    message = federation.close_message()
    message.log_root = bytes(32)
    refused(lambda: federation.append(sign(message)), reasons.REASON_HISTORY_INCONSISTENT)
    for size in (0, federation.state.size + 1):
        message = federation.close_message()
        message.log_size = size
        refused(lambda message=message: federation.append(sign(message)), reasons.REASON_EPOCH_NOT_READY)  # type: ignore[misc]
    message = federation.close_message()
    message.accounts_in_two_or_more = message.accounts + 1
    refused(lambda: federation.append(sign(message)), reasons.REASON_WRONG_SHAPE)
    message = federation.close_message()
    refused(
        lambda: federation.append(federation.signed(Kind.EPOCH_CLOSE, message, BIKES)),
        reasons.REASON_ROLE_NOT_ALLOWED,
    )
    federation.append(sign(message))
    refused(federation.close, reasons.REASON_EPOCH_CLOSED)
    refused(lambda: federation.reserve(BIKES), reasons.REASON_ALREADY_RELEASED)


def test_a_close_names_exactly_who_is_missing() -> None:
    federation = enrolled()
    federation.release(BIKES)
    message = federation.close_message()
    assert list(message.missing) == ["utility"]
    for missing in ([], ["bike-share", "utility"], ["bike-share"]):
        wrong = federation.close_message()
        wrong.missing[:] = missing
        data = federation.signed(Kind.EPOCH_CLOSE, wrong, HUB_ID)
        refused(lambda data=data: federation.append(data), reasons.REASON_EPOCH_NOT_READY)  # type: ignore[misc]
    federation.append(federation.signed(Kind.EPOCH_CLOSE, message, HUB_ID))


def test_a_release_for_a_closed_epoch_is_taken_once_and_the_close_still_names_who_was_missing() -> None:
    federation = enrolled()
    federation.release(BIKES)
    federation.close()
    federation.release("utility")
    refused(lambda: federation.reserve("utility"), reasons.REASON_ALREADY_RELEASED)
    assert federation.state.missing(EPOCH) == []
    [entry] = [one for one in federation.entries if b"epoch-close" in one.data]
    close = envelope.open_envelope(entry.data).parse(books_pb2.EpochClose)
    assert list(close.missing) == ["utility"]


def test_an_answer_behind_the_closes_log_asks_for_a_newer_close() -> None:
    federation = enrolled()
    federation.release(BIKES)
    message = federation.close_message()
    federation.release("utility")
    data = federation.signed(Kind.EPOCH_CLOSE, message, HUB_ID)
    refused(lambda: federation.append(data), reasons.REASON_EPOCH_NOT_READY)


def test_a_later_close_closes_what_is_before() -> None:
    federation = closed(JANUARY)
    assert federation.state.is_closed(EPOCH)
    refused(lambda: federation.enrol(BIKES, [40]), reasons.REASON_EPOCH_CLOSED)


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
