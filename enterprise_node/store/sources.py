"""Which files were read and what came of them: rows taken, corrected, excluded, repeated, quarantined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple

from enterprise_node.store.database import Database, Schema

SCHEMA = Schema(
    "sources",
    (
        """CREATE TABLE source_file (
            id INTEGER PRIMARY KEY,
            source TEXT NOT NULL,
            path TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            size INTEGER NOT NULL,
            modified_ns INTEGER NOT NULL,
            mapping TEXT NOT NULL,
            lines INTEGER NOT NULL,
            taken INTEGER NOT NULL,
            repeated INTEGER NOT NULL,
            UNIQUE (source, sha256)
        ) STRICT""",
        """CREATE TABLE activity_file (
            path TEXT PRIMARY KEY,
            source_file INTEGER NOT NULL REFERENCES source_file (id),
            source TEXT NOT NULL,
            activity TEXT NOT NULL,
            rows INTEGER NOT NULL,
            first_day INTEGER NOT NULL,
            last_day INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE flaw_count (
            source_file INTEGER NOT NULL REFERENCES source_file (id),
            reason TEXT NOT NULL,
            column_name TEXT NOT NULL,
            excluded INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            PRIMARY KEY (source_file, reason, column_name)
        ) STRICT""",
        # The order of readings: what was read later is the later version where a source names none.
        "ALTER TABLE source_file ADD COLUMN reading INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE source_file ADD COLUMN corrected INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE source_file ADD COLUMN late INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE activity_file ADD COLUMN reading INTEGER NOT NULL DEFAULT 0",
        "UPDATE source_file SET reading = id",
        "UPDATE activity_file SET reading = source_file",
        # Versions of records that later ones took the place of.
        """CREATE TABLE superseded_file (
            path TEXT PRIMARY KEY,
            source TEXT NOT NULL,
            activity TEXT NOT NULL,
            rows INTEGER NOT NULL,
            first_day INTEGER NOT NULL,
            last_day INTEGER NOT NULL
        ) STRICT""",
    ),
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file on disk: where it lies, what it holds, and the mapping it is read with."""

    source: str
    path: str
    sha256: str
    size: int
    modified_ns: int
    mapping: str


class ActivityFile(NamedTuple):
    """One Parquet file of activities."""

    path: str
    activity: str
    rows: int
    first_day: int
    last_day: int


class StoredActivityFile(NamedTuple):
    """One Parquet file of activities as stored: its source, and the reading it came of."""

    path: str
    source: str
    activity: str
    rows: int
    first_day: int
    last_day: int
    reading: int


class Replacement(NamedTuple):
    """A Parquet file whose place is taken by one without some of its rows, which may be kept apart."""

    path: str
    left: ActivityFile | None
    superseded: ActivityFile | None = None


class FlawCount(NamedTuple):
    """Rows of one file with one reason."""

    reason: str
    column: str
    excluded: bool
    rows: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of reading one file."""

    lines: int
    taken: int
    repeated: int
    activities: tuple[ActivityFile, ...] = ()
    flaws: tuple[FlawCount, ...] = ()
    # Of the rows taken: those in the place of an earlier version, and those too late for a release.
    corrected: int = 0
    late: int = 0

    @property
    def quarantined(self) -> int:
        """Count the rows in quarantine."""
        return sum(flaw.rows for flaw in self.flaws if not flaw.excluded)

    @property
    def excluded(self) -> int:
        """Count the rows kept out by a rule."""
        return sum(flaw.rows for flaw in self.flaws if flaw.excluded)


@dataclass(frozen=True, slots=True)
class SourceTotals:
    """Sums over one source's files."""

    files: int = 0
    lines: int = 0
    taken: int = 0
    repeated: int = 0
    corrected: int = 0
    late: int = 0
    excluded: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)


