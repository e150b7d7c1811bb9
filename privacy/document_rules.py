"""Rules for documents: trust roots, policies and packs, each signed by a threshold of keys."""

from __future__ import annotations

import hashlib
import re

from privacy import checkpoint, envelope, trust
from privacy.chunks import check_count, mismatch
from privacy.envelope import Opened
from privacy.policy import Policy
from privacy.policy_reading import read_policy
from privacy.spending import check_idle
from privacy.standing import LoggedPack, Standing
from privacy.trust import TrustRoot
from privacy.verdicts import Submission, Verdict
from protos.problems import Conflict, Malformed, Refused, Unverified
from protos.v1 import policy_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_EPOCH_CLOSED,
    REASON_HISTORY_INCONSISTENT,
    REASON_PACK_UNKNOWN,
    REASON_SEQUENCE_REUSED,
    REASON_SEQUENCE_SKIPPED,
    REASON_WRONG_SHAPE,
)

# Canonical bytes of one pack with the factor tables it reads.
PACK_BYTES_MAX = 4 << 20

_PACK_ID = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")


def check_trust_root(standing: Standing, data: bytes, pinned: bytes | None) -> Verdict:
    """Take the first trust root (pinned, if a pin is given), or the successor of the one in force."""
    if standing.trust_roots:
        root = trust.verify_update(standing.trust, data)
        _check_predecessor(standing, root)
    else:
        root = trust.verify_first(data, pinned)
    index = standing.tree.size
    return Verdict(lambda: standing.register(root, index))


def _check_predecessor(standing: Standing, root: TrustRoot) -> None:
    """A replaced log key takes up this very log: the checkpoint it names is of its beginning."""
    if not root.predecessor_checkpoint:
        return
    head = checkpoint.parse_checkpoint(checkpoint.parse_note(root.predecessor_checkpoint).text)
    if head.size > standing.tree.size or standing.tree.root(head.size) != head.root:
        raise Unverified(
            REASON_HISTORY_INCONSISTENT,
            f"The checkpoint the trust root names, of {head.size} entries, is not of this log.",
        )
    if any(root.origin == earlier.origin for _, earlier in standing.trust_roots):
        raise Conflict(REASON_ALREADY_EXISTS, f"The log has had the origin {root.origin} before.")


def verify_document(standing: Standing, opened: Opened) -> None:
    """Check that enough policy keys signed a policy or pack."""
    root = standing.trust
    envelope.verify(opened, root.policy_keys, root.policy_threshold)


def check_policy(standing: Standing, message: policy_pb2.Policy, submission: Submission) -> Verdict:
    """Take the next version of the policy, over packs in the log, for epochs whose books are open.

    Raises Refused EPOCH_CLOSED, Refused PACK_UNKNOWN.
    """
    policy = read_policy(message, submission.envelope_hash)
    envelope.check_origin(policy.origin, standing.trust.origin)
    _check_version(standing, policy)
    if standing.is_closed(policy.first_epoch):
        raise Refused(
            REASON_EPOCH_CLOSED,
            f"The policy begins at {policy.first_epoch}; books are closed to {standing.last_closed}.",
        )
    for reference in policy.packs:
        logged = standing.packs.get((reference.id, reference.version))
        if logged is None or logged.sha256 != reference.sha256:
            raise Refused(
                REASON_PACK_UNKNOWN,
                f"Pack {reference.id} version {reference.version} with that hash is not in the log.",
                remedy="Publish the pack first.",
            )
    for one in policy.enterprises:
        check_idle(one.enterprise_id, policy.series(one.enterprise_id), policy.reserve_z, policy.limits)
    return Verdict(lambda: standing.policies.append(policy))


def check_pack(standing: Standing, message: policy_pb2.PackRecord, submission: Submission) -> Verdict:
    """Take a pack version that is not in the log yet; its body is what it names.

    Raises Malformed WRONG_SHAPE, Conflict ALREADY_EXISTS.
    """
    envelope.check_origin(message.origin, standing.trust.origin)
    if not _PACK_ID.fullmatch(message.id):
        raise Malformed(REASON_WRONG_SHAPE, "A pack id has 2 to 63 of a-z, 0-9, '.', '_' and '-'.")
    key = (message.id, message.version)
    if key in standing.packs:
        raise Conflict(
            REASON_ALREADY_EXISTS,
            f"Pack {message.id} version {message.version} is in the log; a change needs a new version.",
        )
    if message.version < 1 or len(message.sha256) != 32 or not 0 < message.size <= PACK_BYTES_MAX:
        raise Malformed(
            REASON_WRONG_SHAPE, f"A pack has a version from 1, a SHA-256 and 1 to {PACK_BYTES_MAX} bytes."
        )
    if submission.bodies is not None:
        check_count(submission.bodies, 1, f"Pack {message.id}")
        body = submission.bodies[0]
        if len(body) != message.size or hashlib.sha256(body).digest() != message.sha256:
            raise mismatch(f"The body is not pack {message.id} version {message.version} as signed.")
    pack = LoggedPack(message.id, message.version, message.sha256, submission.index)
    return Verdict(lambda: standing.packs.update({key: pack}), bodies_checked=submission.bodies is not None)


def _check_version(standing: Standing, policy: Policy) -> None:
    expected = len(standing.policies) + 1
    if policy.version < expected:
        raise Conflict(
            REASON_SEQUENCE_REUSED, f"Policy version {policy.version} is in the log; {expected} is next."
        )
    if policy.version > expected:
        raise Refused(REASON_SEQUENCE_SKIPPED, f"Policy version {policy.version} came; {expected} is next.")
    if standing.policies and policy.id != standing.policies[-1].id:
        raise Refused(
            REASON_SEQUENCE_SKIPPED, f"The log's policy is '{standing.policies[-1].id}', not '{policy.id}'."
        )
