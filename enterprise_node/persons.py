"""Persons by number: identifiers are sealed at rest and found again by a keyed hash.

Outside the enterprise's own raw files an identifier exists on disk only sealed; everything else in the node
speaks of person numbers, which mean nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from enterprise_node.local_keys import LocalKeys
    from enterprise_node.store.database import Database


@dataclass(frozen=True, slots=True)
class RegisterEntry:
    """One line of the register: the raw identifier, contract days (until exclusive), consent."""

    identifier: str
    since_day: int | None
    until_day: int | None
    consented: bool


class Persons:
    """The enterprise's persons; numbers start at 1 and are never reused."""

    def __init__(self, database: Database, keys: LocalKeys, kind: str) -> None:
        self._database = database
        self._keys = keys
        self._kind = kind

    def number_all(self, values: Iterable[str], *, kind: str | None = None) -> dict[str, int | None]:
        """Give each raw value its person number, new ones in the order given; None marks an invalid value."""
        raise NotImplementedError

    def register(self, entries: Iterable[RegisterEntry], *, kind: str | None = None) -> int:
        """Take the register's contract dates and consents; give how many identifiers were invalid."""
        raise NotImplementedError

    def find(self, value: str, *, kind: str | None = None) -> int | None:
        """Give the number of the person with this identifier, or None."""
        raise NotImplementedError

    def identifiers(self, persons: Sequence[int]) -> list[bytes]:
        """Unseal the canonical identifiers of these persons, in the order given."""
        raise NotImplementedError

    def new_for_enrolment(self) -> list[int]:
        """List the persons who consented and are not enrolled yet, ascending."""
        raise NotImplementedError

    def mark_enrolled(self, persons: Collection[int]) -> None:
        """Take these persons off the list of those to enrol; joins the caller's transaction."""
        raise NotImplementedError

    def withdraw(self, persons: Collection[int]) -> None:
        """Note that these persons' consent ended; they are not enrolled again until the register says so."""
        raise NotImplementedError

    def count(self) -> int:
        """Count all persons."""
        raise NotImplementedError

    def write_parquet(self, path: Path) -> None:
        """Write numbers and contract days, the table packs join with: person, since_day, until_day."""
        raise NotImplementedError
