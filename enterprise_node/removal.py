"""Rows leave kept activities: a file without them takes the place of each that held some, all in one step."""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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
    """How many rows go out of the files, and of those of superseded versions."""

    activities: int = 0
    superseded: int = 0


@dataclass(frozen=True, slots=True)
class Removal:
    """Takes rows out of the files of a home; whoever uses it holds the reading lock."""

    home: Path
    engine: EngineSettings
    activities: Activities
    files: SourceFiles

    def older_than(self, first_day: int) -> int:
        """Drop activities of the days before one; give how many."""
        with self.removing(f"day < {int(first_day)}", "retained", before=first_day) as removed:
            pass
        return removed.activities

    @contextmanager
    def removing(self, gone: str, name: str, *, before: int | None = None) -> Iterator[Removed]:
        """Put files without the rows in place, in one durable step with the block; then remove the old ones.

        `gone` is a condition over a file's columns, `name` the rule that takes rows away; files whose days
        all lie from `before` on are not looked into.
        """
        removed, old = Removed(), list[Path]()
        replaced: list[Replacement] = []
        replaced_superseded: list[tuple[str, ActivityFile | None]] = []
        with removal_session(self.home, self.engine) as connection:
            for one in self.files.activity_files():
                path = self.activities.absolute(one.path)
                if count := rows_gone(connection, path, gone, one.first_day, before):
                    removed.activities += count
                    replaced.append(self.activities.without(connection, one, gone, name=name))
                    old.append(path)
            for past in self.files.superseded_files():
                path = self.activities.absolute(past.path)
                if count := rows_gone(connection, path, gone, past.first_day, before):
                    removed.superseded += count
                    target = self.activities.new_path(
                        past.activity, path.name.split(".")[0], name, superseded=True
                    )
                    sql = f"SELECT * FROM read_parquet({literal(path)}) WHERE NOT ({gone})"
                    left = self.activities.write(connection, sql, past.activity, target)
                    replaced_superseded.append((past.path, left))
                    old.append(path)
        with self.files.transaction():
            self.files.replace(replaced)
            for was, left in replaced_superseded:
                self.files.replace_superseded(was, left)
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
    """Count the rows of a file that go."""
    if before is not None and first_day >= before:
        return 0
    sql = f"SELECT count(*) FROM read_parquet({literal(path)}) WHERE {gone}"
    return int(connection.execute(sql).fetchall()[0][0])
