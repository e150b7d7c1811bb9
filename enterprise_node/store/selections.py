"""What is selected for each epoch, by person, as it is read from the log."""

from __future__ import annotations

from collections.abc import Iterable

from enterprise_node.store.database import Database, Schema

SCHEMA = Schema(
    "selections",
    (
        "CREATE TABLE selection (epoch INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT",
        """CREATE TABLE exclusion (
            epoch INTEGER NOT NULL,
            person INTEGER NOT NULL,
            overlap_class TEXT NOT NULL,
            PRIMARY KEY (epoch, person, overlap_class)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE pooled (
            epoch INTEGER NOT NULL,
            person INTEGER NOT NULL,
            PRIMARY KEY (epoch, person)
        ) STRICT, WITHOUT ROWID""",
    ),
)


class SelectionTable:
    """Reads and writes selections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hash(self, epoch: int) -> bytes | None:
        """Give the hash of the selection stored for an epoch; None without one."""
        found: bytes | None = self._database.value("SELECT hash FROM selection WHERE epoch = ?", (epoch,))
        return found

    def hashes(self) -> list[tuple[int, bytes]]:
        """Give the stored selections by epoch."""
        return [(row[0], row[1]) for row in self._database.rows("SELECT * FROM selection ORDER BY epoch")]

    def put(
        self, epoch: int, name: bytes, exclusions: Iterable[tuple[int, str]], pooled: Iterable[int]
    ) -> None:
        """Store an epoch's selection, in one step; another one before it is gone."""
        with self._database.transaction():
            for table in ("selection", "exclusion", "pooled"):
                self._database.execute(f"DELETE FROM {table} WHERE epoch = ?", (epoch,))  # noqa: S608 (tables named above)
            self._database.execute("INSERT INTO selection VALUES (?, ?)", (epoch, name))
            for person, overlap_class in exclusions:
                values = (epoch, person, overlap_class)
                self._database.execute("INSERT OR IGNORE INTO exclusion VALUES (?, ?, ?)", values)
            for person in pooled:
                self._database.execute("INSERT OR IGNORE INTO pooled VALUES (?, ?)", (epoch, person))

    def exclusions(self) -> list[tuple[int, int, str]]:
        """Give (epoch, person, overlap class) of all that others record."""
        query = "SELECT epoch, person, overlap_class FROM exclusion ORDER BY epoch, person, overlap_class"
        return [(row[0], row[1], row[2]) for row in self._database.rows(query)]

    def of_person(self, person: int) -> dict[int, list[str]]:
        """Give the overlap classes that others record of a person, by epoch."""
        found: dict[int, list[str]] = {}
        query = "SELECT epoch, overlap_class FROM exclusion WHERE person = ? ORDER BY epoch, overlap_class"
        for row in self._database.rows(query, (person,)):
            found.setdefault(row[0], []).append(row[1])
        return found

    def pooled(self) -> list[tuple[int, int]]:
        """Give (epoch, person) of all who let their grams be pooled."""
        query = "SELECT epoch, person FROM pooled ORDER BY epoch, person"
        return [(row[0], row[1]) for row in self._database.rows(query)]
