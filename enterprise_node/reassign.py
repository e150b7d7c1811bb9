"""An identifier that changes hands: from a civil day on it is another person's, with a number of its own.

Whose a record is follows from its identifier and its day, whenever it is read. What was kept under the former
number from that day on goes to the new one in the step that says so; figures of months already drawn stay
with the number they were drawn for. The former's slot ends with the next roster batch, which comes before the
one that enrols the new holder under the same pseudonym.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enterprise_node.exclusive import exclusive
from enterprise_node.ingest import reading_folder
from enterprise_node.sql_text import literal, literals
from enterprise_node.store.corrections import CorrectionTable
from enterprise_node.store.persons import ERASED
from enterprise_node.workspace import LOCK_FILE
from protos.epochs import end_day, format_epoch
from protos.problems import Malformed, Refused, Unavailable
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_BUSY,
    REASON_NOT_FOUND,
    REASON_RECORD_INVALID,
    REASON_ROLE_NOT_ALLOWED,
)

if TYPE_CHECKING:
    from enterprise_node.workspace import Workspace

_ORIGIN = datetime.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Reassigned:
    """Who held an identifier, who does from which day on, and what went over; `is_new` if just now."""

    former: int
    number: int
    since: datetime.date
    is_new: bool
    activities: int = 0
    superseded: int = 0

    def to_json(self) -> dict[str, int | str | bool]:
        """Say it to programs."""
        return {
            "former": self.former,
            "person": self.number,
            "since": self.since.isoformat(),
            "new": self.is_new,
            "activities": self.activities,
            "superseded": self.superseded,
        }

    def lines(self) -> Iterator[str]:
        """Say it to people, and what must follow."""
        yield f"person 人员 {self.former} -> {self.number}, since 自 {self.since.isoformat()}"
        if not self.is_new:
            yield "  known already, nothing changed 此前已登记，无变化"
            return
        yield f"  {self.activities:,} activities went over 条行为已转出"
        yield f"  {self.superseded:,} earlier versions 旧版本"
        yield "What must follow 后续步骤:"
        yield "  1. End the former contract in the register. 在客户名册中终止原合同。"
        yield (
            "  2. When the new holder consents, cgsp-node enrol: it ends the former slot, then gives"
            " the new one. 新持有人同意后执行 enrol：先终止原登记位，再登记新持有人。"
        )
        yield (
            "  3. Before the hub closes the new holder's first month, and after it has closed those before: "
            "cgsp-node ticket --purpose split, sent to the hub for the new holder. "
            "在平台关闭新持有人首月之前（且此前各月均已关闭），为其签发 split 凭证并提交平台。"
        )


def reassign(
    workspace: Workspace, identifier: str, since: datetime.date, *, consents: bool = False
) -> Reassigned:
    """Give an identifier a new holder from a civil day on; said again it changes nothing.

    Raises Malformed RECORD_INVALID for a day to come, Unavailable NOT_FOUND for an identifier nobody here has
    and BUSY while sources are read or such days are being released, Refused ALREADY_EXISTS for a day before a
    change that is known, and ROLE_NOT_ALLOWED for a consent where a register says who consents.
    """
    _check(workspace, since, consents=consents)
    with exclusive(workspace.home / LOCK_FILE, "reading sources"):
        done = _known(workspace, identifier, since) or _hand_over(workspace, identifier, since)
        if consents and workspace.persons.find(identifier) == done.number:
            workspace.persons.consent(done.number)
        # Files that corrections took the place of before wait for this.
        workspace.activities.sweep()
    return done


def _check(workspace: Workspace, since: datetime.date, *, consents: bool) -> None:
    if since > workspace.today:
        raise Malformed(
            REASON_RECORD_INVALID, "A number changes hands on a day to come.", remedy="Say so on that day."
        )
    if consents and workspace.configuration.persons is not None:
        raise Refused(
            REASON_ROLE_NOT_ALLOWED,
            "Here the register says who consents.",
            remedy="Name the new holder's consent in the register.",
        )


def _known(workspace: Workspace, identifier: str, since: datetime.date) -> Reassigned | None:
    """Give the change of hands on that very day; raises Refused for a day before another."""
    formers = workspace.persons.former_holders([identifier]).get(identifier, ())
    holders = [*(one.person for one in formers), workspace.persons.find(identifier) or ERASED]
    days = [one.until_day for one in formers]
    if (day := _day(since)) in days:
        place = days.index(day)
        return Reassigned(holders[place], holders[place + 1], since, is_new=False)
    if days and day < days[-1]:
        last = _ORIGIN + datetime.timedelta(days=days[-1])
        raise Refused(
            REASON_ALREADY_EXISTS,
            f"This number changed hands on {last.isoformat()}; {since.isoformat()} lies before that.",
            remedy="Name a later day: what was said of earlier holders stands.",
        )
    return None


def _hand_over(workspace: Workspace, identifier: str, since: datetime.date) -> Reassigned:
    """Take in a new person, and give it what was kept of the former from the day on."""
    persons, day = workspace.persons, _day(since)
    former = persons.present_holder(identifier)
    if former is None:
        raise Unavailable(
            REASON_NOT_FOUND, "No such person is known here.", remedy="Check the identifier, or ingest first."
        )
    _check_no_draw_waits(workspace, day)
    shutil.rmtree(reading_folder(workspace.home), ignore_errors=True)
    number = persons.next_number()
    theirs = f"person = {former} AND day >= {day}"
    corrected = _corrected(workspace, former, theirs)
    with workspace.removal().handing_over(theirs, number, "reassigned") as moved:
        persons.hand_over(identifier, number, day)
        CorrectionTable(workspace.database).hand_over(former, number, corrected)
    shown = former if persons.is_known(former) else ERASED
    return Reassigned(shown, number, since, True, moved.activities, moved.superseded)


def _check_no_draw_waits(workspace: Workspace, day: int) -> None:
    """Refuse while a release of such days is begun: its figures must not change before they are drawn."""
    released = workspace.released()
    for epoch in sorted(released.begun - released.drawn):
        if end_day(epoch) > day:
            raise Unavailable(
                REASON_BUSY,
                f"The release of {format_epoch(epoch)} is begun and not drawn.",
                remedy="Let cgsp-node run finish it, then say this again.",
            )


def _corrected(workspace: Workspace, former: int, theirs: str) -> list[str]:
    """List the records that go over and were corrected on request."""
    records = {one.record for one in CorrectionTable(workspace.database).of_person(former)}
    if not records:
        return []
    paths = map(workspace.activities.absolute, workspace.files.activity_paths())
    return [
        str(record)
        for path in paths
        for (record,) in workspace.engine.rows(
            f"SELECT record FROM read_parquet({literal(path)})"
            f" WHERE {theirs} AND record IN ({literals(sorted(records))})"
        )
    ]


def _day(since: datetime.date) -> int:
    return (since - _ORIGIN).days
