"""Raw files into kept activities: each content is read once, good rows are appended, the others explained.

A file is known by the hash of its content. It is read again only when its mapping, its lookups or the packs
have changed and rows of it are in quarantine; rows kept before are then recognised and not doubled.
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

from enterprise_node.activities import Activities
from enterprise_node.judgement import Judgement
from enterprise_node.quarantine import remedy
from enterprise_node.sessions import working_session
from enterprise_node.source_files import hash_file, identify, write_parquet
from enterprise_node.sources.source import find_files
from enterprise_node.sql_text import quoted
from enterprise_node.staging import Stage
from enterprise_node.store.sources import ActivityFile, Outcome, SourceFile, SourceFiles

if TYPE_CHECKING:
    from accounting.compiler import CompiledPack
    from enterprise_node.configuration import EngineSettings, SourceSettings
    from enterprise_node.quarantine import Quarantine

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
        for flaw in self.outcome.flaws:
            if not flaw.excluded:
                yield f"  {flaw.rows:,} {flaw.reason} in 列 {flaw.column}. {remedy(flaw.reason)}"


@dataclass(frozen=True, slots=True)
class Ingest:
    """Reads the node's sources."""

    home: Path
    engine: EngineSettings
    sources: Sequence[SourceSettings]
    stage: Stage
    activities: Activities
    quarantine: Quarantine
    files: SourceFiles
    packs: Sequence[CompiledPack]

    def run(self, note: Callable[[str], None] = lambda _: None) -> Iterator[FileReport]:
        """Read what is new of every source, one file at a time; `note` is told what is being read."""
        for settings in self.sources:
            mapping = self._mapping(settings)
            for path in find_files(self.home, settings):
                file = identify(self.home, settings.id, path, mapping, self.files)
                if self._is_known(file):
                    yield FileReport(settings.id, path, None)
                    continue
                note(f"{settings.id}: {path.name}")
                outcome = self._read(settings, path, file)
                logger.info(
                    "file read",
                    extra={
                        "source": settings.id,
                        "rows": outcome.lines,
                        "taken": outcome.taken,
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

    def _is_known(self, file: SourceFile) -> bool:
        """Tell whether reading the file could bring nothing new."""
        mapping = self.files.known_mapping(file.source, file.sha256)
        if mapping is None:
            return False
        return mapping == file.mapping or not self.files.has_quarantine(file.source, file.sha256)

    def _read(self, settings: SourceSettings, path: Path, file: SourceFile) -> Outcome:
        """Stage, judge, write, record; a crash before the record leaves nothing that counts."""
        folder = reading_folder(self.home)
        with judged(
            folder, self.engine, self.stage, settings, path, self.activities, self.packs
        ) as judgement:
            written = tuple(self._write(judgement, file))
            judgement.write_flawed(self.quarantine.path_for(file.source, file.sha256))
            outcome = outcome_of(judgement, written)
        self.files.record(file, outcome)
        return outcome

    def _write(self, judgement: Judgement, file: SourceFile) -> Iterator[ActivityFile]:
        """Append each activity's good rows as one file."""
        for index, mapped in enumerate(judgement.staged.plan.activities):
            activity = mapped.activity
            columns = ", ".join(quoted(name) for name in activity.columns())
            summary = f"SELECT count(*), min(day), max(day) FROM good_{index}"
            rows, first_day, last_day = judgement.connection.execute(summary).fetchall()[0]
            if not rows:
                continue
            path = self.activities.new_path(activity.code, file.source, file.sha256)
            write_parquet(judgement.connection, f"SELECT {columns} FROM good_{index}", path)
            yield ActivityFile(self.activities.relative(path), activity.code, rows, first_day, last_day)


def reading_folder(home: Path) -> Path:
    """Name the folder of half-read files; whoever may read may empty it."""
    return home / "temp" / "reading"


@contextmanager
def judged(
    folder: Path,
    engine: EngineSettings,
    stage: Stage,
    settings: SourceSettings,
    path: Path,
    activities: Activities,
    packs: Sequence[CompiledPack],
) -> Iterator[Judgement]:
    """Stage a file below the folder, in one that goes away, and judge its rows."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temp:
        staged = stage.read(settings, path, Path(temp) / "staged.parquet")
        with working_session(engine, Path(temp) / "spill") as connection:
            judgement = Judgement(connection, settings, staged, activities, packs)
            judgement.run()
            yield judgement


def outcome_of(judgement: Judgement, written: Sequence[ActivityFile]) -> Outcome:
    """Count what came of a judged file."""
    staged = judgement.staged
    return Outcome(
        lines=staged.rows + len(staged.broken),
        taken=sum(one.rows for one in written),
        repeated=judgement.repeated(),
        activities=tuple(written),
        flaws=judgement.counts(),
    )
