"""Pseudonyms for new persons: identifiers blinded in batches, answered by a quorum, remembered sealed.

Nobody outside sees an identifier, nobody here sees the key. A batch is kept, sealed, until it is answered:
after a crash the same bytes go out again and cost no quota; then its blinding secrets are forgotten.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enterprise_node.custodians import pseudonym_key
from privacy import sealing
from privacy.pseudonyms import BlindedBatch, blind_batch

if TYPE_CHECKING:
    from enterprise_node.custodians import Quorum
    from enterprise_node.local_keys import LocalKeys
    from enterprise_node.persons import Persons
    from enterprise_node.store.database import Database
    from enterprise_node.store.enrolment import EnrolmentTable
    from privacy.trust import TrustRoot

# A quarter MiB a message: a lost one costs little to repeat; signature and proof are below 1 % of its work.
BATCH_PERSONS_MAX = 8192


@dataclass(frozen=True, slots=True)
class _Batch:
    persons: tuple[int, ...]
    content: BlindedBatch


class Pseudonymiser:
    """Gives persons their pseudonyms and remembers them sealed."""

    def __init__(
        self,
        database: Database,
        table: EnrolmentTable,
        persons: Persons,
        keys: LocalKeys,
        quorum: Quorum,
        *,
        workers: int = 2,
    ) -> None:
        self._database = database
        self._table = table
        self._persons = persons
        self._cache_key = sealing.subkey(keys.sealing, "cgsp node pseudonyms v1")
        self._batch_key = sealing.subkey(keys.sealing, "cgsp node blinded batches v1")
        self._quorum = quorum
        self._workers = workers

    def pseudonymise(
        self,
        persons: Sequence[int],
        trust: TrustRoot,
        enterprise_id: str,
        *,
        on_batch: Callable[[int], None] = lambda count: None,
    ) -> dict[int, bytes]:
        """Give the 16-byte pseudonyms of these persons; only unknown ones are asked for."""
        key_id = pseudonym_key(trust).key_id
        for batch in self._kept(key_id):
            self._answer(batch, trust, enterprise_id)
            on_batch(len(batch.persons))
        known = self._table.pseudonyms(key_id)
        missing = [person for person in persons if person not in known]
        step = _batch_size(len(missing), len(trust.custodians))
        for start in range(0, len(missing), step):
            batch = self._blind(missing[start : start + step], key_id)
            self._answer(batch, trust, enterprise_id)
            on_batch(len(batch.persons))
        return self.known(persons, key_id)

    def known(self, persons: Sequence[int], key_id: bytes) -> dict[int, bytes]:
        """Open the remembered pseudonyms of these persons."""
        sealed = self._table.pseudonyms(key_id)
        return {
            person: sealing.open_sealed(
                sealed[person], key=self._cache_key, associated=_place(person, key_id)
            )
            for person in persons
            if person in sealed
        }

    def _blind(self, persons: Sequence[int], key_id: bytes) -> _Batch:
        """Blind a batch and keep it before anything of it leaves."""
        identifiers = self._persons.identifiers(persons)
        content = blind_batch(identifiers, secrets.token_bytes, workers=self._workers)
        packed = struct.pack(f">I{len(persons)}q", len(persons), *persons)
        sealed = sealing.seal(
            packed + content.blinds + content.blinded,
            key=self._batch_key,
            associated=content.batch_hash,
            random=secrets.token_bytes,
        )
        with self._database.transaction():
            self._table.add_batch(content.batch_hash, key_id, sealed)
        return _Batch(tuple(persons), content)

    def _kept(self, key_id: bytes) -> Iterator[_Batch]:
        """Open the batches that a crash or a silent quorum left unanswered."""
        for batch_hash, sealed in self._table.batches(key_id):
            data = sealing.open_sealed(sealed, key=self._batch_key, associated=batch_hash)
            (count,) = struct.unpack_from(">I", data)
            persons = struct.unpack_from(f">{count}q", data, 4)
            blinds_at, blinded_at = 4 + 8 * count, 4 + 40 * count
            content = BlindedBatch(
                blinded=data[blinded_at:],
                identifiers=tuple(self._persons.identifiers(persons)),
                blinds=data[blinds_at:blinded_at],
            )
            yield _Batch(persons, content)

    def _answer(self, batch: _Batch, trust: TrustRoot, enterprise_id: str) -> None:
        """Get a batch answered; in one step keep the pseudonyms and forget the batch."""
        key_id = pseudonym_key(trust).key_id
        answered = self._quorum.pseudonyms(batch.content, trust, enterprise_id, self._table.used())
        rows = [
            (person, self._seal(person, key_id, pseudonym))
            for person, pseudonym in zip(batch.persons, answered.pseudonyms, strict=True)
        ]
        with self._database.transaction():
            self._table.add_pseudonyms(key_id, rows)
            self._table.drop_batch(batch.content.batch_hash)
            self._table.use(answered.custodian_ids, len(batch.persons))

    def _seal(self, person: int, key_id: bytes, pseudonym: bytes) -> bytes:
        place = _place(person, key_id)
        return sealing.seal(pseudonym, key=self._cache_key, associated=place, random=secrets.token_bytes)


def _batch_size(persons: int, custodians: int) -> int:
    """Cut persons into at least as many batches as there are custodians.

    Each custodian grants t/n of the enterprise's quota: only quorums taken in turn can use all of it.
    """
    return max(1, min(BATCH_PERSONS_MAX, -(-persons // max(1, custodians))))


def _place(person: int, key_id: bytes) -> bytes:
    return struct.pack(">q", person) + key_id
