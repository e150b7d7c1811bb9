"""Persons are numbers; identifiers are sealed, found by keyed hash, and open only with the node's key."""

from __future__ import annotations

from pathlib import Path

import pytest

from enterprise_node.local_keys import KEY_FILE, derive_keys, open_keys
from enterprise_node.persons import Persons, RegisterEntry
from enterprise_node.store.database import Database
from enterprise_node.store.persons import SCHEMA, PersonTable
from protos.problems import InvariantBroken, Malformed, Unverified
from tests.unit.enterprise_node.homes import ANNA, BERT, CARL


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "state.sqlite", [SCHEMA])


def persons_in(database: Database, secret: bytes = b"k" * 32, *, register: bool = False) -> Persons:
    return Persons(PersonTable(database), derive_keys(secret), "cn_mobile", consent_by_register=register)


def test_numbers_are_given_in_order_and_kept(database: Database) -> None:
    persons = persons_in(database)
    assert persons.number_all([BERT, ANNA, BERT]) == {BERT: 1, ANNA: 2}
    assert persons.number_all([CARL, ANNA]) == {CARL: 3, ANNA: 2}
    assert persons.identifiers([2, 1]) == [b"cn_mobile\x1f" + ANNA.encode(), b"cn_mobile\x1f" + BERT.encode()]


def test_spellings_of_one_identifier_are_one_person(database: Database) -> None:
    numbers = persons_in(database).number_all([ANNA, "+86 138-0000-0001"])
    assert set(numbers.values()) == {1}


def test_invalid_identifier_has_no_number(database: Database) -> None:
    persons = persons_in(database)
    assert persons.number_all(["12345", ANNA]) == {"12345": None, ANNA: 1}
    with pytest.raises(Malformed):
        persons.find("12345")


def test_rehearsal_keeps_nobody(database: Database) -> None:
    persons = persons_in(database)
    persons.number_all([ANNA])
    assert persons.number_all([ANNA, BERT], store=False) == {ANNA: 1, BERT: 2}
    assert persons.counts().known == 1
    assert persons.find(BERT) is None


def test_many_persons_at_once(database: Database) -> None:
    values = [f"138{number:08d}" for number in range(1500)]
    persons = persons_in(database)
    assert list(persons.number_all(values).values()) == list(range(1, 1501))
    assert len(persons.identifiers(range(1, 1501))) == 1500


def test_another_key_opens_nothing(database: Database) -> None:
    persons_in(database).number_all([ANNA])
    stranger = persons_in(database, b"x" * 32)
    assert stranger.find(ANNA) is None
    with pytest.raises(Unverified):
        stranger.identifiers([1])


def test_sealed_identifier_is_bound_to_its_number(database: Database) -> None:
    persons = persons_in(database)
    persons.number_all([ANNA, BERT])
    [(first,)] = database.rows("SELECT sealed FROM person WHERE number = 1")
    database.execute("UPDATE person SET sealed = ? WHERE number = 2", (first,))
    with pytest.raises(Unverified):
        persons.identifiers([2])


def test_unknown_number_is_a_broken_promise(database: Database) -> None:
    with pytest.raises(InvariantBroken):
        persons_in(database).identifiers([7])


def test_enrolment_takes_the_consenting_once(database: Database) -> None:
    persons = persons_in(database)
    persons.number_all([ANNA, BERT, CARL])
    persons.mark_enrolled([2])
    assert persons.new_for_enrolment() == [1, 3]
    persons.withdraw([2])
    assert persons.new_for_enrolment() == [1, 3]
    assert (persons.counts().consented, persons.counts().enrolled) == (2, 0)


def test_marking_joins_the_callers_transaction(database: Database) -> None:
    persons = persons_in(database)
    persons.number_all([ANNA])
    with pytest.raises(RuntimeError), database.transaction():
        persons.mark_enrolled([1])
        raise RuntimeError
    assert persons.new_for_enrolment() == [1]


def test_with_a_register_only_its_consents_count(database: Database) -> None:
    persons = persons_in(database, register=True)
    persons.number_all([ANNA, BERT])
    assert persons.new_for_enrolment() == []
    entries = [
        RegisterEntry(ANNA, 10, None, consented=True),
        RegisterEntry("nonsense", 0, None, consented=True),
        RegisterEntry(BERT, 10, 20, consented=False),
    ]
    assert persons.register(entries) == [1]
    assert persons.new_for_enrolment() == [1]
    assert persons.contracts() == [(1, 10, None), (2, 10, 20)]


def test_two_contracts_of_one_person_are_joined(database: Database) -> None:
    persons = persons_in(database, register=True)
    persons.register(
        [
            RegisterEntry(ANNA, 10, 20, consented=False),
            RegisterEntry(ANNA, 5, 15, consented=True),
            RegisterEntry(BERT, None, 20, consented=True),
            RegisterEntry(BERT, 5, None, consented=True),
        ]
    )
    assert persons.contracts() == [(1, 5, 20), (2, None, None)]
    assert persons.new_for_enrolment() == [1, 2]


def test_local_key_is_private_and_made_once(tmp_path: Path) -> None:
    keys = open_keys(tmp_path)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o077 == 0
    assert open_keys(tmp_path) == keys
    assert len({keys.lookup, keys.sealing, keys.token}) == 3
    assert keys.lookup.hex() not in repr(keys)


def test_cut_key_is_refused(tmp_path: Path) -> None:
    open_keys(tmp_path)
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(Malformed, match="holds 5 bytes"):
        open_keys(tmp_path)
