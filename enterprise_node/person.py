"""One person's own view at the enterprise: exact figures, which no one else sees."""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accounting.packs import Purpose
from enterprise_node.check import shown_row
from enterprise_node.sql_text import quoted
from enterprise_node.store.selections import SelectionTable
from protos.epochs import Epoch, end_day, epoch_of, first_day, format_epoch
from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND

if TYPE_CHECKING:
    from enterprise_node.workspace import Workspace

RECORDS_SHOWN = 10
_ORIGIN = datetime.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class PersonMonth:
    """One month: records by activity, exact credited mg, footprint mg and points by pack."""

    epoch: Epoch
    records: Mapping[str, int]
    credited_mg: Mapping[str, int]
    footprint_mg: Mapping[str, int]
    points: Mapping[str, int]
    # Overlap classes that another enterprise records: exact here, left out of what is released.
    recorded_elsewhere: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PersonView:
    """What the enterprise keeps of one person."""

    number: int
    since: str | None
    until: str | None
    months: tuple[PersonMonth, ...]
    # The last ones of each activity, or all.
    records: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """Say it to programs."""
        return {
            "person": self.number,
            "since": self.since,
            "until": self.until,
            "months": [
                {
                    "epoch": format_epoch(month.epoch),
                    "records": dict(month.records),
                    "credited_mg": dict(month.credited_mg),
                    "footprint_mg": dict(month.footprint_mg),
                    "points": dict(month.points),
                    "recorded_elsewhere": list(month.recorded_elsewhere),
                }
                for month in self.months
            ],
            "records": list(self.records),
        }

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        yield f"person 人员 {self.number}, contract 合同 {self.since or '?'} – {self.until or 'open 未结束'}"
        for month in self.months:
            records = ", ".join(f"{code} {count:,}" for code, count in month.records.items())
            yield f"{format_epoch(month.epoch)}: {records or 'no records 无记录'}"
            for pack_id, mg in month.credited_mg.items():
                yield f"  reduction 减排 {pack_id}: {_grams(mg)}"
            for pack_id, mg in month.footprint_mg.items():
                yield f"  footprint 足迹 {pack_id}: {_grams(mg)}"
            for pack_id, points in month.points.items():
                yield f"  points 积分 {pack_id}: {points:,}"
            if month.recorded_elsewhere:
                classes = ", ".join(month.recorded_elsewhere)
                yield f"  recorded by another enterprise 由其他企业记录: {classes}"
        if self.records:
            yield "latest records 最近记录:"
        for row in self.records:
            yield "  " + ", ".join(f"{name} {value}" for name, value in row.items() if name != "person")


def show_person(
    workspace: Workspace,
    number: int,
    epochs: tuple[Epoch, ...] = (),
    *,
    records_max: int | None = RECORDS_SHOWN,
) -> PersonView:
    """Gather one person's months (all with records unless named); raises Unavailable NOT_FOUND."""
    contract = next((one for one in workspace.persons.contracts() if one[0] == number), None)
    if contract is None:
        raise Unavailable(
            REASON_NOT_FOUND, "No such person is known here.", remedy="Check the identifier, or ingest first."
        )
    wanted = epochs or _active_epochs(workspace, number)
    others = SelectionTable(workspace.database).of_person(number)
    return PersonView(
        number=number,
        since=_date(contract[1]),
        until=_date(contract[2]),
        months=tuple(_month(workspace, number, epoch, others.get(epoch, ())) for epoch in wanted),
        records=tuple(_records(workspace, number, epochs, records_max)),
    )


def _active_epochs(workspace: Workspace, number: int) -> tuple[Epoch, ...]:
    """List the months in which the person has records."""
    days: set[int] = set()
    for view in workspace.lookups.views().activities.values():
        rows = workspace.engine.rows(f"SELECT DISTINCT day FROM {view} WHERE person = {number}")
        days.update(int(row[0]) for row in rows)
    return tuple(sorted({epoch_of(day) for day in days}))


def _month(workspace: Workspace, number: int, epoch: Epoch, elsewhere: Sequence[str]) -> PersonMonth:
    relations = workspace.lookups.views()
    records = {}
    for code, view in relations.activities.items():
        within = f"day >= {first_day(epoch)} AND day < {end_day(epoch)}"
        [(count,)] = workspace.engine.rows(
            f"SELECT count(*) FROM {view} WHERE person = {number} AND {within}"
        )
        if count:
            records[code] = int(count)
    totals = workspace.lookups.person_months(epoch, number)
    by_purpose: dict[Purpose, dict[str, int]] = {purpose: {} for purpose in Purpose}
    for pack_id, (mg, _) in totals.items():
        by_purpose[workspace.packs[pack_id].pack.purpose][pack_id] = mg
    return PersonMonth(
        epoch,
        records,
        by_purpose[Purpose.CREDIT],
        by_purpose[Purpose.FOOTPRINT],
        workspace.lookups.person_points(epoch, number),
        tuple(elsewhere),
    )


def _records(
    workspace: Workspace, number: int, epochs: Sequence[Epoch], records_max: int | None
) -> Iterator[dict[str, Any]]:
    """Give the person's last records of each activity, or all; of these months if any are named."""
    spans = [f"day >= {first_day(epoch)} AND day < {end_day(epoch)}" for epoch in epochs]
    within = f" AND ({' OR '.join(spans)})" if spans else ""
    limit = "" if records_max is None else f" LIMIT {records_max}"
    for code, view in workspace.lookups.views().activities.items():
        activity = workspace.activities.registry[code]
        columns = list(activity.columns())
        names = ", ".join(map(quoted, columns))
        rows = workspace.engine.rows(
            f"SELECT {names} FROM {view} WHERE person = {number}{within} ORDER BY day DESC, record{limit}"
        )
        for row in rows:
            yield shown_row(activity, dict(zip(columns, row, strict=True)))


def _date(day: int | None) -> str | None:
    return None if day is None else (_ORIGIN + datetime.timedelta(days=day)).isoformat()


def _grams(mg: int) -> str:
    """Write mg as grams, exactly."""
    sign = "-" if mg < 0 else ""
    return f"{sign}{abs(mg) // 1000:,}.{abs(mg) % 1000:03d} g CO2e"
