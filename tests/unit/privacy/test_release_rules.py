"""Answers to an epoch: reservations, releases, silences, each once and as the policy says."""

from __future__ import annotations

from fractions import Fraction

from privacy import releases
from privacy.claims import Claim, ratio
from privacy.envelope import Kind
from privacy.standing import AnswerKind, Role
from protos.epochs import Epoch, shift_epoch
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
from tests.simulator import EPOCH, Federation, SimulatedEnterprise, begun, enrolled
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


YEAR_BEFORE, YEAR_AFTER = shift_epoch(EPOCH, -12), shift_epoch(EPOCH, 12)
HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)
# A day moves its own month by 500 g and the same month of the next year, which compares with it, by 500 g.
OWN_HISTORY = SimulatedEnterprise(
    BIKES,
    range(12),
    ("bike",),
    day_clamp_grams=0,
    reach_grams=1_000,
    later={12: 500},
    sum_reach_grams=15_000,
    sum_later={12: 10_000},
)
PLAIN = SimulatedEnterprise(BIKES, range(12), ("bike",))


def spent_days(federation: Federation, *epochs: Epoch) -> list[Fraction]:
    return [federation.state.spent(BIKES, PRIVACY_UNIT_PERSON_DAY, epoch) for epoch in epochs]


def test_a_day_read_as_a_baseline_pays_with_each_draw_that_reads_it() -> None:
    federation = enrolled(enterprises=[OWN_HISTORY])
    federation.release(BIKES, EPOCH)
    assert spent_days(federation, YEAR_BEFORE, EPOCH, YEAR_AFTER) == [QUARTER, QUARTER, 0]
    federation.release(BIKES, YEAR_AFTER)
    assert spent_days(federation, EPOCH, YEAR_AFTER) == [HALF, QUARTER]
    month = federation.state.spent(BIKES, PRIVACY_UNIT_PERSON_MONTH, EPOCH)
    assert month == 1, "over both years a person-month pays its histogram's claims, no more and no less"


def test_no_series_that_begins_later_says_more_of_a_month_than_was_allowed_for_it() -> None:
    federation = enrolled(enterprises=[PLAIN])
    federation.release(BIKES, EPOCH)
    assert spent_days(federation, EPOCH) == [HALF]
    federation.enterprises = [OWN_HISTORY]
    federation.publish_policy(federation.policy_message(version=2, first_epoch=YEAR_AFTER))
    refused(lambda: federation.reserve(BIKES, YEAR_AFTER), reasons.REASON_BUDGET_EXCEEDED)
    # A year on, the months compared with have room.
    federation.reserve(BIKES, shift_epoch(YEAR_AFTER, 1))


def test_a_larger_epsilon_is_paid_by_the_months_it_compares_with() -> None:
    federation = enrolled(enterprises=[OWN_HISTORY])
    federation.release(BIKES, EPOCH)
    changes = {"statement_epsilon": ratio(Fraction(2)), "person_day_allowance": ratio(Fraction(2))}
    federation.publish_policy(federation.policy_message(version=2, first_epoch=YEAR_AFTER, **changes))
    # A quarter is spent, one would come to it; the year before allowed a half for its days.
    refused(lambda: federation.reserve(BIKES, YEAR_AFTER), reasons.REASON_BUDGET_EXCEEDED)


def test_an_anchor_leaves_out_months_whose_baselines_have_no_room_for_it() -> None:
    anchored = {
        "anchor_epsilon": ratio(HALF),
        "anchor_month": YEAR_AFTER % 100,
        "person_day_allowance": ratio(Fraction(1)),
    }
    federation = enrolled(enterprises=[OWN_HISTORY], policy_changes=anchored)
    before, after = shift_epoch(YEAR_AFTER, -1), shift_epoch(EPOCH, -1)
    federation.release(BIKES, before)
    assert spent_days(federation, after, before) == [QUARTER, QUARTER]
    assert federation.release(BIKES, YEAR_AFTER).bodies_checked
    assert spent_days(federation, after, before) == [HALF, HALF], "anchor and statement, each by its part"
    assert spent_days(federation, EPOCH, YEAR_AFTER) == [HALF, HALF]


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
