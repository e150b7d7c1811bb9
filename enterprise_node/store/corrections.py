"""Why records were corrected on a person's request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from enterprise_node.store.database import Database, Schema

SCHEMA = Schema(
    "corrections",
    (
        """CREATE TABLE correction (
            id INTEGER PRIMARY KEY,
            person INTEGER NOT NULL,
            record TEXT NOT NULL,
            activity TEXT NOT NULL,
            inputs TEXT NOT NULL,
            reason TEXT NOT NULL,
            corrected_at INTEGER NOT NULL
        ) STRICT""",
    ),
)


class Correction(NamedTuple):
    """One correction: the record, its new inputs as JSON, why, and when."""

    record: str
    activity: str
    inputs: str
    reason: str
    corrected_at: int


class CorrectionTable:
    """Reads and writes corrections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, person: int, correction: Correction) -> None:
        """Store a correction; joins the caller's transaction."""
        self._database.execute(
            "INSERT INTO correction (person, record, activity, inputs, reason, corrected_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (person, *correction),
        )

    def hand_over(self, former: int, number: int, records: Iterable[str]) -> None:
        """Give the corrections of records to the person the records are now; joins the transaction."""
        self._database.execute_many(
            "UPDATE correction SET person = ? WHERE person = ? AND record = ?",
            ((number, former, record) for record in records),
        )

    def of_person(self, person: int) -> list[Correction]:
        """Give a person's corrections, oldest first."""
        columns = "record, activity, inputs, reason, corrected_at"
        sql = f"SELECT {columns} FROM correction WHERE person = ? ORDER BY id"  # noqa: S608 (columns named above)
        return [Correction(*row) for row in self._database.rows(sql, (person,))]
