"""Rules for an epoch's answers: reservations within the allowance, releases, signed silences."""

from __future__ import annotations

from fractions import Fraction

from privacy import releases, selection_rules
from privacy.anchors import covered
from privacy.charges import allowance, charged, check_charges, draw_cost
from privacy.commitments import check_committed
from privacy.policy import Policy
from privacy.series import Series
from privacy.standing import Answer, AnswerKind, EnterpriseStanding, Reserved, Standing
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch, checked_epoch
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import release_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_ALREADY_RELEASED,
    REASON_BUDGET_EXCEEDED,
    REASON_POLICY_NOT_IN_FORCE,
    REASON_RESERVATION_UNKNOWN,
    REASON_SELECTION_WRONG,
    REASON_UNKNOWN_FIELD_VALUE,
    REASON_WRONG_SHAPE,
)
from protos.v1.release_pb2 import (
    NOTHING_REASON_DECLARED_OUTAGE,
    NOTHING_REASON_EMPTY_ROSTER,
    NOTHING_REASON_NOT_YET_LIVE,
    NOTHING_REASON_SUSPENDED,
    PrivacyUnit,
)


def check_reservation(
    standing: Standing, message: release_pb2.Reservation, submission: Submission
) -> Verdict:
    """Take a reservation of exactly the policy's series, within the allowance of each unit."""
    epoch = checked_epoch(message.epoch)
    mine = standing.enterprise(submission.issuer)
    check_unanswered(mine, epoch)
    policy = standing.policy_for(epoch)
    if message.policy_hash != policy.policy_hash:
        raise Refused(
            REASON_POLICY_NOT_IN_FORCE,
            f"For {epoch} policy version {policy.version} is in force; the reservation names another.",
            remedy="Read the policy from the log again.",
        )
    covered = anchors_covered(mine, policy, submission.issuer, epoch)
    check_charges(message.charges, policy, submission.issuer, epoch, covered)
    if len(message.nonce) != releases.NONCE_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"A reservation's nonce has {releases.NONCE_BYTES} bytes.")
    if message.nonce in mine.nonces:
        raise Conflict(REASON_ALREADY_EXISTS, "The reservation's nonce was used before.")
    charges = charged(policy, submission.issuer, epoch, covered)
    spent = {of: _spent_after(mine, policy, of, charge) for of, charge in charges.items()}
    selection_rules.check_selected(standing, submission.issuer, epoch, replaying=submission.replaying)
    selection = selection_rules.in_force(standing, submission.issuer, epoch)
    reserved = Reserved(epoch, policy, submission.index, covered, selection)

    def apply() -> None:
        entry = standing.entry_of(submission.issuer)
        entry.reservations[submission.envelope_hash] = reserved
        entry.nonces.add(message.nonce)
        entry.spent.update(spent)

    return Verdict(apply)


def check_release(standing: Standing, message: release_pb2.Release, submission: Submission) -> Verdict:
    """Take the release a reservation pays for: the policy's series over the roster of its epoch."""
    epoch = checked_epoch(message.epoch)
    mine = standing.enterprise(submission.issuer)
    check_unanswered(mine, epoch)
    reserved = mine.reservations.get(message.reservation_hash)
    if reserved is None or reserved.epoch != epoch or message.reservation_hash in mine.used:
        raise Refused(
            REASON_RESERVATION_UNKNOWN,
            f"No unused reservation of the enterprise for {epoch} has that hash.",
            remedy="Reserve the charge before the release.",
        )
    if message.policy_hash != reserved.policy.policy_hash:
        raise Refused(REASON_POLICY_NOT_IN_FORCE, "The release names another policy than its reservation.")
    if message.selection_hash != reserved.selection_hash:
        raise Refused(
            REASON_SELECTION_WRONG,
            f"The release obeys another selection than the one that stood when {epoch} was reserved.",
            remedy="Read the selection from the log and draw again.",
        )
    check_committed(mine.commitments, reserved.policy, epoch)
    releases.check_release(
        message,
        reserved.policy,
        submission.issuer,
        roster_root=mine.roster.root_at(epoch),
        active_slots=mine.roster.active_count(epoch),
        covered=reserved.covered,
    )
    needs_bodies = releases.body_count(message) > 0
    if submission.bodies is not None or not needs_bodies:
        releases.check_bodies(message, submission.bodies or ())
    answer = Answer(AnswerKind.RELEASE, submission.index)

    def apply() -> None:
        entry = standing.entry_of(submission.issuer)
        entry.used.add(message.reservation_hash)
        entry.answers[epoch] = answer
        entry.released[epoch] = reserved.policy

    return Verdict(apply, bodies_checked=submission.bodies is not None or not needs_bodies)


