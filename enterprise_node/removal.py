"""Rows leave kept activities or change hands: new files take the place of theirs, all in one step."""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.sessions import working_session
from enterprise_node.sql_text import literal
from enterprise_node.store.sources import ActivityFile, Replacement, SourceFiles

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from enterprise_node.activities import Activities
    from runtime.engines import EngineSettings


@dataclass(slots=True)
class Removed:
    """How many rows go out of the files or change hands, and of those of superseded versions."""

    activities: int = 0
    superseded: int = 0


@dataclass(frozen=True, slots=True)
class Removal:
    """Takes rows out of the files of a home, or gives them to others; its user holds the reading lock."""

    home: Path
    engine: EngineSettings
    activities: Activities
    files: SourceFiles

    def older_than(self, first_day: int) -> int:
        """Drop activities of the days before one; give how many."""
        with self.removing(f"day < {int(first_day)}", "retained", before=first_day) as removed:
            pass
        return removed.activities

    def removing(self, gone: str, name: str, *, before: int | None = None) -> AbstractContextManager[Removed]:
        """Put files without the rows in place, in one durable step with the block; then remove the old ones.

        `gone` is a condition over a file's columns, `name` the rule that takes rows away; files whose days
        all lie from `before` on are not looked into.
        """
        return self._replacing(gone, "*", f"NOT ({gone})", name, before=before)

    def handing_over(self, theirs: str, number: int, name: str) -> AbstractContextManager[Removed]:
        """Give rows to another person, in one durable step with the block, in the files they stand in."""
        person = f"CASE WHEN {theirs} THEN CAST({int(number)} AS BIGINT) ELSE person END"
        return self._replacing(theirs, f"* REPLACE ({person} AS person)", "true", name)

    @contextmanager
    def _replacing(
        self, touched: str, columns: str, left: str, name: str, *, before: int | None = None
    ) -> Iterator[Removed]:
        """Replace each file that has touched rows by columns of the rows left of it."""
        removed, old = Removed(), list[Path]()
        replaced: list[Replacement] = []
        replaced_superseded: list[tuple[str, ActivityFile | None]] = []
        with removal_session(self.home, self.engine) as connection:

            def written(path: Path, activity: str, source: str, *, superseded: bool) -> ActivityFile | None:
                target = self.activities.new_path(activity, source, name, superseded=superseded)
                sql = f"SELECT {columns} FROM read_parquet({literal(path)}) WHERE {left}"
                return self.activities.write(connection, sql, activity, target)

            for one in self.files.activity_files():
                path = self.activities.absolute(one.path)
                if count := rows_gone(connection, path, touched, one.first_day, before):
                    removed.activities += count
                    file = written(path, one.activity, one.source, superseded=False)
                    replaced.append(Replacement(one.path, file))
                    old.append(path)
            for past in self.files.superseded_files():
                path = self.activities.absolute(past.path)
                if count := rows_gone(connection, path, touched, past.first_day, before):
                    removed.superseded += count
                    file = written(path, past.activity, path.name.split(".")[0], superseded=True)
                    replaced_superseded.append((past.path, file))
                    old.append(path)
        with self.files.transaction():
            self.files.replace(replaced)
            for was, file in replaced_superseded:
                self.files.replace_superseded(was, file)
            yield removed
        for path in old:
            path.unlink(missing_ok=True)


@contextmanager
def removal_session(home: Path, engine: EngineSettings) -> Iterator[DuckDBPyConnection]:
    """Open a session that spills below the home, in a folder that goes with it."""
    temp = home / "temp" / "erasing"
    try:
        with working_session(engine, temp) as connection:
            yield connection
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def rows_gone(
    connection: DuckDBPyConnection, path: Path, gone: str, first_day: int = 0, before: int | None = None
) -> int:
    """Count the rows of a file that a condition names."""
    if before is not None and first_day >= before:
        return 0
    sql = f"SELECT count(*) FROM read_parquet({literal(path)}) WHERE {gone}"
    return int(connection.execute(sql).fetchall()[0][0])
