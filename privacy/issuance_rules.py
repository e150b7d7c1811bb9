"""Rules for issuances: a batch over closed epochs, named once; auditors recompute what it says of cells."""

from __future__ import annotations

from privacy.standing import Standing
from privacy.verdicts import Submission, Verdict
from protos.epochs import checked_epoch
from protos.problems import Conflict, Malformed, Refused
from protos.v1 import ledger_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_EPOCH_NOT_READY,
    REASON_WRONG_SHAPE,
)


def check_issuance(standing: Standing, message: ledger_pb2.Issuance, submission: Submission) -> Verdict:
    """Take a batch of whole tonnes that no entry named before."""
    batch = message.batch
    epochs = [checked_epoch(value) for value in (batch.pool_epoch, batch.first_epoch, batch.last_epoch)]
    if epochs != sorted(epochs) or batch.issued_tonnes < 1 or batch.first_serial < 1 or not batch.batch:
        raise Malformed(REASON_WRONG_SHAPE, "A batch has epochs in order, whole tonnes and serial numbers.")
    if not standing.is_closed(epochs[-1]):
        raise Refused(REASON_EPOCH_NOT_READY, f"{epochs[-1]} is not closed; nothing is issued from it yet.")
    if batch.batch in standing.batches:
        raise Conflict(
            REASON_ALREADY_EXISTS, f"The batch stands in entry {standing.batches[batch.batch]} already."
        )
    return Verdict(lambda: standing.batches.update({batch.batch: submission.index}))
