"""The enterprise's own chain of messages as stored: exact envelopes, sealed bodies, receipts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from enterprise_node.store.database import Database, Schema

SCHEMA = Schema(
    "outbox",
    (
        """CREATE TABLE outbox_message (
            sequence INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            epoch INTEGER NOT NULL,
            envelope BLOB NOT NULL,
            envelope_hash BLOB NOT NULL UNIQUE,
            receipt BLOB,
            log_index INTEGER,
            seen INTEGER NOT NULL DEFAULT 0
        ) STRICT""",
        """CREATE TABLE outbox_body (
            sequence INTEGER NOT NULL REFERENCES outbox_message (sequence),
            position INTEGER NOT NULL,
            sealed BLOB NOT NULL,
            PRIMARY KEY (sequence, position)
        ) STRICT""",
    ),
)

# The order of StoredMessage's fields.
_COLUMNS = "sequence, kind, epoch, envelope, envelope_hash, receipt, log_index, seen"


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of the chain; without receipt it still has to be sent, seen once the log shows it."""

    sequence: int
    kind: str
    epoch: int
    envelope: bytes
    envelope_hash: bytes
    receipt: bytes | None
    log_index: int | None
    seen: int


class OutboxTable:
    """Reads and writes the chain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, sequence: int, kind: str, epoch: int, envelope: bytes, envelope_hash: bytes) -> None:
        """Store a new message; its bytes change no more, unless the log goes on under another origin."""
        self._database.execute(
            "INSERT INTO outbox_message (sequence, kind, epoch, envelope, envelope_hash)"
            " VALUES (?, ?, ?, ?, ?)",
            (sequence, kind, epoch, envelope, envelope_hash),
        )

    def add_body(self, sequence: int, position: int, sealed: bytes) -> None:
        """Store one sealed body of a message."""
        self._database.execute("INSERT INTO outbox_body VALUES (?, ?, ?)", (sequence, position, sealed))

    def bodies(self, sequence: int) -> list[bytes]:
        """Give a message's sealed bodies in order."""
        found = self._database.rows(
            "SELECT sealed FROM outbox_body WHERE sequence = ? ORDER BY position", (sequence,)
        )
        return [row[0] for row in found]

    def last(self) -> StoredMessage | None:
        """Give the end of the chain."""
        return self._one("ORDER BY sequence DESC LIMIT 1", ())

    def get(self, sequence: int) -> StoredMessage | None:
        """Give one message by its place in the chain."""
        return self._one("WHERE sequence = ?", (sequence,))

    def by_hash(self, envelope_hash: bytes) -> StoredMessage | None:
        """Find a message by its envelope's hash."""
        return self._one("WHERE envelope_hash = ?", (envelope_hash,))

    def find(self, kind: str, epoch: int) -> list[StoredMessage]:
        """Give the messages of a kind about an epoch, oldest first."""
        return self._many("WHERE kind = ? AND epoch = ? ORDER BY sequence", (kind, epoch))

    def of_kind(self, kind: str) -> list[StoredMessage]:
        """Give all messages of a kind, oldest first."""
        return self._many("WHERE kind = ? ORDER BY sequence", (kind,))

    def replace(self, sequence: int, envelope: bytes, envelope_hash: bytes) -> None:
        """Put a message signed anew in the place of one the hub has not taken."""
        self._database.execute(
            "UPDATE outbox_message SET envelope = ?, envelope_hash = ?"
            " WHERE sequence = ? AND receipt IS NULL",
            (envelope, envelope_hash, sequence),
        )

    def replace_body(self, sequence: int, position: int, sealed: bytes) -> None:
        """Put a body without its erased rows in the other's place."""
        self._database.execute(
            "UPDATE outbox_body SET sealed = ? WHERE sequence = ? AND position = ?",
            (sealed, sequence, position),
        )

    def unsent(self) -> list[StoredMessage]:
        """Give the messages without a receipt, in order."""
        return self._many("WHERE receipt IS NULL ORDER BY sequence", ())

    def unseen(self) -> list[StoredMessage]:
        """Give the messages with a receipt that the log has not shown yet, in order."""
        return self._many("WHERE receipt IS NOT NULL AND seen = 0 ORDER BY sequence", ())

    def received(self) -> list[StoredMessage]:
        """Give the messages with a receipt, in order."""
        return self._many("WHERE receipt IS NOT NULL ORDER BY sequence", ())

    def receive(self, sequence: int, receipt: bytes, log_index: int) -> None:
        """Keep the hub's receipt."""
        self._database.execute(
            "UPDATE outbox_message SET receipt = ?, log_index = ? WHERE sequence = ?",
            (receipt, log_index, sequence),
        )

    def mark_seen(self, sequence: int, log_index: int) -> None:
        """Note that a checkpoint covers the message."""
        self._database.execute(
            "UPDATE outbox_message SET seen = 1, log_index = ? WHERE sequence = ?", (log_index, sequence)
        )

    def since(self, sequence: int) -> list[StoredMessage]:
        """Give the messages from a place in the chain on."""
        return self._many("WHERE sequence >= ? ORDER BY sequence", (sequence,))

    def drop_since(self, sequence: int) -> None:
        """Forget the messages from a place in the chain on: the log holds others there."""
        self._database.execute("DELETE FROM outbox_body WHERE sequence >= ?", (sequence,))
        self._database.execute("DELETE FROM outbox_message WHERE sequence >= ?", (sequence,))

    def count(self) -> int:
        """Count the chain's messages."""
        return int(self._database.value("SELECT count(*) FROM outbox_message"))

    def _one(self, clause: str, values: tuple[Any, ...]) -> StoredMessage | None:
        found = self._many(clause, values)
        return found[0] if found else None

    def _many(self, clause: str, values: tuple[Any, ...]) -> list[StoredMessage]:
        sql = f"SELECT {_COLUMNS} FROM outbox_message {clause}"  # noqa: S608 - clauses are constants of this file
        return [StoredMessage(*row) for row in self._database.rows(sql, values)]
