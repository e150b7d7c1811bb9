"""Raw pieces into kept activities: each content is read once, good rows are kept, the others explained.

A piece (a file, rows of a query, pushed records) is known by the hash of its content. It is read again only
when its mapping, its lookups or the packs have changed and rows of it are in quarantine; rows kept before are
then recognised and not doubled. Corrected records leave the files of activities in the same durable step in
which their later versions come.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enterprise_node.activities import VERSION, Activities
from enterprise_node.judgement import Judgement, Released
from enterprise_node.quarantine import remedy
from enterprise_node.sessions import working_session
from enterprise_node.source_files import hash_file
from enterprise_node.sources.files import find_files
from enterprise_node.sql_text import literal, quoted
from enterprise_node.staging import Stage
from enterprise_node.store.sources import ActivityFile, Outcome, Replacement, SourceFile, SourceFiles

if TYPE_CHECKING:
    from accounting.compiler import CompiledPack
    from enterprise_node.configuration import SourceSettings
    from enterprise_node.quarantine import Quarantine
    from enterprise_node.sessions import RawSession
    from enterprise_node.sources.source import Piece, Relation, Source
    from runtime.engines import EngineSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileReport:
    """What came of one file; `outcome` is None where its content was known."""

    source: str
    path: Path
    outcome: Outcome | None

    def to_json(self) -> dict[str, Any]:
        """Say it to programs."""
        said: dict[str, Any] = {
            "source": self.source,
            "file": str(self.path),
            "new": self.outcome is not None,
        }
        if self.outcome is not None:
            said |= {
                "rows": self.outcome.lines,
                "taken": self.outcome.taken,
                "corrected": self.outcome.corrected,
                "late": self.outcome.late,
                "repeated": self.outcome.repeated,
                "excluded": self.outcome.excluded,
                "quarantined": self.outcome.quarantined,
                "reasons": [flaw._asdict() for flaw in self.outcome.flaws],
            }
        return said

    def lines(self) -> Iterator[str]:
        """Say it to people."""
        if self.outcome is None:
            yield f"{self.source}: {self.path.name}: nothing new 无新内容"
            return
        yield (
            f"{self.source}: {self.path.name}: {self.outcome.lines:,} rows 行,"
            f" {self.outcome.taken:,} taken 入库, {self.outcome.repeated:,} known 已有,"
            f" {self.outcome.excluded:,} excluded 排除, {self.outcome.quarantined:,} quarantined 隔离"
        )
        if self.outcome.corrected:
            yield f"  {self.outcome.corrected:,} took the place of an earlier version 更正"
        if self.outcome.late:
            yield f"  {self.outcome.late:,} too late for a release already drawn 晚于已发布周期"
        for flaw in self.outcome.flaws:
            if not flaw.excluded:
                yield f"  {flaw.rows:,} {flaw.reason} in 列 {flaw.column}. {remedy(flaw.reason)}"


@dataclass(frozen=True, slots=True)
class Ingest:
    """Reads the node's sources."""

    home: Path
    engine: EngineSettings
    sources: Sequence[SourceSettings]
    # Gives a source's pieces, told the hash of everything that decides how a row is judged.
    open_source: Callable[[SourceSettings, str], Source]
    stage: Stage
    activities: Activities
    quarantine: Quarantine
    files: SourceFiles
    packs: Sequence[CompiledPack]
    released: Callable[[], Released]

    def run(self, note: Callable[[str], None] = lambda _: None) -> Iterator[FileReport]:
        """Read what is new of every source, one piece at a time; `note` is told what is being read."""
        for settings in self.sources:
            for piece in self.open_source(settings, self._mapping(settings)).pieces():
                path = shown_path(self.home, settings, piece)
                if piece.is_known:
                    yield FileReport(settings.id, path, None)
                    continue
                note(f"{settings.id}: {path.name}")
                outcome = self._read(settings, piece)
                logger.info(
                    "piece read",
                    extra={
                        "source": settings.id,
                        "rows": outcome.lines,
                        "taken": outcome.taken,
                        "corrected": outcome.corrected,
                        "quarantined": outcome.quarantined,
                    },
                )
                yield FileReport(settings.id, path, outcome)

    def _mapping(self, settings: SourceSettings) -> str:
        """Hash everything that decides how a row is judged: declaration, lookups, packs."""
        lookups = [hash_file(path) for lookup in settings.lookup for path in find_files(self.home, lookup)]
        packs = [compiled.pack.sha256.hex() for compiled in self.packs]
        document = json.dumps([settings.model_dump(mode="json"), lookups, packs], sort_keys=True)
        return hashlib.sha256(document.encode()).hexdigest()

    def _read(self, settings: SourceSettings, piece: Piece) -> Outcome:
        """Stage, judge, write, record; a crash before the record leaves nothing that counts."""
        file, released = piece.file, self.released()
        judging = Judging(self.engine, self.stage, self.activities, self.packs, released)
        reading = self.files.reading(file)
        with judging.judged(reading_folder(self.home), settings, piece.relation, reading) as judgement:
            written = tuple(self._write(judgement, file))
            replaced = tuple(self._replace(judgement, file))
            outcome = outcome_of(judgement, written)
            with self.files.transaction():
                # A release begun meanwhile may have taken a version that this would carry to another month.
                if self.released() == released:
                    judgement.write_flawed(self.quarantine.path_for(file.source, file.sha256))
                    self.files.record(file, outcome, reading=reading, replaced=replaced)
                    piece.recorded(outcome)
                    return outcome
        return self._read(settings, piece)

    def _write(self, judgement: Judgement, file: SourceFile) -> Iterator[ActivityFile]:
        """Add each activity's good rows as one file."""
        for index, mapped in enumerate(judgement.staged.plan.activities):
            activity = mapped.activity
            columns = ", ".join(quoted(name) for name in (*activity.columns(), VERSION))
            path = self.activities.new_path(activity.code, file.source, file.sha256)
            written = self.activities.write(
                judgement.connection, f"SELECT {columns} FROM good_{index}", activity.code, path
            )
            if written is not None:
                yield written

    def _replace(self, judgement: Judgement, file: SourceFile) -> Iterator[Replacement]:
        """Write the files that lost records without them, and keep those versions apart."""
        touched = {
            str(row[0])
            for row in judgement.connection.execute("SELECT DISTINCT file FROM replaced").fetchall()
        }
        for one in self.activities.files(file.source):
            path = str(self.activities.absolute(one.path))
            if path in touched:
                gone = f"record IN (SELECT record FROM replaced WHERE file = {literal(path)})"
                yield self.activities.without(
                    judgement.connection, one, gone, name=file.sha256, keep_apart=True
                )


