"""A rehearsal of reading: what the mapping makes of each file, and what would be set aside; nothing is kept.

Persons not known yet get numbers for the rehearsal only.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from accounting.activities import Activity, InputKind
from enterprise_node.ingest import Judging, outcome_of, shown_path
from enterprise_node.quarantine import remedy
from enterprise_node.sql_text import quoted
from enterprise_node.store.sources import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from enterprise_node.configuration import SourceSettings
    from enterprise_node.judgement import Judgement
    from enterprise_node.workspace import Workspace

FIRST_ROWS = 3
# Stands for the hash of a mapping where nothing is kept.
REHEARSAL = ""
PLACES = 3
_ORIGIN = datetime.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What would come of one file: outcome, counts by activity, first rows mapped, first places set aside."""

    source: str
    path: Path
    outcome: Outcome
    activities: dict[str, int]
    first_rows: tuple[dict[str, Any], ...]
    places: dict[tuple[str, str], tuple[int, ...]]

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        outcome = self.outcome
        yield f"{self.source}: {self.path.name}: {outcome.lines:,} rows 行"
        for code, rows in self.activities.items():
            yield f"  {code}: {rows:,} to keep 可入库"
        for row in self.first_rows:
            yield "    " + ", ".join(f"{name} {value}" for name, value in row.items())
        if outcome.corrected:
            yield f"  {outcome.corrected:,} corrections of records kept before 更正"
        if outcome.repeated:
            yield f"  {outcome.repeated:,} kept before, unchanged 已有且未变"
        for flaw in outcome.flaws:
            verdict = "excluded 排除" if flaw.excluded else "quarantined 隔离"
            where = f"column 列 {flaw.column}{self._where(flaw.reason, flaw.column)}"
            yield f"  {flaw.rows:,} {verdict}: {flaw.reason}, {where}"
            if not flaw.excluded:
                yield f"      {remedy(flaw.reason)}"

    def _where(self, reason: str, column: str) -> str:
        lines = self.places.get((reason, column), ())
        return (
            f" (line 行 {', '.join(map(str, lines))}{'…' if len(lines) == PLACES else ''})" if lines else ""
        )

    def to_json(self) -> dict[str, Any]:
        """Say it to programs."""
        return {
            "source": self.source,
            "file": str(self.path),
            "rows": self.outcome.lines,
            "activities": self.activities,
            "corrected": self.outcome.corrected,
            "late": self.outcome.late,
            "repeated": self.outcome.repeated,
            "excluded": self.outcome.excluded,
            "quarantined": self.outcome.quarantined,
            "reasons": [
                {
                    "reason": flaw.reason,
                    "column": flaw.column,
                    "rows": flaw.rows,
                    "excluded": flaw.excluded,
                    "lines": self.places.get((flaw.reason, flaw.column), ()),
                    "remedy": remedy(flaw.reason),
                }
                for flaw in self.outcome.flaws
            ],
            "first_rows": self.first_rows,
        }


def check_sources(workspace: Workspace) -> Iterator[FileCheck]:
    """Rehearse every file of every source, of others than files the first piece."""
    judging = Judging(
        workspace.configuration.engine,
        workspace.stage(store=False),
        workspace.activities,
        tuple(workspace.packs.values()),
        workspace.released(),
    )
    for settings in workspace.configuration.source:
        pieces = workspace.open_source(settings, REHEARSAL).pieces()
        for piece in pieces if settings.path is not None else islice(pieces, 1):
            reading = workspace.files.reading(piece.file)
            with judging.judged(
                workspace.home / "temp" / "checking", settings, piece.relation, reading
            ) as judgement:
                yield _check(settings, shown_path(workspace.home, settings, piece), judgement)


def _check(settings: SourceSettings, path: Path, judgement: Judgement) -> FileCheck:
    plan, run = judgement.staged.plan, judgement.connection.execute
    counts: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    for index, mapped in enumerate(plan.activities):
        code = mapped.activity.code
        counts[code] = int(run(f"SELECT count(*) FROM good_{index}").fetchall()[0][0])
        columns = list(mapped.activity.columns())
        names = ", ".join(map(quoted, columns))
        found = run(f"SELECT {names} FROM good_{index} ORDER BY line LIMIT {FIRST_ROWS}").fetchall()
        rows += [shown_row(mapped.activity, dict(zip(columns, row, strict=True))) for row in found]
    places = run(
        "SELECT reason, column_name, list(line ORDER BY line)[1:$1] FROM flawed GROUP BY ALL", [PLACES]
    ).fetchall()
    return FileCheck(
        source=settings.id,
        path=path,
        outcome=outcome_of(judgement, ()),
        activities=counts,
        first_rows=tuple(rows),
        places={(reason, column): tuple(lines) for reason, column, lines in places},
    )


def shown_row(activity: Activity, row: dict[str, Any]) -> dict[str, Any]:
    """Give a kept row with its day as a date and its quantities as decimals in their units."""
    shown = {
        "record": row["record"],
        "person": row["person"],
        "day": (_ORIGIN + datetime.timedelta(days=int(row["day"]))).isoformat(),
        "region": row["region"],
    }
    for one in activity.inputs:
        value = row[one.name]
        shown[one.name] = (
            value if one.kind is InputKind.KEY else f"{decimal_text(int(value), one.decimals)} {one.unit}"
        )
    return shown


def decimal_text(steps: int, decimals: int) -> str:
    """Write a whole number of 10^-decimals exactly."""
    if not decimals:
        return str(steps)
    whole, part = divmod(abs(steps), 10**decimals)
    return f"{'-' if steps < 0 else ''}{whole}.{part:0{decimals}d}"
