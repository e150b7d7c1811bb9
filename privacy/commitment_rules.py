"""Rules for what samples stand on: commitments before their draws, one beacon over all of an epoch's."""

from __future__ import annotations

from privacy import beacon, checkpoint
from privacy.beacon import Drawn
from privacy.checkpoint import Checkpoint
from privacy.commitments import Committed, deadline
from privacy.merkle import HASH_BYTES
from privacy.policy import Policy
from privacy.release_rules import check_unanswered
from privacy.standing import EnterpriseStanding, Standing
from privacy.trust import BeaconKey, TrustRoot
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch, checked_epoch
from protos.problems import Conflict, Malformed, Refused, Unverified
from protos.v1 import commitment_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_BEACON_INVALID,
    REASON_BEACON_KNOWN,
    REASON_COMMITMENT_CLOSED,
    REASON_EPOCH_CLOSED,
    REASON_EPOCH_NOT_READY,
    REASON_KEY_UNKNOWN,
    REASON_MESSAGE_TOO_LARGE,
    REASON_POLICY_NOT_IN_FORCE,
    REASON_WRONG_SHAPE,
)

# Text, the log's line, a quorum's lines; the ML-DSA-44 lines of a served checkpoint can stay away.
CHECKPOINT_BYTES_MAX = 32_768


def check_commitment(
    standing: Standing, message: commitment_pb2.Commitment, submission: Submission
) -> Verdict:
    """Take the commitment to an epoch not answered yet: one a policy, before its release and beacon."""
    epoch = checked_epoch(message.epoch)
    mine = standing.enterprise(submission.issuer)
    check_unanswered(mine, epoch)
    if standing.is_closed(epoch):
        raise Refused(REASON_EPOCH_CLOSED, f"The books of {epoch} are closed.")
    policy = _policy(standing, mine, epoch, message.policy_hash)
    if len(message.commitment) != HASH_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"A commitment has {HASH_BYTES} bytes.")
    known = mine.commitments.get(epoch)
    if known is not None and known.policy.policy_hash == policy.policy_hash:
        raise Conflict(REASON_ALREADY_EXISTS, f"The enterprise committed to {epoch} in entry {known.index}.")
    if epoch in standing.beacons:
        raise Refused(
            REASON_COMMITMENT_CLOSED,
            f"The beacon of {epoch} is known since entry {standing.beacons[epoch].index}.",
            remedy="Sign nothing-to-report for an outage: what is committed to now proves nothing.",
        )
    committed = Committed(submission.index, message.header.issued_at, policy, message.commitment)
    return Verdict(lambda: standing.entry_of(submission.issuer).commitments.update({epoch: committed}))


def check_beacon(standing: Standing, message: commitment_pb2.Beacon, submission: Submission) -> Verdict:
    """Take the only beacon of an epoch: enough custodians' proven evaluations of the right checkpoint.

    Raises Unverified KEY_UNKNOWN.
    """
    epoch = checked_epoch(message.epoch)
    head = check_input(standing, epoch, message.checkpoint)
    key = beacon_key(standing.trust)
    if message.key_id != key.key_id:
        raise Unverified(REASON_KEY_UNKNOWN, "The beacon's key is not the trust root's.")
    parts = [beacon.Part(one.index, one.evaluated, one.proof) for one in message.parts]
    value = beacon.combine(parts, beacon.beacon_input(standing.trust.origin, epoch, head.text), key)
    drawn = Drawn(submission.index, head.size, value)
    return Verdict(lambda: standing.beacons.update({epoch: drawn}))


def check_input(standing: Standing, epoch: Epoch, note: bytes) -> Checkpoint:
    """Refuse a checkpoint over which an epoch's beacon may not be evaluated.

    It is the log's, its witnesses' and of this history; no commitment to the epoch stands behind it, and none
    can come any more: the epoch is closed in it, or a quorum cosigned it after the deadline.
    """
    if epoch in standing.beacons:
        raise Conflict(
            REASON_BEACON_KNOWN, f"The beacon of {epoch} stands in entry {standing.beacons[epoch].index}."
        )
    if len(note) > CHECKPOINT_BYTES_MAX:
        raise Malformed(
            REASON_MESSAGE_TOO_LARGE, f"A beacon's checkpoint has at most {CHECKPOINT_BYTES_MAX} bytes."
        )
    root = standing.trust
    head = checkpoint.open_checkpoint(note, root.log_vkey)
    if head.size > standing.tree.size or standing.tree.root(head.size) != head.root:
        raise _invalid(f"its checkpoint of {head.size} entries is not of this log's history")
    times = _cosigned(note, root)
    if len(times) < root.witness_quorum:
        raise _invalid(f"{len(times)} witnesses cosigned its checkpoint, {root.witness_quorum} must")
    _check_complete(standing, epoch, head.size, times)
    return head


def beacon_key(root: TrustRoot) -> BeaconKey:
    """Give the custodians' second key; raises Unverified KEY_UNKNOWN where the trust root names none."""
    if root.beacon_key is None:
        raise Unverified(
            REASON_KEY_UNKNOWN,
            f"Version {root.version} of the trust root names no beacon key.",
            remedy="Hold the custodians' ceremony for it and publish a trust root that names it.",
        )
    return root.beacon_key


def _policy(standing: Standing, mine: EnterpriseStanding, epoch: Epoch, policy_hash: bytes) -> Policy:
    """Give the policy named: the one in force, or one the epoch's charge was reserved under."""
    reserved = [one.policy for one in mine.reservations.values() if one.epoch == epoch]
    for policy in (standing.policy_for(epoch), *reserved):
        if policy.policy_hash == policy_hash:
            return policy
    raise Refused(
        REASON_POLICY_NOT_IN_FORCE,
        f"For {epoch} policy version {standing.policy_for(epoch).version} is in force; the commitment names "
        "another, under which nothing is reserved.",
        remedy="Read the policy from the log again.",
    )


def _check_complete(standing: Standing, epoch: Epoch, size: int, times: list[int]) -> None:
    """Refuse a checkpoint that does not cover every commitment there can be to the epoch."""
    behind = [
        f"{enterprise_id} in entry {mine.commitments[epoch].index}"
        for enterprise_id, mine in sorted(standing.enterprises.items())
        if epoch in mine.commitments and mine.commitments[epoch].index >= size
    ]
    if behind:
        raise _invalid(f"its checkpoint does not cover the commitment of {', '.join(behind)}")
    closed = standing.closes.get(epoch)
    if closed is not None and closed.index < size:
        return
    due = deadline(standing.policy_for(epoch), epoch)
    needed = standing.trust.witness_quorum
    if due is None or needed == 0 or sum(time >= due for time in times) < needed:
        raise Refused(
            REASON_EPOCH_NOT_READY,
            f"Commitments to {epoch} may still come: it is not closed in this checkpoint, and no quorum of "
            "witnesses saw it after their deadline.",
            remedy="Draw the beacon over a checkpoint witnessed after the epoch's close or the deadline.",
        )


def _cosigned(note: bytes, root: TrustRoot) -> list[int]:
    """Give the time at which each witness cosigned, the latest where it has several keys."""
    times: dict[str, int] = {}
    for vkey in root.witness_vkeys:
        try:
            time = checkpoint.verify_cosignature(note, vkey)
        except Unverified:
            continue
        if time != checkpoint.NO_TIME:
            times[vkey.name] = max(time, times.get(vkey.name, 0))
    return list(times.values())


def _invalid(why: str) -> Unverified:
    return Unverified(REASON_BEACON_INVALID, f"The beacon does not hold: {why}.")
