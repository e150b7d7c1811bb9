"""Rules for selections: one for an enterprise's epoch before it reserves, exactly what the log gives."""

from __future__ import annotations

from privacy.selections import check_body, select
from privacy.standing import Selected, Selection, Standing
from privacy.verdicts import Submission, Verdict
from protos.epochs import Epoch, checked_epoch
from protos.problems import Conflict, Refused
from protos.v1 import programme_pb2
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_EPOCH_CLOSED,
    REASON_SELECTION_WRONG,
)

__all__ = ["Selection", "check_selected", "check_selection", "in_force", "select", "selects"]


def check_selection(standing: Standing, message: programme_pb2.Selection, submission: Submission) -> Verdict:
    """Take the selection that follows from rosters, links and choices; where all openings are at hand."""
    epoch, place = checked_epoch(message.epoch), (message.enterprise_id, Epoch(message.epoch))
    standing.policy_for(epoch).enterprise(message.enterprise_id)
    mine = standing.enterprise(message.enterprise_id)
    if place in standing.selections:
        raise Conflict(REASON_ALREADY_EXISTS, f"{message.enterprise_id} has its selection for {epoch}.")
    if standing.is_closed(epoch) or mine.has_reserved(epoch):
        raise Refused(REASON_EPOCH_CLOSED, f"{epoch} is settled for {message.enterprise_id} without it.")
    if message.excluded == 0 and message.pooled == 0:
        raise _wrong("An empty selection is not logged.")
    selection = check_body(message, submission.bodies) if submission.bodies is not None else None
    selected = Selected(submission.index, submission.envelope_hash, message, selection)
    return Verdict(
        lambda: standing.selections.update({place: selected}), bodies_checked=selection is not None
    )


def check_selected(standing: Standing, enterprise_id: str, epoch: Epoch, *, replaying: bool) -> None:
    """Refuse to let an epoch be settled under another selection than the log gives, none included.

    Decided where all openings are at hand. Rows erased since then no longer tell: one difference is let pass
    for each of them.
    """
    selected = standing.selections.get((enterprise_id, epoch))
    is_known = all(one.openings_known for one in standing.enterprises.values())
    is_settled = standing.enterprise(enterprise_id).has_reserved(epoch)
    if is_settled or not is_known or not selects(standing, epoch):
        return
    if selected is not None and selected.selection is None:
        return
    held = selected.selection if selected is not None and selected.selection is not None else Selection()
    differing = len(select(standing, enterprise_id, epoch).pairs() ^ held.pairs())
    # A row erased since then no longer tells, of each class and of pooling.
    rows = sum(one.erased_rows for one in standing.enterprises.values()) if replaying else 0
    classes = (
        standing.policy_for(epoch).enterprise(enterprise_id).overlap_classes(standing.policy_for(epoch).packs)
    )
    if differing > rows * (len(classes) + 1):
        raise _wrong(
            f"The selection of {enterprise_id} for {epoch} is not what rosters, links and choices give: "
            f"{differing} slots differ."
        )


def selects(standing: Standing, epoch: Epoch) -> bool:
    """Say whether releases of an epoch may have to leave something out, by policy or by choice."""
    return bool(standing.policy_for(epoch).default_recording) or standing.choices.batches > 0


def in_force(standing: Standing, enterprise_id: str, epoch: Epoch) -> bytes:
    """Give the hash of the selection an enterprise's epoch stands under; empty without one."""
    selected = standing.selections.get((enterprise_id, epoch))
    return selected.envelope_hash if selected is not None else b""


def _wrong(message: str) -> Refused:
    return Refused(REASON_SELECTION_WRONG, message, remedy="Select again over the log as it stands.")
