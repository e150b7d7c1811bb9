"""The egress journal names what left, and no row of it can be changed, dropped or moved unseen."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from enterprise_node.egress import EgressJournal, check_chain
from enterprise_node.store.database import Database
from enterprise_node.store.egress import SCHEMA, EgressTable
from privacy.egress import EgressKind
from protos.problems import InvariantBroken


def open_journal(folder: Path) -> tuple[Database, EgressJournal]:
    database = Database(folder / "state.db", (SCHEMA,))
    return database, EgressJournal(database, EgressTable(database), lambda: 1_700_000_000.9)


def fill(journal: EgressJournal) -> None:
    journal.record(EgressKind.ROSTER_BATCH, "hub:1", [b"ab", b"c"], envelope_hash=b"e" * 32)
    journal.record(EgressKind.BLINDED_BATCH, "custodian:2", [b"blinded"], envelope_hash=b"o" * 32)
    journal.record(EgressKind.READ, "hub:1", [b"/checkpoint"])


def test_a_row_holds_size_hash_destination_and_time(tmp_path: Path) -> None:
    database, journal = open_journal(tmp_path)
    entry = journal.record(EgressKind.RELEASE, "hub:1", [b"ab", b"c"], envelope_hash=b"e" * 32)
    assert (entry.number, entry.time, entry.destination, entry.kind) == (1, 1_700_000_000, "hub:1", "release")
    assert (entry.size, entry.sha256) == (3, hashlib.sha256(b"abc").digest())
    assert journal.entries() == [entry]
    database.close()


def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    for _ in range(3):
        database, journal = open_journal(tmp_path)
        fill(journal)
        database.close()
    database, journal = open_journal(tmp_path)
    assert [entry.number for entry in journal.entries()] == list(range(1, 10))
    assert journal.bytes_total() == 3 * (3 + 7 + 11)
    database.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("time", 1),
        ("destination", "elsewhere"),
        ("kind", "release"),
        ("size", 99),
        ("sha256", b"x" * 32),
        ("envelope_hash", b"x" * 32),
        ("chain", b"x" * 32),
    ],
)
def test_a_changed_field_is_noticed_at_its_row(tmp_path: Path, column: str, value: Any) -> None:
    database, journal = open_journal(tmp_path)
    fill(journal)
    database.execute(f"UPDATE egress_entry SET {column} = ? WHERE number = 2", (value,))
    with pytest.raises(InvariantBroken, match="row 2"):
        journal.entries()
    database.close()


def test_a_dropped_row_is_noticed(tmp_path: Path) -> None:
    database, journal = open_journal(tmp_path)
    fill(journal)
    database.execute("DELETE FROM egress_entry WHERE number = 1")
    with pytest.raises(InvariantBroken, match="row 1"):
        journal.entries()
    database.close()


def test_rows_that_changed_places_are_noticed(tmp_path: Path) -> None:
    database, journal = open_journal(tmp_path)
    fill(journal)
    first, second, third = journal.entries()
    with pytest.raises(InvariantBroken):
        check_chain([second._replace(number=1), first._replace(number=2), third])
    database.close()
