"""How far each epoch's release has come, as stored."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from enterprise_node.store.database import Database, Schema

SCHEMA = Schema(
    "releases",
    (
        """CREATE TABLE release (
            epoch INTEGER PRIMARY KEY,
            state TEXT NOT NULL,
            policy_hash BLOB NOT NULL,
            nonce BLOB NOT NULL,
            reservation_sequence INTEGER NOT NULL,
            release_sequence INTEGER,
            rows INTEGER NOT NULL DEFAULT 0
        ) STRICT""",
    ),
)


class ReleaseState(StrEnum):
    """The states an epoch passes through, in order; nothing goes back."""

    OPEN = "open"
    RESERVED = "reserved"
    DRAWN = "drawn"
    SUBMITTED = "submitted"
    COMMITTED = "committed"


class StoredRelease(NamedTuple):
    """One epoch's release: its state, and which messages of the chain reserve and carry it."""

    epoch: int
    state: ReleaseState
    policy_hash: bytes
    nonce: bytes
    reservation_sequence: int
    release_sequence: int | None
    # Statement rows of all measures together.
    rows: int


class ReleaseTable:
    """Reads and writes the epochs' states."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, epoch: int) -> StoredRelease | None:
        """Give an epoch's release; None while nothing has been reserved."""
        found = self._database.row("SELECT * FROM release WHERE epoch = ?", (epoch,))
        return None if found is None else _from_row(found)

    def all(self) -> list[StoredRelease]:
        """Give all releases by epoch."""
        return [_from_row(row) for row in self._database.rows("SELECT * FROM release ORDER BY epoch")]

    def add(self, release: StoredRelease) -> None:
        """Store an epoch's first state."""
        self._database.execute("INSERT INTO release VALUES (?, ?, ?, ?, ?, ?, ?)", release)

    def drop(self, epoch: int) -> None:
        """Forget an epoch's state: another state of this node moved it."""
        self._database.execute("DELETE FROM release WHERE epoch = ?", (epoch,))

    def drawn(self, epoch: int, release_sequence: int, rows: int) -> None:
        """Note which message carries the draw."""
        self._database.execute(
            "UPDATE release SET state = ?, release_sequence = ?, rows = ? WHERE epoch = ?",
            (ReleaseState.DRAWN, release_sequence, rows, epoch),
        )

    def advance(self, epoch: int, state: ReleaseState) -> None:
        """Move on to a later state."""
        self._database.execute("UPDATE release SET state = ? WHERE epoch = ?", (state, epoch))


def _from_row(row: tuple[int, str, bytes, bytes, int, int | None, int]) -> StoredRelease:
    return StoredRelease(row[0], ReleaseState(row[1]), *row[2:])
