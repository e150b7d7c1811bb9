"""The node's kept activities: Parquet files never changed once written, a folder for each activity code.

A file counts only while the state names it, so that a crash between writing and recording leaves nothing
behind that is read. Where rows have to go (a later version of a record came, a person asked to be erased, the
retention rule), a file without them takes the place of the old one in one step; superseded versions are kept
apart. Files hold person numbers, days, regions, inputs and record ids; never an identifier.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.source_files import write_parquet
from enterprise_node.sql_text import literal, literals, quoted
from enterprise_node.store.sources import ActivityFile, Replacement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from accounting.activities import Activity
    from engine.engine import Engine
    from enterprise_node.store.sources import SourceFiles, StoredActivityFile

_FOLDER = "activities"
_SUPERSEDED_FOLDER = "superseded"
# What orders the versions of a record where its source declares such a column, else NULL.
VERSION = "record_version"


class Activities:
    """Finds and names activity files, and gives an engine views of them."""

    def __init__(self, home: Path, files: SourceFiles, registry: Mapping[str, Activity]) -> None:
        self._home = home
        self._files = files
        self.registry = registry

    def new_path(self, code: str, source: str, sha256: str, *, superseded: bool = False) -> Path:
        """Give an unused path for the activities of one reading of one raw file."""
        folder = self._home / (_SUPERSEDED_FOLDER if superseded else _FOLDER) / code
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        attempt = 0
        while (path := folder / f"{source}.{sha256[:16]}.{attempt}.parquet").exists():
            attempt += 1
        return path

    def sweep(self) -> None:
        """Remove files the state does not name: replaced by a reading before, or left by a crash."""
        named = {*self._files.activity_paths(), *(one.path for one in self._files.superseded_files())}
        for folder in (_FOLDER, _SUPERSEDED_FOLDER):
            for path in (self._home / folder).glob("*/*"):
                if self.relative(path) not in named:
                    path.unlink()

    def absolute(self, relative: str) -> Path:
        """Give the path of a file as the state names it."""
        return self._home / relative

    def without(
        self,
        connection: DuckDBPyConnection,
        file: StoredActivityFile,
        gone: str,
        *,
        name: str,
        keep_apart: bool = False,
    ) -> Replacement:
        """Write a file's rows but those a condition names, those too if they are to be kept apart.

        `gone` is a condition over the file's columns; `name` is the reading or rule that takes rows away.
        """
        source = f"read_parquet({literal(self.absolute(file.path))})"

        def written(condition: str, *, superseded: bool) -> ActivityFile | None:
            sql = f"SELECT * FROM {source} WHERE {condition}"
            path = self.new_path(file.activity, file.source, name, superseded=superseded)
            return self.write(connection, sql, file.activity, path)

        left = written(f"NOT ({gone})", superseded=False)
        return Replacement(file.path, left, written(gone, superseded=True) if keep_apart else None)

    def write(self, connection: DuckDBPyConnection, sql: str, code: str, path: Path) -> ActivityFile | None:
        """Write a query's rows as a new file; without any, no file is left."""
        write_parquet(connection, sql, path)
        summary = f"SELECT count(*), min(day), max(day) FROM read_parquet({literal(path)})"
        rows, first_day, last_day = connection.execute(summary).fetchall()[0]
        if not rows:
            path.unlink()
            return None
        return ActivityFile(self.relative(path), code, rows, first_day, last_day)

    def relative(self, path: Path) -> str:
        """Give the path as the state stores it."""
        return str(path.relative_to(self._home))

    def paths(self, code: str | None = None, source: str | None = None) -> list[Path]:
        """List the files of an activity, a source, or all."""
        return [self._home / path for path in self._files.activity_paths(code, source)]

    def files(self, source: str | None = None) -> list[StoredActivityFile]:
        """List the files of a source, or of all, with what the state knows of them."""
        return self._files.activity_files(source)

    def counts(self) -> dict[str, int]:
        """Count the activities kept, by code."""
        return self._files.activity_counts()

    def generation(self) -> int:
        """Give a number that changes whenever activities are added."""
        return self._files.generation()

    def relation(self, code: str, source: str | None = None) -> str:
        """Give a FROM item with an activity's columns, empty where nothing was kept yet."""
        columns = self.registry[code].columns()
        paths = self.paths(code, source)
        if paths:
            return f"(SELECT {', '.join(map(quoted, columns))} FROM read_parquet([{literals(paths)}]))"
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns.items())
        return f"(SELECT {empty} WHERE false)"

    def versions(self, code: str, source: str | None = None) -> str:
        """Give a FROM item with an activity's columns, version, and the file each row is kept in."""
        columns = {**self.registry[code].columns(), VERSION: "BIGINT", "file": "VARCHAR"}
        parts = [", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns.items())]
        parts[0] = f"SELECT {parts[0]} WHERE false"
        if paths := self.paths(code, source):
            parts.append(
                "SELECT * EXCLUDE (filename), filename AS file"
                f" FROM read_parquet([{literals(paths)}], filename = true, union_by_name = true)"
            )
        return f"({' UNION ALL BY NAME '.join(parts)})"

    def readings(self, source: str) -> str:
        """Give a FROM item with the place of each file of a source in the order of readings."""
        files = self._files.activity_files(source)
        rows = ", ".join(f"({literal(self.absolute(one.path))}, {one.reading})" for one in files)
        return f"(VALUES {rows}) AS readings (file, reading)"

    def define_views(self, engine: Engine, needed: Collection[str] = ()) -> dict[str, str]:
        """Define one view for each activity that is kept or needed; give their names by code."""
        codes = {*self.counts(), *needed}
        names = {code: "activity_" + code.replace(".", "_") for code in self.registry if code in codes}
        for code, name in names.items():
            engine.view(name, self.paths(code), self.registry[code].columns())
        return names

    def find(self, engine: Engine, code: str, record: str) -> list[Path]:
        """List the files that hold a record."""
        paths = self.paths(code)
        if not paths:
            return []
        found = engine.rows(
            f"SELECT DISTINCT filename FROM read_parquet([{literals(paths)}], filename = true)"
            f" WHERE record = {literal(record)} ORDER BY 1"
        )
        return [Path(str(row[0])) for row in found]