def shown_path(home: Path, settings: SourceSettings, piece: Piece) -> Path:
    """Give a file's path, or the name of a piece that is none."""
    return Path(piece.file.path) if settings.path is None else home / piece.file.path


def reading_folder(home: Path) -> Path:
    """Name the folder of half-read files; whoever may read may empty it."""
    return home / "temp" / "reading"


@dataclass(frozen=True, slots=True)
class Judging:
    """What a piece is judged with."""

    engine: EngineSettings
    stage: Stage
    activities: Activities
    packs: Sequence[CompiledPack]
    released: Released

    @contextmanager
    def judged(
        self,
        folder: Path,
        settings: SourceSettings,
        relate: Callable[[RawSession], Relation],
        reading: int,
    ) -> Iterator[Judgement]:
        """Stage a piece below the folder, in one that goes away, and judge its rows."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temp:
            staged = self.stage.read(settings, relate, Path(temp) / "staged.parquet")
            with working_session(self.engine, Path(temp) / "spill") as connection:
                judgement = Judgement(
                    connection, settings, staged, self.activities, self.packs, reading, self.released
                )
                judgement.run()
                yield judgement


def outcome_of(judgement: Judgement, written: Sequence[ActivityFile]) -> Outcome:
    """Count what came of a judged piece."""
    staged = judgement.staged
    return Outcome(
        lines=staged.rows + len(staged.broken),
        taken=sum(one.rows for one in written),
        repeated=judgement.repeated(),
        activities=tuple(written),
        flaws=judgement.counts(),
        corrected=judgement.corrected(),
        late=judgement.late(),
    )
