"""Pseudonyms, slots and unanswered blinded batches as stored; what pairs a person with a name is sealed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from enterprise_node.store.database import Database, Schema

SCHEMA = Schema(
    "enrolment",
    (
        """CREATE TABLE pseudonym (
            person INTEGER NOT NULL,
            key_id BLOB NOT NULL,
            sealed BLOB NOT NULL,
            PRIMARY KEY (person, key_id)
        ) STRICT""",
        """CREATE TABLE blinded_batch (
            batch_hash BLOB PRIMARY KEY,
            key_id BLOB NOT NULL,
            sealed BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE slot (
            slot INTEGER PRIMARY KEY,
            person INTEGER NOT NULL,
            name BLOB NOT NULL,
            sealed BLOB NOT NULL,
            effective_epoch INTEGER NOT NULL,
            withdrawn_epoch INTEGER
        ) STRICT""",
        "CREATE INDEX slot_by_person ON slot (person)",
        "CREATE TABLE custodian_use (custodian_id TEXT PRIMARY KEY, elements INTEGER NOT NULL) STRICT",
    ),
)


class StoredSlot(NamedTuple):
    """One slot: its public name, and sealed salt, pseudonym and consent receipt."""

    slot: int
    person: int
    name: bytes
    sealed: bytes
    effective_epoch: int
    # First epoch without the slot; None while it is enrolled.
    withdrawn_epoch: int | None


class EnrolmentTable:
    """Reads and writes pseudonyms, batches and slots."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_batch(self, batch_hash: bytes, key_id: bytes, sealed: bytes) -> None:
        """Keep a blinded batch until it is answered."""
        self._database.execute("INSERT INTO blinded_batch VALUES (?, ?, ?)", (batch_hash, key_id, sealed))

    def batches(self, key_id: bytes) -> list[tuple[bytes, bytes]]:
        """Give hash and sealed content of the unanswered batches."""
        found = self._database.rows(
            "SELECT batch_hash, sealed FROM blinded_batch WHERE key_id = ? ORDER BY rowid", (key_id,)
        )
        return [(row[0], row[1]) for row in found]

    def drop_batch(self, batch_hash: bytes) -> None:
        """Forget an answered batch and its blinding secrets."""
        self._database.execute("DELETE FROM blinded_batch WHERE batch_hash = ?", (batch_hash,))

    def used(self) -> dict[str, int]:
        """Count the elements each custodian has evaluated for this node's answered batches."""
        found = self._database.rows("SELECT custodian_id, elements FROM custodian_use")
        return {row[0]: row[1] for row in found}

    def use(self, custodian_ids: Iterable[str], elements: int) -> None:
        """Count an answered batch at the custodians of its quorum."""
        self._database.execute_many(
            "INSERT INTO custodian_use VALUES (?, ?)"
            " ON CONFLICT (custodian_id) DO UPDATE SET elements = elements + excluded.elements",
            ((custodian_id, elements) for custodian_id in custodian_ids),
        )

    def add_pseudonyms(self, key_id: bytes, rows: Iterable[tuple[int, bytes]]) -> None:
        """Keep sealed pseudonyms by person; one that is there stays."""
        self._database.execute_many(
            "INSERT INTO pseudonym VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            ((person, key_id, sealed) for person, sealed in rows),
        )

    def pseudonyms(self, key_id: bytes) -> dict[int, bytes]:
        """Give the sealed pseudonyms under a key by person."""
        found = self._database.rows("SELECT person, sealed FROM pseudonym WHERE key_id = ?", (key_id,))
        return {row[0]: row[1] for row in found}

    def add_slots(self, slots: Iterable[StoredSlot]) -> None:
        """Store new slots."""
        self._database.execute_many("INSERT INTO slot VALUES (?, ?, ?, ?, ?, ?)", slots)

    def names(self) -> list[bytes]:
        """Give all slots' public names in slot order."""
        return [row[0] for row in self._database.rows("SELECT name FROM slot ORDER BY slot")]

    def names_before(self, epoch: int) -> list[bytes]:
        """Give the public names of the slots that exist at the epoch's start, in slot order."""
        found = self._database.rows(
            "SELECT name FROM slot WHERE effective_epoch <= ? ORDER BY slot", (epoch,)
        )
        return [row[0] for row in found]

    def active(self, epoch: int) -> list[tuple[int, int]]:
        """Give slot and person of every slot active in the epoch, in slot order."""
        found = self._database.rows(
            "SELECT slot, person FROM slot WHERE effective_epoch <= ?"
            " AND (withdrawn_epoch IS NULL OR withdrawn_epoch > ?) ORDER BY slot",
            (epoch, epoch),
        )
        return [(row[0], row[1]) for row in found]

    def holders(self, epoch: int) -> list[tuple[int, int]]:
        """Give who has a slot active in the epoch, and the epoch it acts from; persons ascending."""
        found = self._database.rows(
            "SELECT person, max(effective_epoch) FROM slot WHERE effective_epoch <= ?"
            " AND (withdrawn_epoch IS NULL OR withdrawn_epoch > ?) GROUP BY person ORDER BY person",
            (epoch, epoch),
        )
        return [(row[0], row[1]) for row in found]

    def enrolled_slots(self, persons: Sequence[int]) -> list[int]:
        """Give the slots these persons hold and have not given up, ascending."""
        wanted = set(persons)
        found = self._database.rows(
            "SELECT slot, person FROM slot WHERE withdrawn_epoch IS NULL ORDER BY slot"
        )
        return [row[0] for row in found if row[1] in wanted]

    def enrolled(self) -> list[StoredSlot]:
        """Give the slots nobody has given up, in order."""
        found = self._database.rows("SELECT * FROM slot WHERE withdrawn_epoch IS NULL ORDER BY slot")
        return [StoredSlot(*row) for row in found]

    def withdraw(self, slots: Iterable[int], epoch: int) -> None:
        """Note the first epoch without these slots."""
        self._database.execute_many(
            "UPDATE slot SET withdrawn_epoch = ? WHERE slot = ?", ((epoch, slot) for slot in slots)
        )

    def erasable(self) -> list[int]:
        """Give the withdrawn slots of erased persons whose salt and pseudonym are still here, ascending."""
        found = self._database.rows(
            "SELECT slot FROM slot JOIN person ON person.number = slot.person WHERE person.erased = 1"
            " AND withdrawn_epoch IS NOT NULL AND slot.sealed <> x'' ORDER BY slot"
        )
        return [row[0] for row in found]

    def forget(self, slots: Iterable[int]) -> None:
        """Forget salt, pseudonym and consent receipt of slots; their public names stay."""
        self._database.execute_many(
            "UPDATE slot SET sealed = x'' WHERE slot = ?", ((slot,) for slot in slots)
        )

    def drop_from(self, first_slot: int) -> list[int]:
        """Forget the slots from one on; gives whose they were."""
        found = self._database.rows("SELECT person FROM slot WHERE slot >= ?", (first_slot,))
        self._database.execute("DELETE FROM slot WHERE slot >= ?", (first_slot,))
        return [row[0] for row in found]

    def reinstate(self, slots: Iterable[int]) -> None:
        """Take back a withdrawal."""
        self._database.execute_many(
            "UPDATE slot SET withdrawn_epoch = NULL WHERE slot = ?", ((slot,) for slot in slots)
        )

    def last_effective(self) -> int | None:
        """Give the latest epoch any batch acts from."""
        found = self._database.value(
            "SELECT max(max(effective_epoch, coalesce(withdrawn_epoch, 0))) FROM slot"
        )
        return None if found is None else int(found)

    def of_person(self, person: int) -> list[StoredSlot]:
        """Give a person's slots in order."""
        found = self._database.rows("SELECT * FROM slot WHERE person = ? ORDER BY slot", (person,))
        return [StoredSlot(*row) for row in found]

    def enrolled_count(self) -> int:
        """Count the slots nobody has given up."""
        return int(self._database.value("SELECT count(*) FROM slot WHERE withdrawn_epoch IS NULL"))

    def count(self) -> int:
        """Count all slots ever given."""
        return int(self._database.value("SELECT count(*) FROM slot"))
