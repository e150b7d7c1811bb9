"""Records pushed to the node as stored: keys already taken, and batches, sealed, until they are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from enterprise_node.store.database import Database, Schema

SCHEMA = Schema(
    "push",
    (
        """CREATE TABLE push_key (
            source TEXT NOT NULL,
            key BLOB NOT NULL,
            content BLOB NOT NULL,
            PRIMARY KEY (source, key)
        ) STRICT, WITHOUT ROWID""",
        # A batch without a piece waits to be read; one with a piece has rows in quarantine.
        """CREATE TABLE push_batch (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            source TEXT NOT NULL,
            rows INTEGER NOT NULL,
            sealed BLOB NOT NULL,
            piece TEXT
        ) STRICT""",
        "CREATE INDEX push_batch_by_piece ON push_batch (source, piece)",
    ),
)

_VARIABLES_MAX = 500


class StoredBatch(NamedTuple):
    """A batch's number, the size of its sealed rows, and the piece it was read in, if it was."""

    id: int
    sealed_bytes: int
    piece: str | None


class PushTable:
    """Reads and writes what was pushed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[None]:
        """Make everything inside one durable step."""
        return self._database.transaction()

    def contents(self, source: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Give the content taken under each of these keys, for those that were."""
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), _VARIABLES_MAX):
            part = keys[start : start + _VARIABLES_MAX]
            marks = ", ".join("?" * len(part))
            sql = f"SELECT key, content FROM push_key WHERE source = ? AND key IN ({marks})"  # noqa: S608 (marks only)
            found.update((row[0], row[1]) for row in self._database.rows(sql, (source, *part)))
        return found

    def add(self, source: str, keys: Iterable[tuple[bytes, bytes]], rows: int, sealed: bytes) -> None:
        """Keep a batch and the keys in it; joins the caller's transaction."""
        self._database.execute_many(
            "INSERT INTO push_key VALUES (?, ?, ?)", ((source, key, content) for key, content in keys)
        )
        self._database.execute(
            "INSERT INTO push_batch (source, rows, sealed) VALUES (?, ?, ?)", (source, rows, sealed)
        )

    def batches(self, source: str) -> list[StoredBatch]:
        """List a source's batches in the order they came."""
        found = self._database.rows(
            "SELECT id, length(sealed), piece FROM push_batch WHERE source = ? ORDER BY id", (source,)
        )
        return [StoredBatch(*row) for row in found]

    def sealed(self, batch: int) -> bytes:
        """Give a batch's sealed rows."""
        found: bytes = self._database.value("SELECT sealed FROM push_batch WHERE id = ?", (batch,))
        return found

    def reseal(self, batch: int, rows: int, sealed: bytes) -> None:
        """Put other rows in the place of a batch's."""
        self._database.execute(
            "UPDATE push_batch SET rows = ?, sealed = ? WHERE id = ?", (rows, sealed, batch)
        )

    def keep(self, batches: Sequence[int], piece: str) -> None:
        """Keep batches that were read, because rows of them are in quarantine."""
        self._database.execute_many(
            "UPDATE push_batch SET piece = ? WHERE id = ?", ((piece, batch) for batch in batches)
        )

    def drop(self, batches: Sequence[int]) -> None:
        """Forget batches whose rows are all kept as activities."""
        self._database.execute_many("DELETE FROM push_batch WHERE id = ?", ((batch,) for batch in batches))

    def waiting_bytes(self) -> int:
        """Give the size of what waits to be read."""
        sql = "SELECT coalesce(sum(length(sealed)), 0) FROM push_batch WHERE piece IS NULL"
        return int(self._database.value(sql))
