"""Persons as stored: a number, a keyed hash to find it by, the sealed identifier, contract days, consent."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from enterprise_node.store.database import Database, Schema

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMA = Schema(
    "persons",
    (
        """CREATE TABLE person (
            number INTEGER PRIMARY KEY,
            lookup BLOB NOT NULL UNIQUE,
            sealed BLOB NOT NULL,
            since_day INTEGER,
            until_day INTEGER,
            registered INTEGER NOT NULL DEFAULT 0,
            consented INTEGER NOT NULL DEFAULT 0,
            enrolled INTEGER NOT NULL DEFAULT 0
        ) STRICT""",
        "CREATE INDEX person_to_enrol ON person (number) WHERE consented AND NOT enrolled",
        "ALTER TABLE person ADD COLUMN erased INTEGER NOT NULL DEFAULT 0",
        # Whose an identifier was before the present holder's: until a civil day, exclusive.
        """CREATE TABLE former_holder (
            person INTEGER PRIMARY KEY REFERENCES person,
            lookup BLOB NOT NULL,
            until_day INTEGER NOT NULL,
            UNIQUE (lookup, until_day)
        ) STRICT""",
    ),
)

_VARIABLES_MAX = 500
# Stands for the number of a person who asked to be erased.
ERASED = 0
# Stands for a contract's day that nobody gave.
LAST_DAY = 2**31 - 1

Value = TypeVar("Value")


class StoredContract(NamedTuple):
    """What the register says of one person."""

    since_day: int | None
    until_day: int | None
    consented: bool
    number: int


class FormerHolder(NamedTuple):
    """Whose an identifier was until a civil day, exclusive; ERASED for who asked for it."""

    until_day: int
    person: int


class PersonTable:
    """Reads and writes persons."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def numbers(self, lookups: Sequence[bytes]) -> dict[bytes, int]:
        """Give the numbers of those found, by keyed hash; ERASED for those who asked for it."""
        found: dict[bytes, int] = {}
        for part in _parts(lookups):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT lookup, iif(erased, {ERASED}, number) FROM person WHERE lookup IN ({marks})"  # noqa: S608 (marks only)
            found.update((row[0], row[1]) for row in self._database.rows(sql, part))
        return found

    def former_holders(self) -> dict[bytes, tuple[FormerHolder, ...]]:
        """Give whose identifiers were before, by keyed hash, the earliest holder first."""
        sql = (
            f"SELECT f.lookup, f.until_day, iif(p.erased, {ERASED}, p.number)"  # noqa: S608 (a constant)
            " FROM former_holder AS f JOIN person AS p ON p.number = f.person ORDER BY f.until_day"
        )
        found: dict[bytes, tuple[FormerHolder, ...]] = {}
        for lookup, until_day, person in self._database.rows(sql):
            found[lookup] = (*found.get(lookup, ()), FormerHolder(until_day, person))
        return found

    def number(self, lookup: bytes) -> int | None:
        """Give the number behind a keyed hash, whether erased or not."""
        found: int | None = self._database.value("SELECT number FROM person WHERE lookup = ?", (lookup,))
        return found

    def hand_over(self, lookup: bytes, number: int, sealed: bytes, day: int) -> None:
        """Make a new number, without consent, the holder of an identifier from a day on.

        The former keeps its sealed identifier, is found by it no longer, and consents no longer.
        """
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO former_holder SELECT number, lookup, ? FROM person WHERE lookup = ?",
                (day, lookup),
            )
            self._database.execute(
                "UPDATE person SET lookup = randomblob(32), consented = 0,"
                " until_day = min(ifnull(until_day, ?1), ?1) WHERE lookup = ?2",
                (day, lookup),
            )
            self.add([(number, lookup, sealed)], consented=False)

    def holders_on(self, day: int) -> dict[int, int]:
        """Give, for every number of an identifier that changed hands, who held that identifier on a day."""
        sql = (
            f"SELECT lookup, number, {LAST_DAY} AS until_day FROM person"  # noqa: S608 (a constant)
            " WHERE lookup IN (SELECT lookup FROM former_holder) UNION ALL"
            " SELECT lookup, person, until_day FROM former_holder ORDER BY lookup, until_day"
        )
        found: dict[int, int] = {}
        for _, rows in itertools.groupby(self._database.rows(sql), key=lambda row: row[0]):
            holders = [(int(person), int(until_day)) for _, person, until_day in rows]
            then = next(person for person, until_day in holders if day < until_day)
            found.update((person, then) for person, _ in holders)
        return found

    def set_consented(self, number: int) -> None:
        """Note that a person consents."""
        self._database.execute("UPDATE person SET consented = 1 WHERE number = ?", (number,))

    def is_known(self, number: int) -> bool:
        """Tell whether the number is a person's who has not been erased."""
        sql = "SELECT 1 FROM person WHERE number = ? AND NOT erased"
        return self._database.value(sql, (number,)) is not None

    def last_number(self) -> int:
        """Give the highest number ever given, 0 at first."""
        return int(self._database.value("SELECT coalesce(max(number), 0) FROM person"))

    def add(self, rows: Iterable[tuple[int, bytes, bytes]], *, consented: bool) -> None:
        """Store new persons: number, keyed hash, sealed identifier."""
        self._database.execute_many(
            "INSERT INTO person (number, lookup, sealed, consented) VALUES (?, ?, ?, ?)",
            ((*row, int(consented)) for row in rows),
        )

    def set_contracts(self, contracts: Iterable[StoredContract]) -> None:
        """Take over the register's contract days and consents."""
        self._database.execute_many(
            "UPDATE person SET since_day = ?, until_day = ?, registered = 1, consented = ? WHERE number = ?",
            contracts,
        )

    def sealed(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Give sealed identifiers by number."""
        found: dict[int, bytes] = {}
        for part in _parts(numbers):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT number, sealed FROM person WHERE number IN ({marks})"  # noqa: S608 (marks only)
            found.update((row[0], row[1]) for row in self._database.rows(sql, part))
        return found

    def to_enrol(self) -> list[int]:
        """List those who consented and are not enrolled, ascending."""
        sql = "SELECT number FROM person WHERE consented AND NOT enrolled ORDER BY number"
        return [row[0] for row in self._database.rows(sql)]

    def to_withdraw(self) -> list[int]:
        """List those who are enrolled and whose consent has ended, ascending."""
        sql = "SELECT number FROM person WHERE enrolled AND NOT consented ORDER BY number"
        return [row[0] for row in self._database.rows(sql)]

    def set_enrolled(self, numbers: Iterable[int]) -> None:
        """Note an enrolment."""
        self._database.execute_many(
            "UPDATE person SET enrolled = 1 WHERE number = ?", ((number,) for number in numbers)
        )

    def set_not_enrolled(self, numbers: Iterable[int]) -> None:
        """Note that an enrolment did not come about."""
        self._database.execute_many(
            "UPDATE person SET enrolled = 0 WHERE number = ?", ((number,) for number in numbers)
        )

    def set_withdrawn(self, numbers: Iterable[int]) -> None:
        """Note the end of consent and enrolment."""
        self._database.execute_many(
            "UPDATE person SET consented = 0, enrolled = 0 WHERE number = ?",
            ((number,) for number in numbers),
        )

    def contracts(self) -> list[tuple[int, int | None, int | None]]:
        """Give number and contract days of all persons, by number."""
        sql = "SELECT number, since_day, until_day FROM person ORDER BY number"
        return [(row[0], row[1], row[2]) for row in self._database.rows(sql)]

    def contract_columns(self) -> dict[str, NDArray[np.int64]]:
        """Give person, since_day and until_day of all persons by number, LAST_DAY where there is no date."""
        sql = (
            f"SELECT number, ifnull(since_day, {LAST_DAY}), ifnull(until_day, {LAST_DAY})"  # noqa: S608 (a constant)
            " FROM person ORDER BY number"
        )
        return self._database.integers(sql, ("person", "since_day", "until_day"))

    def mark(self) -> tuple[int, int]:
        """Give what differs whenever the state may have changed."""
        return self._database.mark()

    def counts(self) -> tuple[int, int, int]:
        """Count all persons, those who consented, those enrolled."""
        row = self._database.row(
            "SELECT count(*), coalesce(sum(consented), 0), coalesce(sum(enrolled), 0) FROM person"
            " WHERE NOT erased"
        )
        assert row is not None
        return row[0], row[1], row[2]


def _parts(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """Cut a long list into what one statement takes."""
    for start in range(0, len(values), _VARIABLES_MAX):
        yield values[start : start + _VARIABLES_MAX]
