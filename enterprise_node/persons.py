"""Persons by number: identifiers are sealed at rest and found again by a keyed hash.

Outside the enterprise's own raw files an identifier exists on disk only sealed; everything else in the node
speaks of person numbers, which mean nothing elsewhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enterprise_node.local_keys import LocalKeys
from enterprise_node.store.persons import FormerHolder, PersonTable, StoredContract
from privacy.identifiers import canonical
from privacy.sealing import open_sealed, seal
from protos.problems import InvariantBroken, Malformed
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ASSOCIATED = b"cgsp node person "


@dataclass(frozen=True, slots=True)
class RegisterEntry:
    """One line of the register: the raw identifier, contract days (until exclusive), consent."""

    identifier: str
    since_day: int | None
    until_day: int | None
    consented: bool


@dataclass(frozen=True, slots=True)
class PersonCounts:
    """How many persons are known, consented, enrolled."""

    known: int
    consented: int
    enrolled: int


class Persons:
    """The enterprise's persons; numbers start at 1 and are never reused."""

    def __init__(self, table: PersonTable, keys: LocalKeys, kind: str, *, consent_by_register: bool) -> None:
        self._table = table
        self._keys = keys
        self._kind = kind
        # Without a register the enterprise declares that its customers consented.
        self._consented_when_new = not consent_by_register

    def number_all(
        self, values: Iterable[str], *, kind: str | None = None, store: bool = True
    ) -> dict[str, int | None]:
        """Give each raw value its person number, new ones in the order given; None marks an invalid value.

        ERASED (0) stands for persons who asked to be erased.

        Without `store` new persons get numbers that are not kept, for a rehearsal.
        """
        identifiers = {value: self._canonical(value, kind) for value in dict.fromkeys(values)}
        lookups = {value: self._lookup(one) for value, one in identifiers.items() if one is not None}
        known = self._table.numbers(list(dict.fromkeys(lookups.values())))
        number = self._table.last_number()
        new: list[tuple[int, bytes, bytes]] = []
        for value, lookup in lookups.items():
            if lookup not in known:
                number += 1
                known[lookup] = number
                new.append((number, lookup, self._seal(number, identifiers[value]) if store else b""))
        if store and new:
            self._table.add(new, consented=self._consented_when_new)
        return {value: known[lookups[value]] if value in lookups else None for value in identifiers}

    def register(self, entries: Iterable[RegisterEntry], *, kind: str | None = None) -> list[int]:
        """Take the register's contract dates and consents; give the positions of invalid identifiers.

        A person with several contracts is a customer from the first day of any to the last day of any. A
        contract begun before its number changed hands is the former holder's, and no consent any longer.
        """
        listed = list(entries)
        numbers = self.number_all([entry.identifier for entry in listed], kind=kind)
        formers = self.former_holders([entry.identifier for entry in listed], kind=kind)
        contracts: dict[int, StoredContract] = {}
        for entry in listed:
            number = numbers[entry.identifier]
            if number is not None:
                one = _contract(entry, number, formers.get(entry.identifier, ()))
                contracts[one.number] = _widened(contracts.get(one.number), one)
        self._table.set_contracts(contracts.values())
        return [index for index, entry in enumerate(listed) if numbers[entry.identifier] is None]

    def former_holders(
        self, values: Iterable[str], *, kind: str | None = None
    ) -> dict[str, tuple[FormerHolder, ...]]:
        """Give whose each raw value was before its present holder's, earliest first; only those that were."""
        known = self._table.former_holders()
        if not known:
            return {}
        identifiers = {value: self._canonical(value, kind) for value in dict.fromkeys(values)}
        lookups = {value: self._lookup(one) for value, one in identifiers.items() if one is not None}
        return {value: known[lookup] for value, lookup in lookups.items() if lookup in known}

    def present_holder(self, value: str) -> int | None:
        """Give the number behind an identifier, an erased person's too; None for one nobody here had."""
        return self._table.number(self._lookup(canonical(self._kind, value)))

    def next_number(self) -> int:
        """Give the number the next new person gets."""
        return self._table.last_number() + 1

    def hand_over(self, value: str, number: int, day: int) -> None:
        """Make a new person, without consent, the holder of an identifier from a day on."""
        identifier = canonical(self._kind, value)
        self._table.hand_over(self._lookup(identifier), number, self._seal(number, identifier), day)

    def holders_on(self, day: int) -> dict[int, int]:
        """Give, for every number of an identifier that changed hands, who held that identifier on a day."""
        return self._table.holders_on(day)

    def consent(self, number: int) -> None:
        """Note that a person consents, where no register says so."""
        self._table.set_consented(number)

    def find(self, value: str, *, kind: str | None = None) -> int | None:
        """Give the number of the person with this identifier, or None; raises Malformed if it is invalid."""
        lookup = self._lookup(canonical(kind or self._kind, value))
        return self._table.numbers([lookup]).get(lookup) or None

    def is_known(self, number: int) -> bool:
        """Tell whether the number is a person's who has not been erased."""
        return self._table.is_known(number)

    def identifiers(self, persons: Sequence[int]) -> list[bytes]:
        """Unseal the canonical identifiers of these persons, in the order given."""
        sealed = self._table.sealed(list(persons))
        if missing := set(persons) - set(sealed):
            raise InvariantBroken(REASON_INVARIANT_BROKEN, f"{len(missing)} person numbers have no person.")
        return [
            open_sealed(sealed[person], key=self._keys.sealing, associated=_associated(person))
            for person in persons
        ]

    def new_for_enrolment(self) -> list[int]:
        """List the persons who consented and are not enrolled yet, ascending."""
        return self._table.to_enrol()

    def ended_consents(self) -> list[int]:
        """List the persons who are enrolled and consent no longer, ascending."""
        return self._table.to_withdraw()

    def mark_enrolled(self, persons: Collection[int]) -> None:
        """Take these persons off the list of those to enrol; joins the caller's transaction."""
        self._table.set_enrolled(persons)

    def mark_not_enrolled(self, persons: Collection[int]) -> None:
        """Put these persons back on the list of those to enrol; joins the caller's transaction."""
        self._table.set_not_enrolled(persons)

    def withdraw(self, persons: Collection[int]) -> None:
        """Note that these persons' consent ended; they are not enrolled again until the register says so."""
        self._table.set_withdrawn(persons)

    def counts(self) -> PersonCounts:
        """Count persons."""
        return PersonCounts(*self._table.counts())

    def contracts(self) -> list[tuple[int, int | None, int | None]]:
        """Give number, first day and end day (exclusive) of all persons, by number."""
        return self._table.contracts()

    def contract_columns(self) -> dict[str, NDArray[np.int64]]:
        """Give the same as columns person, since_day, until_day; no date is the last day there is.

        So somebody without a first day is never eligible for what depends on one.
        """
        return self._table.contract_columns()

    def mark(self) -> tuple[int, int]:
        """Give what differs whenever persons, or anything else of the node's state, may have changed."""
        return self._table.mark()

    def _canonical(self, value: str, kind: str | None) -> bytes | None:
        try:
            return canonical(kind or self._kind, value)
        except Malformed:
            return None

    def _lookup(self, identifier: bytes) -> bytes:
        return hashlib.blake2b(identifier, key=self._keys.lookup, digest_size=32).digest()

    def _seal(self, number: int, identifier: bytes | None) -> bytes:
        assert identifier is not None
        return seal(identifier, key=self._keys.sealing, associated=_associated(number), random=os.urandom)


def _associated(number: int) -> bytes:
    """Bind a sealed identifier to its person's number."""
    return _ASSOCIATED + str(number).encode()


def _contract(entry: RegisterEntry, number: int, formers: Sequence[FormerHolder]) -> StoredContract:
    """Tell whose contract a line of the register is, by its first day."""
    for former in formers:
        if entry.since_day is not None and entry.since_day < former.until_day:
            until = former.until_day if entry.until_day is None else min(entry.until_day, former.until_day)
            return StoredContract(entry.since_day, until, consented=False, number=former.person)
    return StoredContract(entry.since_day, entry.until_day, entry.consented, number)


def _widened(known: StoredContract | None, one: StoredContract) -> StoredContract:
    """Join two contracts of one person; an open end stays open."""
    if known is None:
        return one
    starts = (known.since_day, one.since_day)
    ends = (known.until_day, one.until_day)
    return StoredContract(
        None if None in starts else min(day for day in starts if day is not None),
        None if None in ends else max(day for day in ends if day is not None),
        known.consented or one.consented,
        one.number,
    )
