"""The node's kept activities: append-only Parquet, a folder for each activity code.

A file counts only once the state names it, so that a crash between writing and recording leaves nothing
behind that is read. Files hold person numbers, days, regions, inputs and record ids; never an identifier.
"""

# ruff: noqa: S608  (SQL is made of names and literals that passed sql_text)

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from enterprise_node.sql_text import literal, literals, quoted

if TYPE_CHECKING:
    from accounting.activities import Activity
    from engine.engine import Engine
    from enterprise_node.store.sources import SourceFiles

_FOLDER = "activities"


class Activities:
    """Finds and names activity files, and gives an engine views of them."""

    def __init__(self, home: Path, files: SourceFiles, registry: Mapping[str, Activity]) -> None:
        self._home = home
        self._files = files
        self.registry = registry

    def new_path(self, code: str, source: str, sha256: str) -> Path:
        """Give an unused path for the activities of one reading of one raw file."""
        folder = self._home / _FOLDER / code
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = set(self._files.activity_paths(code, source))
        for attempt in range(len(known) + 1):
            path = folder / f"{source}.{sha256[:16]}.{attempt}.parquet"
            if self.relative(path) not in known:
                return path
        raise AssertionError("more paths than files")

    def relative(self, path: Path) -> str:
        """Give the path as the state stores it."""
        return str(path.relative_to(self._home))

    def paths(self, code: str | None = None, source: str | None = None) -> list[Path]:
        """List the files of an activity, a source, or all."""
        return [self._home / path for path in self._files.activity_paths(code, source)]

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

    def records(self, source: str) -> str:
        """Give a FROM item with the record ids kept of a source."""
        paths = self.paths(source=source)
        if not paths:
            return "(SELECT CAST(NULL AS VARCHAR) AS record WHERE false)"
        return f"(SELECT record FROM read_parquet([{literals(paths)}]))"

    def define_views(self, engine: Engine) -> dict[str, str]:
        """Define one view for each registered activity; give their names by code."""
        names = {code: "activity_" + code.replace(".", "_") for code in self.registry}
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
