"""What this enterprise owes the log, and until when: said while the node runs, kept for `cgsp-node status`.

Known from the policies and the log as last read; status asks nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privacy.deadlines import REMINDER_SECONDS, moment
from privacy.standing import Role
from protos.epochs import format_epoch
from protos.json_text import parse_json
from runtime.configuration import write_atomic

if TYPE_CHECKING:
    from enterprise_node.following import Following
    from privacy.deadlines import Due

DUES_FILE = "dues.json"
NO_DUES: Mapping[str, Any] = {"as_of": "", "due": []}


class Dues:
    """Reads what is owed from the node's view of the log."""

    def __init__(
        self, home: Path, following: Following, enterprise_id: str, clock: Callable[[], float]
    ) -> None:
        self._path = home / DUES_FILE
        self._following = following
        self._party = (Role.ENTERPRISE, enterprise_id)
        self._clock = clock

    def note(self) -> list[str]:
        """Keep what is owed now, and give a line for each answer that is due soon or late."""
        now = int(self._clock())
        found = self._following.state.open_dues(now, self._party)
        listed = [_listed(due, now, is_missing=self._is_missing(due)) for due in found]
        kept = {"as_of": moment(now), "due": listed}
        write_atomic(self._path, json.dumps(kept, indent=1).encode() + b"\n")
        return [line for one in listed if one["state"] != "open" for line in due_lines([one])]

    def _is_missing(self, due: Due) -> bool:
        return (due.role, due.party_id, due.epoch) in self._following.state.missed


def read_dues(home: Path) -> Mapping[str, Any]:
    """Give what was owed when the log was last read."""
    path = home / DUES_FILE
    return parse_json(path.read_bytes()) if path.exists() else NO_DUES


def due_lines(due: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Say it to people."""
    words = {
        "open": "due by 截止",
        "soon": "DUE SOON, by 即将截止",
        "late": "LATE, was due by 已逾期",
        "missing": "MISSING in the log, was due by 日志已记缺报",
    }
    for one in due:
        yield f"{one['epoch']}: an answer is {words[one['state']]} {one['until']}"


def _listed(due: Due, now: int, *, is_missing: bool) -> dict[str, str]:
    late = "missing" if is_missing else "late"
    soon = "soon" if due.due_at - now <= REMINDER_SECONDS else "open"
    return {
        "epoch": format_epoch(due.epoch),
        "until": moment(due.due_at),
        "state": late if due.due_at <= now else soon,
    }
