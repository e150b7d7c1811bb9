"""The rows of the egress journal: only ever appended."""

from __future__ import annotations

from enterprise_node.store.database import Database, Schema
from privacy.egress import EgressEntry

SCHEMA = Schema(
    "egress",
    (
        """CREATE TABLE egress_entry (
            number INTEGER PRIMARY KEY,
            time INTEGER NOT NULL,
            destination TEXT NOT NULL,
            kind TEXT NOT NULL,
            size INTEGER NOT NULL,
            sha256 BLOB NOT NULL,
            envelope_hash BLOB NOT NULL,
            chain BLOB NOT NULL
        ) STRICT""",
    ),
)


class EgressTable:
    """Appends and reads entries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, entry: EgressEntry) -> None:
        """Add the next entry."""
        self._database.execute("INSERT INTO egress_entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", entry)

    def last(self) -> EgressEntry | None:
        """Give the newest entry."""
        found = self._database.row("SELECT * FROM egress_entry ORDER BY number DESC LIMIT 1")
        return EgressEntry(*found) if found else None

    def bytes_total(self) -> int:
        """Add up the bytes of all entries."""
        return int(self._database.value("SELECT coalesce(sum(size), 0) FROM egress_entry"))

    def all(self) -> list[EgressEntry]:
        """Give all entries, oldest first."""
        return [
            EgressEntry(*row) for row in self._database.rows("SELECT * FROM egress_entry ORDER BY number")
        ]
