"""Rules for the hub's word that somebody owed something: no answer, and the deadline has passed."""

from __future__ import annotations

from privacy import deadlines
from privacy.standing import Role, Standing
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch, checked_epoch, format_epoch
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import evidence_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_ALREADY_RELEASED,
    REASON_EPOCH_NOT_READY,
    REASON_NOT_REGISTERED,
    REASON_UNKNOWN_FIELD_VALUE,
)


def check_missing(standing: Standing, message: evidence_pb2.Missing, submission: Submission) -> Verdict:
    """Take a missing entry for a registered party that has not answered by its deadline."""
    epoch, role = checked_epoch(message.epoch), _role(message.role)
    _check_registered(standing, role, message.party_id)
    key = (role, message.party_id, epoch)
    if key in standing.missed:
        raise Conflict(REASON_ALREADY_EXISTS, f"Entry {standing.missed[key]} says so already.")
    if deadlines.is_answered(standing, role, message.party_id, epoch):
        raise Refused(
            REASON_ALREADY_RELEASED,
            f"'{message.party_id}' has answered for {format_epoch(epoch)}: the log holds it.",
        )
    due_at = deadlines.due_at(standing, role, message.party_id, epoch)
    if due_at is None or message.header.issued_at < due_at:
        raise Refused(
            REASON_EPOCH_NOT_READY,
            f"The deadline of '{message.party_id}' for {format_epoch(epoch)} "
            + ("is named by no policy." if due_at is None else f"passes at {deadlines.moment(due_at)}."),
        )
    return Verdict(lambda: standing.missed.update({key: submission.index}))


def check_missing_logged(standing: Standing, missing: list[str], epoch: Epoch, log_size: int) -> None:
    """Refuse a close over enterprises whose silence the log does not state, where they had a deadline.

    Raises Refused EPOCH_NOT_READY.
    """
    for enterprise_id in missing:
        if deadlines.due_at(standing, Role.ENTERPRISE, enterprise_id, epoch) is None:
            continue
        index = standing.missed.get((Role.ENTERPRISE, enterprise_id, epoch))
        if index is None or index >= log_size:
            raise Refused(
                REASON_EPOCH_NOT_READY,
                f"{enterprise_id} is missing for {format_epoch(epoch)} and no entry says so.",
                remedy="Wait for the deadline; the hub then logs who is missing.",
            )


def _role(text: str) -> Role:
    for role in deadlines.ROLES:
        if role.value == text:
            return role
    raise Malformed(REASON_UNKNOWN_FIELD_VALUE, "Missing is a node or a custodian.")


def _check_registered(standing: Standing, role: Role, party_id: str) -> None:
    root = standing.trust
    parties = root.enterprises if role is Role.ENTERPRISE else root.custodians
    if not any(one.id == party_id for one in parties):
        raise Refused(REASON_NOT_REGISTERED, f"The trust root names no {role.value} '{party_id}'.")
