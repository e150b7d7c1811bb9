"""Privacy charges as stored: exact fractions as text, reserved before a draw and committed after it left."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from enterprise_node.store.database import Database, Schema

SCHEMA = Schema(
    "charges",
    (
        """CREATE TABLE charge (
            epoch INTEGER NOT NULL,
            unit INTEGER NOT NULL,
            series TEXT NOT NULL,
            nonce BLOB NOT NULL,
            epsilon TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('reserved', 'committed')),
            PRIMARY KEY (epoch, series, nonce)
        ) STRICT""",
    ),
)


class StoredCharge(NamedTuple):
    """What one series of one reservation costs a unit of an epoch."""

    epoch: int
    unit: int
    series: str
    nonce: bytes
    epsilon: Fraction
    state: str


class ChargeTable:
    """Reads and writes charges."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, charges: Iterable[StoredCharge]) -> None:
        """Store new charges."""
        self._database.execute_many(
            "INSERT INTO charge VALUES (?, ?, ?, ?, ?, ?)",
            ((*charge[:4], str(charge.epsilon), charge.state) for charge in charges),
        )

    def has(self, nonce: bytes) -> bool:
        """Say whether a reservation is charged already."""
        return self._database.value("SELECT 1 FROM charge WHERE nonce = ? LIMIT 1", (nonce,)) is not None

    def commit(self, nonce: bytes) -> None:
        """Turn a reservation's charges into committed ones."""
        self._database.execute("UPDATE charge SET state = 'committed' WHERE nonce = ?", (nonce,))

    def of_epoch(self, epoch: int) -> list[StoredCharge]:
        """Give all charges against an epoch's persons."""
        found = self._database.rows("SELECT * FROM charge WHERE epoch = ? ORDER BY unit, series", (epoch,))
        return [StoredCharge(*row)._replace(epsilon=Fraction(row[4])) for row in found]
