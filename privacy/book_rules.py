"""Rules for the hub's own books: an epoch's close stands on a stated beginning of the log."""

from __future__ import annotations

from privacy.deadline_rules import check_missing_logged
from privacy.merkle import HASH_BYTES
from privacy.standing import Closed, Standing
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch, checked_epoch
from protos.problems import Conflict, Malformed, Refused, Unverified
from protos.v1 import books_pb2
from protos.v1.problem_pb2 import (
    REASON_EPOCH_CLOSED,
    REASON_EPOCH_NOT_READY,
    REASON_HISTORY_INCONSISTENT,
    REASON_WRONG_SHAPE,
)


def check_epoch_close(standing: Standing, message: books_pb2.EpochClose, submission: Submission) -> Verdict:
    """Take the close of a later epoch, over a size of this log that holds every answer for it."""
    epoch = checked_epoch(message.epoch)
    if standing.is_closed(epoch):
        raise Conflict(REASON_EPOCH_CLOSED, f"The books of {epoch} are closed.")
    _check_log(standing, message, submission.index)
    _check_answers(standing, epoch, message.log_size)
    missing = standing.missing(epoch, message.log_size)
    if list(message.missing) != missing:
        raise Refused(
            REASON_EPOCH_NOT_READY,
            f"Missing for {epoch} are: {', '.join(missing) or 'none'}; the close says: "
            f"{', '.join(message.missing) or 'none'}.",
        )
    check_missing_logged(standing, missing, epoch, message.log_size)
    if len(message.accounts_root) != HASH_BYTES or message.accounts_in_two_or_more > message.accounts:
        raise Malformed(
            REASON_WRONG_SHAPE, "The close's accounts do not add up, or its root has not 32 bytes."
        )
    closed = Closed(submission.index, message.log_size)
    return Verdict(lambda: standing.closes.update({epoch: closed}))


def _check_log(standing: Standing, message: books_pb2.EpochClose, index: int) -> None:
    if not 1 <= message.log_size <= index:
        raise Refused(
            REASON_EPOCH_NOT_READY, f"A close at {index} cannot stand on {message.log_size} entries."
        )
    if standing.tree.root(message.log_size) != message.log_root:
        raise Unverified(
            REASON_HISTORY_INCONSISTENT,
            f"The close's log root is not that of the first {message.log_size} entries.",
        )


def _check_answers(standing: Standing, epoch: Epoch, log_size: int) -> None:
    for enterprise_id, record in sorted(standing.enterprises.items()):
        answer = record.answers.get(epoch)
        if answer is not None and answer.index >= log_size:
            raise Refused(
                REASON_EPOCH_NOT_READY,
                f"{enterprise_id} answered for {epoch} in entry {answer.index}, behind the close's log.",
                remedy="Close over the log as it stands now.",
            )
