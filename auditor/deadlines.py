"""Deadlines recomputed: who owed an answer gave it in time, or the log says so; nobody is accused early.

The hub's own times are held against the newest witness's: nobody else can say when an entry was made.
"""

from __future__ import annotations

from auditor.findings import Check, Results
from auditor.replay import Replay
from privacy.deadlines import DAY_SECONDS
from protos.epochs import format_epoch

# How long the hub may take to log who is missing.
GRACE_SECONDS = DAY_SECONDS


def check_deadlines(replayed: Replay, results: Results, *, seen_at: int | None) -> None:
    """Name the missing the log states, those it does not, and entries dated after the log was seen."""
    result = results[Check.COMPLETENESS]
    for (role, party_id, epoch), index in replayed.state.missed.items():
        result.examined += 1
        result.find(
            f"entry {index}", f"The {role.value} {party_id} gave no answer for {format_epoch(epoch)} in time."
        )
        if seen_at is not None and replayed.stated_at[index] > seen_at:
            result.find(
                f"entry {index}",
                f"It is dated {replayed.stated_at[index] - seen_at} s after a witness saw it: "
                "the deadline had not passed.",
            )
    now = replayed.newest_at if seen_at is None else seen_at
    for due in replayed.state.open_dues(now):
        result.examined += 1
        key = (due.role, due.party_id, due.epoch)
        if due.due_at + GRACE_SECONDS <= now and key not in replayed.state.missed:
            result.find(
                f"{due.role.value} {due.party_id}",
                f"Its deadline for {format_epoch(due.epoch)} has passed without an answer, "
                "and the hub logged no missing entry.",
            )
