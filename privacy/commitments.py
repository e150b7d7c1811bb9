"""What an enterprise has committed to before it drew, until when that is in time, and what asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privacy.policy import Policy
from protos.epochs import Epoch, end_day
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_COMMITMENT_MISSING

DAY_SECONDS = 86_400
# A beacon has as many days after the deadline as the policy gave for commitments, and no fewer than these.
BEACON_DAYS_MIN = 7
# Civil days are UTC+8.
ZONE_SECONDS = 8 * 3_600


@dataclass(frozen=True, slots=True)
class Committed:
    """A commitment in the log: its entry, when its enterprise says it was made, the policy it is under."""

    index: int
    issued_at: int
    policy: Policy
    commitment: bytes


def deadline(policy: Policy, epoch: Epoch) -> int | None:
    """Give the second since 1970 at which commitments to an epoch are late; None where none are asked for.

    A policy that is made after the epoch's end gives as many days from then.
    """
    if not policy.commitment_required:
        return None
    ended_at = end_day(epoch) * DAY_SECONDS - ZONE_SECONDS
    return max(ended_at, policy.issued_at) + policy.commitment_deadline_days * DAY_SECONDS


def beacon_due(policy: Policy, epoch: Epoch) -> int | None:
    """Give the second since 1970 by which the log holds an epoch's beacon; None where none is asked for."""
    due = deadline(policy, epoch)
    return None if due is None else due + max(policy.commitment_deadline_days, BEACON_DAYS_MIN) * DAY_SECONDS


def check_committed(commitments: Mapping[Epoch, Committed], policy: Policy, epoch: Epoch) -> None:
    """Refuse an epoch's release where its policy asks for a commitment and none was logged.

    Raises Refused COMMITMENT_MISSING.
    """
    if not policy.commitment_required:
        return
    committed = commitments.get(epoch)
    if committed is None or committed.policy.policy_hash != policy.policy_hash:
        raise Refused(
            REASON_COMMITMENT_MISSING,
            f"Policy version {policy.version} asks for a commitment to {epoch} before its release.",
            remedy="Log the commitment first; it is made before anything is drawn.",
        )
