"""Rules for the hub's own books: what operations did between closes, and what a close stands on.

Segments number the operations without gaps, and a close names how many there were before it: so the log's
order is the order of the books. A release for an epoch that is closed is taken; the next close credits it.
"""

from __future__ import annotations

from privacy import journal
from privacy.asked import spent_by
from privacy.deadline_rules import check_missing_logged
from privacy.merkle import HASH_BYTES
from privacy.standing import Closed, Standing
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch, checked_epoch
from protos.problems import Conflict, Malformed, Refused, Unverified
from protos.v1 import books_pb2, ledger_pb2
from protos.v1.problem_pb2 import (
    REASON_EPOCH_CLOSED,
    REASON_EPOCH_NOT_READY,
    REASON_HISTORY_INCONSISTENT,
    REASON_SEQUENCE_SKIPPED,
    REASON_WRONG_SHAPE,
)

LEDGERS_MAX = 1_000


def check_journal_segment(
    standing: Standing, message: ledger_pb2.JournalSegment, submission: Submission
) -> Verdict:
    """Take the operations that follow the last segment's; raises Refused SEQUENCE_SKIPPED."""
    journal.check_shape(message)
    if message.first != standing.operations:
        raise Refused(
            REASON_SEQUENCE_SKIPPED,
            f"The segment begins with operation {message.first}; {standing.operations} is next.",
        )
    rows = None if submission.bodies is None else journal.check_bodies(message, submission.bodies)

    def apply() -> None:
        standing.operations += message.count
        for operation in rows.operations if rows is not None else ():
            _spend(standing, ledger_pb2.Operation.FromString(operation))

    return Verdict(apply, bodies_checked=rows is not None, rows=rows)


def _spend(standing: Standing, operation: ledger_pb2.Operation) -> None:
    """Remember the ticket an operation rests on: no entry behind it may rest on the same nonce."""
    ticket = spent_by(operation)
    if ticket is not None:
        standing.tickets_spent.add(ticket.use, ends=ticket.expires_at, at=operation.at)


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
    _check_ledgers(standing, message)
    _check_sources(message)
    closed = Closed(submission.index, message.log_size)

    def apply() -> None:
        standing.closes[epoch] = closed
        standing.has_ledgers |= bool(message.ledgers)

    return Verdict(apply)


def _check_ledgers(standing: Standing, message: books_pb2.EpochClose) -> None:
    """Hold that a close stands on every operation before it and names its ledgers, once any close has."""
    if message.operations != standing.operations:
        raise Refused(
            REASON_EPOCH_NOT_READY,
            f"{standing.operations} operations are in segments; the close stands on {message.operations}.",
            remedy="Seal the open segment before the close.",
        )
    names = [one.ledger for one in message.ledgers]
    if not names and not standing.has_ledgers and not standing.operations:
        return
    roots = [message.system_accounts_root, *(one.root for one in message.ledgers)]
    is_ascending = names == sorted(set(names)) and len(names) <= LEDGERS_MAX
    if not is_ascending or "R" not in names or any(len(root) != HASH_BYTES for root in roots):
        raise Malformed(
            REASON_WRONG_SHAPE, "A close names ledger R and those of programmes, ascending, each with a root."
        )


def _check_sources(message: books_pb2.EpochClose) -> None:
    """Hold that a close names its sources once each, and that they gave what ledger R was credited."""
    places = [(one.enterprise_id, one.measure_id, one.epoch) for one in message.sources]
    given = [one.milligrams for one in message.sources]
    credited = sum(one.credited - one.clawed_back for one in message.ledgers if one.ledger == "R")
    late = any(checked_epoch(epoch) > message.epoch for _, _, epoch in places)
    if places != sorted(set(places)) or not all(given) or sum(given) != credited or late:
        raise Malformed(
            REASON_WRONG_SHAPE,
            f"A close names its sources ascending, of epochs up to its own; they gave {sum(given)} mg, "
            f"ledger R was credited {credited} mg.",
        )


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
