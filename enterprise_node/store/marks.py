"""How far each database source has been read."""

from __future__ import annotations

from typing import NamedTuple

from enterprise_node.store.database import Database, Schema

SCHEMA = Schema(
    "marks",
    (
        """CREATE TABLE source_mark (
            source TEXT PRIMARY KEY,
            value TEXT NOT NULL,
            mapping TEXT NOT NULL
        ) STRICT""",
    ),
)


class Mark(NamedTuple):
    """The last watermark whose rows are all recorded, and the mapping they were read with."""

    value: str
    mapping: str


class MarkTable:
    """Reads and writes marks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, source: str) -> Mark | None:
        """Give a source's mark, None before its first reading."""
        row = self._database.row("SELECT value, mapping FROM source_mark WHERE source = ?", (source,))
        return None if row is None else Mark(*row)

    def put(self, source: str, mark: Mark) -> None:
        """Move a source's mark; joins the caller's transaction."""
        self._database.execute("INSERT OR REPLACE INTO source_mark VALUES (?, ?, ?)", (source, *mark))

    def drop(self, source: str) -> None:
        """Forget a source's mark, so that it is read from its beginning."""
        self._database.execute("DELETE FROM source_mark WHERE source = ?", (source,))
