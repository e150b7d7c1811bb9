"""A record corrected on its person's request, which then acts like any other correction.

The corrected version is a reading of its own, later than all before it; the former one is kept apart. The
record keeps its day, so no release counts it twice; what a drawn month no longer says a later one may carry.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import datetime
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accounting.activities import InputKind
from enterprise_node.exclusive import exclusive
from enterprise_node.removal import removal_session
from enterprise_node.sql_text import literal, quoted
from enterprise_node.store.corrections import Correction, CorrectionTable
from enterprise_node.store.sources import Outcome, SourceFile
from enterprise_node.workspace import LOCK_FILE
from protos.epochs import epoch_of
from protos.problems import Malformed, Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_RECORD_INVALID

if TYPE_CHECKING:
    from accounting.activities import Activity
    from enterprise_node.store.sources import StoredActivityFile
    from enterprise_node.workspace import Workspace

REASON_LENGTH_MAX = 1_000
_ORIGIN = datetime.date(1970, 1, 1)
_NOWHERE = "on request"


@dataclass(frozen=True, slots=True)
class Corrected:
    """What was corrected: the record's activity and day, and whether its month's figures are drawn."""

    record: str
    activity: str
    date: str
    is_late: bool

    def to_json(self) -> dict[str, Any]:
        """Say it to programs."""
        return {
            "record": self.record,
            "activity": self.activity,
            "date": self.date,
            "late": self.is_late,
        }

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        yield f"{self.activity} {self.date}: record corrected 记录已更正"
        if self.is_late:
            yield "  Its month is released; a later release may carry the rest. 该月已发布，差额后续补计。"


def correct(
    workspace: Workspace, number: int, record: str, inputs: Mapping[str, str], reason: str, *, now: int
) -> Corrected:
    """Put other inputs in a person's record; raises Unavailable NOT_FOUND and Malformed RECORD_INVALID."""
    if not inputs or not 0 < len(reason.strip()) <= REASON_LENGTH_MAX:
        raise Malformed(
            REASON_RECORD_INVALID, "A correction names what it changes, and why.", remedy="Give both."
        )
    with exclusive(workspace.home / LOCK_FILE, "reading sources"):
        activity, file, day = _found(workspace, number, record)
        values = _values(activity, inputs)
        is_late = epoch_of(day) in workspace.released().drawn
        _replace(
            workspace,
            number,
            activity,
            file,
            record,
            values,
            Correction(record, activity.code, json.dumps(dict(inputs), sort_keys=True), reason.strip(), now),
        )
    date = (_ORIGIN + datetime.timedelta(days=day)).isoformat()
    return Corrected(record, activity.code, date, is_late)


def _found(workspace: Workspace, number: int, record: str) -> tuple[Activity, StoredActivityFile, int]:
    """Find the one kept file with the person's record."""
    for file in workspace.activities.files():
        path = workspace.activities.absolute(file.path)
        rows = workspace.engine.rows(
            f"SELECT day FROM read_parquet({literal(path)}) WHERE record = {literal(record)} "
            f"AND person = {int(number)}"
        )
        if rows:
            return workspace.activities.registry[file.activity], file, int(rows[0][0])
    raise Unavailable(
        REASON_NOT_FOUND, "The person has no such record.", remedy="Take its id from person show or export."
    )


def _values(activity: Activity, inputs: Mapping[str, str]) -> dict[str, str]:
    """Give the SQL of each new value; raises Malformed for what the activity does not take."""
    values = {}
    for name, text in inputs.items():
        one = next((found for found in activity.inputs if found.name == name), None)
        if one is None:
            known = ", ".join(found.name for found in activity.inputs)
            raise Malformed(
                REASON_RECORD_INVALID,
                f"A record of {activity.code} has no input {name!r}.",
                remedy=f"Its inputs are {known}.",
            )
        stored = one.value(text)
        values[name] = literal(str(stored)) if one.kind is InputKind.KEY else str(int(stored))
    return values


def _replace(
    workspace: Workspace,
    number: int,
    activity: Activity,
    file: StoredActivityFile,
    record: str,
    values: Mapping[str, str],
    correction: Correction,
) -> None:
    """Write the later version as a reading of its own and take the former out of its file, in one step."""
    name = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
    theirs = f"record = {literal(record)} AND person = {int(number)}"
    changes = ", ".join(f"{value} AS {quoted(column)}" for column, value in values.items())
    source = f"read_parquet({literal(workspace.activities.absolute(file.path))})"
    sql = f"SELECT * REPLACE ({changes}) FROM {source} WHERE {theirs}"
    piece = SourceFile(file.source, _NOWHERE, name, 0, 0, "")
    with removal_session(workspace.home, workspace.configuration.engine) as connection:
        target = workspace.activities.new_path(activity.code, file.source, name)
        written = workspace.activities.write(connection, sql, activity.code, target)
        left = workspace.activities.without(connection, file, theirs, name=name, keep_apart=True)
        outcome = Outcome(1, 1, 0, (written,) if written is not None else (), corrected=1)
        with workspace.files.transaction():
            reading = workspace.files.reading(piece)
            workspace.files.record(piece, outcome, reading=reading, replaced=(left,))
            CorrectionTable(workspace.database).add(number, correction)