def check_nothing_to_report(
    standing: Standing, message: release_pb2.NothingToReport, submission: Submission
) -> Verdict:
    """Take a silence whose reason holds and does not depend on anybody's behaviour.

    Raises Refused UNKNOWN_FIELD_VALUE.
    """
    epoch = checked_epoch(message.epoch)
    mine = standing.enterprise(submission.issuer)
    check_unanswered(mine, epoch)
    suspended = standing.trust.enterprise(submission.issuer).suspended
    reasons_hold = {
        NOTHING_REASON_EMPTY_ROSTER: mine.roster.active_count(epoch) == 0,
        NOTHING_REASON_NOT_YET_LIVE: not _has_released_by(mine, epoch),
        NOTHING_REASON_SUSPENDED: suspended,
        NOTHING_REASON_DECLARED_OUTAGE: not suspended,
    }
    if not reasons_hold.get(message.reason, False):
        raise Refused(
            REASON_UNKNOWN_FIELD_VALUE,
            f"The reason given for the silence of {epoch} does not hold in the log.",
        )
    answer = Answer(AnswerKind.NOTHING_TO_REPORT, submission.index)

    def apply() -> None:
        standing.entry_of(submission.issuer).answers[epoch] = answer

    return Verdict(apply)


def check_unanswered(mine: EnterpriseStanding, epoch: Epoch) -> None:
    """Refuse a second answer; an answer for an epoch that is closed goes into the next close.

    Raises Conflict ALREADY_RELEASED.
    """
    if epoch in mine.answers:
        raise Conflict(
            REASON_ALREADY_RELEASED,
            f"The enterprise has answered for {epoch} in entry {mine.answers[epoch].index}.",
        )


def anchors_covered(
    mine: EnterpriseStanding, policy: Policy, enterprise_id: str, epoch: Epoch
) -> dict[str, tuple[Epoch, ...]]:
    """Give the epochs each anchor of an epoch's release totals, as the log stands."""

    def has_room(one: Epoch, item: Series) -> bool:
        unit, asked = item.claim.unit, dict[Epoch, Fraction]()
        for other in policy.series(enterprise_id):
            if (other.kind, other.claim.unit) == (item.kind, unit):
                for read, epsilon in draw_cost(other, [one]).items():
                    asked[read] = asked.get(read, Fraction(0)) + epsilon
        return all(
            mine.spent.get((unit, read), Fraction(0)) + epsilon
            <= allowance(mine.released.get(read, policy), unit)
            for read, epsilon in asked.items()
        )

    return covered(policy, enterprise_id, epoch, mine.released, has_room)


def _spent_after(
    mine: EnterpriseStanding, policy: Policy, of: tuple[PrivacyUnit.ValueType, Epoch], charge: Fraction
) -> Fraction:
    unit, epoch = of
    spent = mine.spent.get(of, Fraction(0))
    allowed = allowance(mine.released.get(epoch, policy), unit)
    if spent + charge > allowed:
        raise Refused(
            REASON_BUDGET_EXCEEDED,
            f"{PrivacyUnit.Name(unit)} of {epoch}: {spent} is spent, {charge} asked for, {allowed} allowed.",
            remedy="Send the release the earlier reservation paid for.",
        )
    return spent + charge


def _has_released_by(mine: EnterpriseStanding, epoch: Epoch) -> bool:
    return any(
        answer.kind is AnswerKind.RELEASE and earlier <= epoch for earlier, answer in mine.answers.items()
    )