class SourceFiles:
    """Reads and writes what was read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known_mapping(self, source: str, sha256: str) -> str | None:
        """Give the mapping a content was read with, None if it was never read."""
        sql = "SELECT mapping FROM source_file WHERE source = ? AND sha256 = ?"
        found: str | None = self._database.value(sql, (source, sha256))
        return found

    def known_hash(self, source: str, path: str, size: int, modified_ns: int) -> str | None:
        """Give the content hash of a file that has not changed since it was read."""
        found: str | None = self._database.value(
            "SELECT sha256 FROM source_file WHERE source = ? AND path = ? AND size = ? AND modified_ns = ?",
            (source, path, size, modified_ns),
        )
        return found

    def was_replaced(self, file: SourceFile) -> bool:
        """Tell whether another content was read from the file's path after this one."""
        latest = self._database.value(
            "SELECT sha256 FROM source_file WHERE source = ? AND path = ? ORDER BY reading DESC LIMIT 1",
            (file.source, file.path),
        )
        return latest is not None and latest != file.sha256

    def reading(self, file: SourceFile) -> int:
        """Give a file's place in the order of readings; a mended mapping does not change it."""
        sql = "SELECT reading FROM source_file WHERE source = ? AND sha256 = ?"
        known: int | None = self._database.value(sql, (file.source, file.sha256))
        if known is not None and not self.was_replaced(file):
            return known
        return int(self._database.value("SELECT coalesce(max(reading), 0) + 1 FROM source_file"))

    def has_quarantine(self, source: str, sha256: str | None = None) -> bool:
        """Tell whether rows of this content, or of any of the source, are in quarantine."""
        return any(
            row[0] == source and (sha256 is None or row[2] == sha256) for row in self.with_quarantine()
        )

    def transaction(self) -> AbstractContextManager[None]:
        """Make everything inside one durable step."""
        return self._database.transaction()

    def record(
        self, file: SourceFile, outcome: Outcome, *, reading: int, replaced: Iterable[Replacement] = ()
    ) -> None:
        """Store what came of a file, in place of an earlier reading of the same content."""
        with self._database.transaction():
            number = self._number(file, outcome, reading)
            self._database.execute("DELETE FROM flaw_count WHERE source_file = ?", (number,))
            self._database.execute_many(
                "INSERT INTO flaw_count VALUES (?, ?, ?, ?, ?)",
                ((number, flaw.reason, flaw.column, int(flaw.excluded), flaw.rows) for flaw in outcome.flaws),
            )
            self._database.execute_many(
                "INSERT INTO activity_file VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                ((one.path, number, file.source, *one[1:], reading) for one in outcome.activities),
            )
            self.replace(replaced)

    def replace(self, replaced: Iterable[Replacement]) -> None:
        """Put files in the place of others, which count no more."""
        with self._database.transaction():
            for path, left, superseded in replaced:
                if superseded is not None:
                    self._database.execute(
                        "INSERT INTO superseded_file SELECT ?, source, ?, ?, ?, ? FROM activity_file"
                        " WHERE path = ?",
                        (*superseded, path),
                    )
                if left is not None:
                    self._database.execute(
                        "INSERT INTO activity_file SELECT ?, source_file, source, ?, ?, ?, ?, reading"
                        " FROM activity_file WHERE path = ?",
                        (*left, path),
                    )
                self._database.execute("DELETE FROM activity_file WHERE path = ?", (path,))

    def replace_superseded(self, path: str, left: ActivityFile | None) -> None:
        """Put a file of superseded versions in the place of another, or only forget that one."""
        with self._database.transaction():
            if left is not None:
                self._database.execute(
                    "INSERT INTO superseded_file SELECT ?, source, ?, ?, ?, ? FROM superseded_file"
                    " WHERE path = ?",
                    (*left, path),
                )
            self._database.execute("DELETE FROM superseded_file WHERE path = ?", (path,))

    def forget_flaws(self, source: str) -> None:
        """Forget the quarantine of a source that is about to be read again as a whole."""
        self._database.execute(
            "DELETE FROM flaw_count WHERE source_file IN (SELECT id FROM source_file WHERE source = ?)",
            (source,),
        )

    def _number(self, file: SourceFile, outcome: Outcome, reading: int) -> int:
        """Write the file's row; rows taken in earlier readings stay counted as taken."""
        return int(
            self._database.value(
                "INSERT INTO source_file (source, path, sha256, size, modified_ns, mapping, lines, taken,"
                " repeated, reading, corrected, late)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, sha256) DO UPDATE SET"
                " path = excluded.path, size = excluded.size, modified_ns = excluded.modified_ns,"
                " mapping = excluded.mapping, lines = excluded.lines, taken = taken + excluded.taken,"
                " repeated = max(0, excluded.repeated - taken), reading = excluded.reading,"
                " corrected = corrected + excluded.corrected, late = late + excluded.late RETURNING id",
                (
                    *(file.source, file.path, file.sha256, file.size, file.modified_ns, file.mapping),
                    *(outcome.lines, outcome.taken, outcome.repeated, reading),
                    *(outcome.corrected, outcome.late),
                ),
            )
        )

    def activity_paths(self, activity: str | None = None, source: str | None = None) -> list[str]:
        """List the activity files, of one activity or source or of all, in the order they came."""
        return [
            row[0]
            for row in self._database.rows(
                "SELECT path FROM activity_file WHERE (?1 IS NULL OR activity = ?1)"
                " AND (?2 IS NULL OR source = ?2) ORDER BY rowid",
                (activity, source),
            )
        ]

    def activity_files(self, source: str | None = None) -> list[StoredActivityFile]:
        """List the activity files, of one source or of all, in the order they came."""
        found = self._database.rows(
            "SELECT path, source, activity, rows, first_day, last_day, reading FROM activity_file"
            " WHERE (?1 IS NULL OR source = ?1) ORDER BY rowid",
            (source,),
        )
        return [StoredActivityFile(*row) for row in found]

    def superseded_files(self) -> list[ActivityFile]:
        """List the files of superseded versions."""
        sql = "SELECT path, activity, rows, first_day, last_day FROM superseded_file ORDER BY path"
        return [ActivityFile(*row) for row in self._database.rows(sql)]

    def activity_counts(self) -> dict[str, int]:
        """Count the activities kept, by code."""
        sql = "SELECT activity, sum(rows) FROM activity_file GROUP BY activity ORDER BY activity"
        return dict(self._database.rows(sql))

    def origin(self, activity_path: str) -> tuple[str, str] | None:
        """Give source and raw file an activity file came from."""
        row = self._database.row(
            "SELECT f.source, f.path FROM activity_file a JOIN source_file f ON f.id = a.source_file"
            " WHERE a.path = ?",
            (activity_path,),
        )
        return None if row is None else (row[0], row[1])

    def totals(self) -> dict[str, SourceTotals]:
        """Sum up by source."""
        flaws: dict[tuple[str, int], dict[str, int]] = {}
        for source, excluded, reason, rows in self._database.rows(
            "SELECT f.source, c.excluded, c.reason, sum(c.rows) FROM flaw_count c"
            " JOIN source_file f ON f.id = c.source_file GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ):
            flaws.setdefault((source, excluded), {})[reason] = rows
        sums = self._database.rows(
            "SELECT source, count(*), sum(lines), sum(taken), sum(repeated), sum(corrected), sum(late)"
            " FROM source_file GROUP BY source"
        )
        return {
            source: SourceTotals(
                files=files,
                lines=lines,
                taken=taken,
                repeated=repeated,
                corrected=corrected,
                late=late,
                excluded=flaws.get((source, 1), {}),
                quarantined=flaws.get((source, 0), {}),
            )
            for source, files, lines, taken, repeated, corrected, late in sums
        }

    def quarantine_counts(self) -> list[tuple[str, str, str, int]]:
        """Count quarantined rows by source, reason and column."""
        found = self._database.rows(
            "SELECT f.source, c.reason, c.column_name, sum(c.rows) FROM flaw_count c"
            " JOIN source_file f ON f.id = c.source_file WHERE NOT c.excluded"
            " GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2, 3"
        )
        return [(row[0], row[1], row[2], row[3]) for row in found]

    def with_quarantine(self) -> list[tuple[str, str, str]]:
        """List source, path and content hash of files with quarantined rows."""
        found = self._database.rows(
            "SELECT f.source, f.path, f.sha256 FROM source_file f WHERE EXISTS"
            " (SELECT 1 FROM flaw_count c WHERE c.source_file = f.id AND NOT c.excluded) ORDER BY f.id"
        )
        return [(row[0], row[1], row[2]) for row in found]

    def generation(self) -> int:
        """Give a number that grows with every reading."""
        return int(self._database.value("SELECT coalesce(max(reading), 0) FROM source_file"))


def flaw_counts(rows: Iterable[tuple[str, str, bool, int]]) -> tuple[FlawCount, ...]:
    """Put counted rows into flaw counts."""
    return tuple(
        FlawCount(reason, column, bool(excluded), int(count)) for reason, column, excluded, count in rows
    )
