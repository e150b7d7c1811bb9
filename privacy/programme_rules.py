"""Rules for programmes: two persons sign, versions follow one another, closed books stay as they are.

What a programme says is its body's; here it is bytes of a signed length and hash.
"""

from __future__ import annotations

import hashlib

from privacy import envelope
from privacy.chunks import check_count, mismatch
from privacy.envelope import Opened
from privacy.keys import checked_id
from privacy.standing import LoggedProgramme, ProgrammeStanding, Standing
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch, checked_epoch
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import programme_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_EPOCH_CLOSED,
    REASON_PROGRAMME_UNKNOWN,
    REASON_SEQUENCE_SKIPPED,
    REASON_WRONG_SHAPE,
)

# The one who wrote it and the one who checked it.
SIGNERS = 2
PROGRAMME_BYTES_MAX = 256 * 1024


def verify_programme(standing: Standing, opened: Opened) -> None:
    """Check that two distinct policy keys signed, or more where the trust root asks for more."""
    root = standing.trust
    envelope.verify(opened, root.policy_keys, max(SIGNERS, root.policy_threshold))


def check_programme(
    standing: Standing, message: programme_pb2.ProgrammeRecord, submission: Submission
) -> Verdict:
    """Take a programme's next version, or its withdrawal, for epochs whose books are open.

    Raises Refused EPOCH_CLOSED, Conflict ALREADY_EXISTS.
    """
    envelope.check_origin(message.origin, standing.trust.origin)
    checked_id(message.id, "Programme id")
    first = checked_epoch(message.first_epoch)
    if standing.is_closed(first):
        raise Refused(
            REASON_EPOCH_CLOSED,
            f"It begins at {first}; books are closed to {standing.last_closed}.",
            remedy="Name an epoch whose books are open.",
        )
    known = standing.programmes.get(message.id, ProgrammeStanding())
    if known.withdrawn_from is not None:
        raise Conflict(
            REASON_ALREADY_EXISTS,
            f"Programme {message.id} is withdrawn from {known.withdrawn_from} for good.",
            remedy="Publish what is to follow under another id.",
        )
    if message.withdrawn:
        return _withdrawal(standing, known, message, first, submission)
    return _version(standing, known, message, first, submission)


def _withdrawal(
    standing: Standing,
    known: ProgrammeStanding,
    message: programme_pb2.ProgrammeRecord,
    first: Epoch,
    submission: Submission,
) -> Verdict:
    """Withdraw all versions; the record names the last of them and has no body."""
    if not known.versions:
        raise Refused(REASON_PROGRAMME_UNKNOWN, f"No programme {message.id} is in the log.")
    last = known.versions[-1]
    if (message.version, message.sha256, message.size) != (last.version, last.sha256, last.size):
        raise Refused(
            REASON_SEQUENCE_SKIPPED, f"A withdrawal names the last version, {last.version}, as it was logged."
        )
    if submission.bodies is not None:
        check_count(submission.bodies, 0, f"The withdrawal of {message.id}")

    def withdraw() -> None:
        standing.programmes[message.id].withdrawn_from = first

    return Verdict(withdraw)


def _version(
    standing: Standing,
    known: ProgrammeStanding,
    message: programme_pb2.ProgrammeRecord,
    first: Epoch,
    submission: Submission,
) -> Verdict:
    """Take the next version; its body is what it names."""
    expected = len(known.versions) + 1
    if message.version < expected:
        raise Conflict(
            REASON_ALREADY_EXISTS,
            f"Version {message.version} of {message.id} is in the log; {expected} is next.",
        )
    if message.version > expected:
        raise Refused(
            REASON_SEQUENCE_SKIPPED, f"Version {message.version} of {message.id} came; {expected} is next."
        )
    if known.versions and first < known.versions[-1].first_epoch:
        raise Refused(
            REASON_SEQUENCE_SKIPPED,
            f"Version {expected - 1} begins at {known.versions[-1].first_epoch}; the next not before it.",
        )
    if len(message.sha256) != envelope.HASH_BYTES or not 0 < message.size <= PROGRAMME_BYTES_MAX:
        raise Malformed(
            REASON_WRONG_SHAPE, f"A programme has a SHA-256 and 1 to {PROGRAMME_BYTES_MAX} bytes."
        )
    if submission.bodies is not None:
        check_count(submission.bodies, 1, f"Programme {message.id}")
        body = submission.bodies[0]
        if len(body) != message.size or hashlib.sha256(body).digest() != message.sha256:
            raise mismatch(f"The body is not programme {message.id} version {message.version} as signed.")
    logged = LoggedProgramme(
        message.id, message.version, message.sha256, message.size, first, submission.index
    )

    def take() -> None:
        standing.programmes.setdefault(message.id, ProgrammeStanding()).versions.append(logged)

    return Verdict(take, bodies_checked=submission.bodies is not None)
