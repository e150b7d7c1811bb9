"""Answers to an epoch: reservations, releases, silences, each once and as the policy says."""

from __future__ import annotations

from fractions import Fraction

from privacy import releases
from privacy.claims import Claim, ratio
from privacy.envelope import Kind
from privacy.standing import AnswerKind, Role
from protos.v1 import problem_pb2 as reasons
from protos.v1.release_pb2 import (
    NOTHING_REASON_DECLARED_OUTAGE,
    NOTHING_REASON_EMPTY_ROSTER,
    NOTHING_REASON_NOT_YET_LIVE,
    NOTHING_REASON_SUSPENDED,
    NOTHING_REASON_UNSPECIFIED,
    PRIVACY_UNIT_PERSON_DAY,
)
from tests.simulator import EPOCH, Federation, begun, enrolled
from tests.unit.privacy.decisions import BIKES, JANUARY, refused


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
