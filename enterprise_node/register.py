"""The register of persons: identifiers, contract days and consents taken from the enterprise's customer file.

Contract days decide who is eligible where a methodology compares months; they come from contracts or
installations, never from when somebody was active.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from enterprise_node.configuration import REGISTER_SOURCE, PersonRegister, Time
from enterprise_node.fields import Field, day_number, day_of, moment_of, shifted, text_of
from enterprise_node.persons import Persons, RegisterEntry
from enterprise_node.quarantine import Flaw, Quarantine
from enterprise_node.sessions import RawSession, raw_session
from enterprise_node.source_files import Place, identify, write_places
from enterprise_node.sources.delimited import broken_lines
from enterprise_node.sources.files import find_files, reader_for
from enterprise_node.sources.source import BROKEN, LINE
from enterprise_node.sql_text import literals, quoted
from enterprise_node.store.sources import FlawCount, Outcome, SourceFiles

if TYPE_CHECKING:
    from runtime.engines import EngineSettings

_YES = ("1", "true", "yes", "y", "t", "是")


class _Row(NamedTuple):
    line: int
    is_broken: bool
    identifier: str | None
    since_text: bool
    since_day: int | None
    until_text: bool
    until_day: int | None
    consented: bool


@dataclass(frozen=True, slots=True)
class Register:
    """Reads the register's files into the persons."""

    home: Path
    engine: EngineSettings
    settings: PersonRegister
    persons: Persons
    quarantine: Quarantine
    files: SourceFiles

    def run(self) -> Iterator[tuple[Path, Outcome | None]]:
        """Read the files whose content or declaration is new; None stands for the others."""
        declared = json.dumps(self.settings.model_dump(mode="json"), sort_keys=True)
        mapping = hashlib.sha256(declared.encode()).hexdigest()
        for path in find_files(self.home, self.settings):
            file = identify(self.home, REGISTER_SOURCE, path, mapping, self.files)
            if self.files.known_mapping(REGISTER_SOURCE, file.sha256) == mapping:
                yield path, None
                continue
            with raw_session(self.engine) as session:
                rows = self._rows(session, path)
                places = [(line, column, str(Flaw.BROKEN_LINE)) for line, column in broken_lines(session)]
                lines = len(rows) + len(places)
                places += self._take(rows)
                write_places(
                    session.connection, places, self.quarantine.path_for(REGISTER_SOURCE, file.sha256)
                )
            outcome = Outcome(lines=lines, taken=lines - len(places), repeated=0, flaws=_counts(places))
            self.files.record(file, outcome, reading=self.files.reading(file))
            yield path, outcome

    def rehearse(self) -> Iterator[dict[str, object]]:
        """Say what each file would bring, without taking anything."""
        for path in find_files(self.home, self.settings):
            with raw_session(self.engine) as session:
                rows = self._rows(session, path)
                broken = len(broken_lines(session))
            good = [row for row in rows if self._flaw(row) is None]
            numbers = self.persons.number_all(
                [row.identifier or "" for row in good], kind=self.settings.identifier_kind, store=False
            )
            invalid = sum(numbers[row.identifier or ""] is None for row in good)
            yield {
                "file": str(path),
                "rows": len(rows) + broken,
                "persons": len({number for number in numbers.values() if number is not None}),
                "quarantined": broken + len(rows) - len(good) + invalid,
            }

    def _rows(self, session: RawSession, path: Path) -> list[_Row]:
        """Read the file's rows; dates become civil days."""
        settings = self.settings
        relation = reader_for(settings.format_of(path)).relation(session, path, settings, settings.columns)
        fields = {
            name: Field(name, quoted(name), relation.types[name], column)
            for name, column in settings.columns.items()
        }
        is_broken = quoted(BROKEN) if BROKEN in relation.types else "false"
        items = [quoted(LINE), is_broken, text_of(fields[settings.person])]
        for column in (settings.since, settings.until):
            items += self._date(fields[column]) if column is not None else ["false", "NULL"]
        if settings.consent is None:
            items.append("true")
        else:
            items.append(f"coalesce(lower({text_of(fields[settings.consent])}) IN ({literals(_YES)}), false)")
        selected = ", ".join(items)
        found = session.connection.execute(f"SELECT {selected} FROM {relation.sql} ORDER BY 1").fetchall()
        return [_Row(*row) for row in found]

    def _date(self, field: Field) -> list[str]:
        """Give whether a date is there, and its day number; one the target month lacks is its last day."""
        time = Time(column=field.name, format=self.settings.date_format)
        day = shifted(f"({day_of(f'({moment_of(field, time)})')})", self.settings.shift_months)
        return [f"{text_of(field)} IS NOT NULL", day_number(day)]

    def _take(self, rows: list[_Row]) -> list[Place]:
        """Hand good rows to the persons; give the places of the others."""
        places: list[Place] = []
        good: list[_Row] = []
        for row in rows:
            flaw = self._flaw(row)
            if flaw is None:
                good.append(row)
            else:
                places.append((row.line, *flaw))
        invalid = self.persons.register(
            (
                RegisterEntry(row.identifier or "", row.since_day, row.until_day, row.consented)
                for row in good
            ),
            kind=self.settings.identifier_kind,
        )
        flawed = str(Flaw.IDENTIFIER_INVALID)
        return places + [(good[index].line, self.settings.person, flawed) for index in invalid]

    def _flaw(self, row: _Row) -> tuple[str, str] | None:
        if row.is_broken:
            return "", str(Flaw.BROKEN_LINE)
        if row.identifier is None:
            return self.settings.person, str(Flaw.PERSON_MISSING)
        if row.since_text and row.since_day is None:
            return self.settings.since or "", str(Flaw.WRONG_TYPE)
        if row.until_text and row.until_day is None:
            return self.settings.until or "", str(Flaw.WRONG_TYPE)
        return None


def _counts(places: list[Place]) -> tuple[FlawCount, ...]:
    counted = Counter((reason, column) for _, column, reason in places)
    return tuple(FlawCount(reason, column, False, rows) for (reason, column), rows in sorted(counted.items()))
