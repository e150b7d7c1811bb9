"""Commitments and beacons: each was in time, by whatever clock the auditor has; no beacon is wanting.

An enterprise's own time can be put back. What stands before it in the log cannot: the hub's newest message
there, and the hub's receipt, say when the entry was made at the earliest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from auditor.findings import Check, Result, Results
from privacy.acceptance import LogState
from privacy.commitments import Committed, beacon_due, deadline
from privacy.deadlines import moment
from protos.epochs import Epoch, format_epoch


@dataclass(frozen=True, slots=True)
class CommitmentSeen:
    """A commitment in the log, and the newest time of any message of the hub before it (0 without one)."""

    enterprise_id: str
    epoch: Epoch
    committed: Committed
    not_before: int


def check_commitments(
    seen: list[CommitmentSeen], state: LogState, received: Mapping[int, int], results: Results, *, now: int
) -> dict[str, Any]:
    """Find the commitments that came late, and those nothing was ever drawn from; give the beacons.

    `received` are times of receipts by entry, `now` is the newest time that anybody says of the log.
    """
    result = results[Check.COMMITMENTS]
    for one in seen:
        result.examined += 1
        due, index = deadline(one.committed.policy, one.epoch), one.committed.index
        made_at = max(one.committed.issued_at, one.not_before, received.get(index, 0))
        if due is not None and made_at >= due:
            result.find(
                f"entry {index}",
                f"{one.enterprise_id} committed to {format_epoch(one.epoch)} at {moment(made_at)} at the "
                f"earliest; it was due by {moment(due)}.",
            )
    beacons = state.beacons
    results[Check.BEACONS].examined += len(beacons)
    _check_drawn(seen, beacons.keys(), now, results[Check.BEACONS])
    return {
        format_epoch(epoch): {"entry": drawn.index, "value": drawn.value.hex()}
        for epoch, drawn in sorted(beacons.items())
    }


def _check_drawn(seen: list[CommitmentSeen], drawn: Collection[Epoch], now: int, result: Result) -> None:
    """Find the epochs that were committed to and whose beacon the hub let pass: nothing can be sampled."""
    for epoch in sorted({one.epoch for one in seen} - set(drawn)):
        policies = [one.committed.policy for one in seen if one.epoch == epoch]
        due = max(beacon_due(policy, epoch) or 0 for policy in policies)
        result.examined += 1
        if due <= now:
            result.find(
                format_epoch(epoch),
                f"Nothing was drawn from its {len(policies)} commitments; its beacon was due by "
                f"{moment(due)}.",
            )
