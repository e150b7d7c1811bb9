"""Which message of the chain commits to each epoch, as stored."""

from __future__ import annotations

from typing import NamedTuple

from enterprise_node.store.database import Database, Schema

SCHEMA = Schema(
    "commitments",
    (
        """CREATE TABLE commitment (
            epoch INTEGER PRIMARY KEY,
            policy_hash BLOB NOT NULL,
            sequence INTEGER NOT NULL
        ) STRICT""",
    ),
)


class StoredCommitment(NamedTuple):
    """One epoch's commitment: the policy it is under, and its message."""

    epoch: int
    policy_hash: bytes
    sequence: int


class CommitmentTable:
    """Reads and writes commitments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, epoch: int) -> StoredCommitment | None:
        """Give an epoch's newest commitment."""
        found = self._database.row("SELECT * FROM commitment WHERE epoch = ?", (epoch,))
        return None if found is None else StoredCommitment(*found)

    def put(self, stored: StoredCommitment) -> None:
        """Store an epoch's commitment, in place of one under another policy."""
        self._database.execute("INSERT OR REPLACE INTO commitment VALUES (?, ?, ?)", stored)

    def drop_since(self, sequence: int) -> None:
        """Forget commitments in messages from that place on: the log holds others there."""
        self._database.execute("DELETE FROM commitment WHERE sequence >= ?", (sequence,))
