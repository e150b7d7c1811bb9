"""The roster: who takes part, as slots that say nothing by themselves.

A slot is SHA-256(salt || pseudonym) under a fresh salt. The slots of one batch stand in the order of their
pseudonyms, so that their order says nothing about when or how much anybody was active. A batch acts from its
effective epoch on, and effective epochs never go back.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from enterprise_node.store.enrolment import StoredSlot
from privacy import rosters, sealing
from privacy.envelope import Kind
from privacy.merkle import CompactTree
from privacy.rosters import NOBODY, PSEUDONYM_BYTES, SALT_BYTES, SLOT_BYTES
from protos.epochs import Epoch, format_epoch
from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_ROSTER_WRONG

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from enterprise_node.chain import Check, OwnChain
    from enterprise_node.local_keys import LocalKeys
    from enterprise_node.persons import Persons
    from enterprise_node.store.database import Database
    from enterprise_node.store.enrolment import EnrolmentTable
    from enterprise_node.store.outbox import StoredMessage
    from protos.v1 import roster_pb2
    from protos.v1.envelope_pb2 import Header

# Slot numbers take 5 bytes in the envelope, which must fit a log entry.
WITHDRAWN_MAX = 10_000


class ActiveSlot(NamedTuple):
    """A slot that gets a row, and whose."""

    slot: int
    person: int


class HeldSlot(NamedTuple):
    """A slot of a person's: since when, until which epoch (None while it lasts), and what its name hides."""

    slot: int
    since: Epoch
    until: int | None
    salt: bytes
    pseudonym: bytes


class _Entrant(NamedTuple):
    """Somebody who gets a slot, and the slot it takes the place of; NOBODY's for a newcomer."""

    pseudonym: bytes
    person: int
    predecessor: int = NOBODY


class Roster:
    """Gives slots, ends them, and knows which are active in an epoch."""

    def __init__(
        self,
        database: Database,
        table: EnrolmentTable,
        persons: Persons,
        chain: OwnChain,
        keys: LocalKeys,
        enterprise_id: str,
    ) -> None:
        self._database = database
        self._table = table
        self._persons = persons
        self._chain = chain
        self._slot_key = sealing.subkey(keys.sealing, "cgsp node slots v1")
        self._enterprise_id = enterprise_id

    def enrol(
        self,
        pseudonyms: Mapping[int, bytes],
        effective: Epoch,
        key_id: bytes,
        *,
        check: Check | None = None,
    ) -> StoredMessage:
        """Give new persons slots from `effective` on; one durable step with the message that says so."""
        self._check_effective(effective)
        entrants = sorted(_Entrant(pseudonym, person) for person, pseudonym in pseudonyms.items())
        with self._database.transaction():
            return self._enter(entrants, effective, key_id, check)

    def rotate(
        self,
        pseudonyms: Mapping[int, bytes],
        effective: Epoch,
        key_id: bytes,
        *,
        check: Check | None = None,
    ) -> list[StoredMessage]:
        """Give persons slots under a new key; the old ones end in the same batch, and newcomers join in.

        `pseudonyms` are those under the new key; whoever holds a slot under it already keeps that.
        """
        self._check_effective(effective)
        with self._database.transaction():
            return [
                self._enter(part, effective, key_id, check)
                for part in _parts(sorted(self._entrants(pseudonyms)), WITHDRAWN_MAX)
            ]

    def outdated(self, pseudonyms: Mapping[int, bytes]) -> int:
        """Count the enrolled persons whose slots are under another key than these pseudonyms."""
        return sum(entrant.predecessor != NOBODY for entrant in self._entrants(pseudonyms))

    def enrolled_persons(self) -> list[int]:
        """List the persons who hold a slot they have not given up, ascending."""
        return sorted(slot.person for slot in self._table.enrolled())

    def withdraw(
        self, persons: Collection[int], effective: Epoch, key_id: bytes, *, check: Check | None = None
    ) -> list[StoredMessage]:
        """End these persons' slots from `effective` on: an epoch not yet released is without them."""
        self._check_effective(effective)
        with self._database.transaction():
            slots = self._table.enrolled_slots(list(persons))
            messages = [
                self._withdraw(slots[start : start + WITHDRAWN_MAX], effective, key_id, check)
                for start in range(0, len(slots), WITHDRAWN_MAX)
            ]
            self._persons.withdraw(persons)
        return messages

    def adopt(
        self, batch: roster_pb2.RosterBatch, bodies: Sequence[bytes], persons: Mapping[bytes, int]
    ) -> int:
        """Take a logged batch of ours back, persons found by pseudonym; gives the slots nobody stands behind.

        Such a slot keeps its rows, all zero before noise. Joins the caller's transaction.
        """
        rows = rosters.check_bodies(batch, bodies, erasure_allowed=True)
        salts = b"".join(rosters.parse_opening(body).salts for body in bodies[1::2])
        effective, names = Epoch(batch.effective_epoch), rows.pseudonyms or b""
        held = {slot.slot: slot.person for slot in self._table.enrolled()}
        self._table.withdraw(batch.withdrawn_slots, effective)
        slots: list[StoredSlot] = []
        for row in range(batch.count):
            number, cut = batch.first_slot + row, slice(row * PSEUDONYM_BYTES, (row + 1) * PSEUDONYM_BYTES)
            person = persons.get(names[cut], -1 - number)
            name = rows.slots[row * SLOT_BYTES : (row + 1) * SLOT_BYTES]
            slots.append(
                StoredSlot(number, person, name, self._seal(number, salts[cut] + names[cut]), effective, None)
            )
        self._table.add_slots(slots)
        enrolled = {slot.person for slot in slots}
        ended = {held[slot] for slot in batch.withdrawn_slots if slot in held}
        self._persons.withdraw(ended - enrolled)
        self._persons.mark_enrolled([person for person in enrolled if person >= 0])
        return sum(person < 0 for person in enrolled)

    def drop(self, batch: roster_pb2.RosterBatch) -> None:
        """Take back the newest batch, which the log does not hold; joins the caller's transaction."""
        self._persons.mark_not_enrolled(self._table.drop_from(batch.first_slot))
        self._table.reinstate(batch.withdrawn_slots)
        held = {slot.slot: slot.person for slot in self._table.enrolled()}
        self._persons.mark_enrolled([held[slot] for slot in batch.withdrawn_slots])

    def may_begin(self, epoch: Epoch) -> bool:
        """Say whether a batch may still act from an epoch on: effective epochs never go back."""
        last = self._table.last_effective()
        return last is None or epoch >= last

    def active(self, epoch: Epoch) -> list[ActiveSlot]:
        """Give the slots active in the epoch, in slot order: each gets a row, whoever was active."""
        return [ActiveSlot(slot, person) for slot, person in self._table.active(epoch)]

    def holders(self, epoch: Epoch) -> list[tuple[int, Epoch]]:
        """Give the persons behind the epoch's active slots, and since when each has held the slot."""
        return [(person, Epoch(since)) for person, since in self._table.holders(epoch)]

    def root(self, epoch: Epoch) -> bytes:
        """Give the root over all slots that exist at the epoch's start, withdrawn ones among them."""
        return _tree(self._table.names_before(epoch)).root()

    def count(self) -> int:
        """Count the slots given so far."""
        return self._table.count()

    def pseudonym(self, person: int) -> bytes | None:
        """Give the pseudonym of a person who holds a slot; None for anybody else."""
        held = [
            slot for slot in self._table.of_person(person) if slot.withdrawn_epoch is None and slot.sealed
        ]
        return self.open_slot(held[-1])[1] if held else None

    def open_slot(self, slot: StoredSlot) -> tuple[bytes, bytes]:
        """Give a slot's salt and pseudonym, to show a person where its statement stands."""
        data = sealing.open_sealed(slot.sealed, key=self._slot_key, associated=_place(slot.slot))
        return data[:SALT_BYTES], data[SALT_BYTES : SALT_BYTES + PSEUDONYM_BYTES]

    def held_by(self, person: int) -> list[HeldSlot]:
        """List a person's slots and what stands behind each, of which proofs of consent are made."""
        return [
            HeldSlot(one.slot, Epoch(one.effective_epoch), one.withdrawn_epoch, *self.open_slot(one))
            for one in self._table.of_person(person)
            if one.sealed
        ]

    def consent(self, held: HeldSlot) -> bytes:
        """Give the receipt a person holds: SHA-256(salt || receipt) stands in the log beside the slot."""
        return consent_receipt(self._enterprise_id, held.since, held.pseudonym)

    def _withdraw(
        self, slots: Sequence[int], effective: Epoch, key_id: bytes, check: Check | None
    ) -> StoredMessage:
        message = self._append(effective, key_id, (), (), slots, check)
        self._table.withdraw(slots, effective)
        return message

    def _entrants(self, pseudonyms: Mapping[int, bytes]) -> list[_Entrant]:
        """Tell who needs a slot under these pseudonyms: holders of older ones, and who holds none."""
        held = {slot.person: slot for slot in self._table.enrolled() if slot.person in pseudonyms}
        entrants = []
        for person, pseudonym in pseudonyms.items():
            slot = held.get(person)
            if slot is None:
                entrants.append(_Entrant(pseudonym, person))
            elif self.open_slot(slot)[1] != pseudonym:
                entrants.append(_Entrant(pseudonym, person, slot.slot))
        return entrants

    def _enter(
        self, entrants: Sequence[_Entrant], effective: Epoch, key_id: bytes, check: Check | None
    ) -> StoredMessage:
        """Give slots in the order of pseudonyms and end those succeeded; joins the caller's transaction."""
        salts = [secrets.token_bytes(SALT_BYTES) for _ in entrants]
        first = self._table.count()
        succeeded = sorted(one.predecessor for one in entrants if one.predecessor != NOBODY)
        message = self._append(effective, key_id, entrants, salts, succeeded, check)
        self._table.withdraw(succeeded, effective)
        self._table.add_slots(
            StoredSlot(
                slot,
                one.person,
                rosters.slot(salt, one.pseudonym),
                self._seal(slot, salt + one.pseudonym),
                effective,
                None,
            )
            for slot, (one, salt) in enumerate(zip(entrants, salts, strict=True), first)
        )
        self._persons.mark_enrolled([one.person for one in entrants])
        return message

    def _append(
        self,
        effective: Epoch,
        key_id: bytes,
        entrants: Sequence[_Entrant],
        salts: Sequence[bytes],
        withdrawn: Sequence[int],
        check: Check | None,
    ) -> StoredMessage:
        before = self._table.names()
        is_succession = any(one.predecessor != NOBODY for one in entrants)

        def build(header: Header) -> tuple[Message, Sequence[bytes]]:
            built = rosters.build_batch(
                header,
                effective=effective,
                key_id=key_id,
                first_slot=len(before),
                salts=b"".join(salts),
                pseudonyms=b"".join(one.pseudonym for one in entrants),
                consents=b"".join(
                    rosters.consent(salt, consent_receipt(self._enterprise_id, effective, one.pseudonym))
                    for one, salt in zip(entrants, salts, strict=True)
                ),
                withdrawn=withdrawn,
                tree=_tree(before),
                predecessors=[one.predecessor for one in entrants] if is_succession else (),
            )
            return built.message, built.bodies

        return self._chain.append(Kind.ROSTER_BATCH, effective, build, check=check)

    def _check_effective(self, effective: Epoch) -> None:
        last = self._table.last_effective()
        if last is not None and effective < last:
            raise Refused(
                REASON_ROSTER_WRONG,
                f"A roster batch already acts from {format_epoch(Epoch(last))} on; {format_epoch(effective)} "
                "lies before it.",
                remedy="Name that epoch or a later one.",
            )

    def _seal(self, slot: int, data: bytes) -> bytes:
        return sealing.seal(data, key=self._slot_key, associated=_place(slot), random=secrets.token_bytes)


def consent_receipt(enterprise_id: str, effective: Epoch, pseudonym: bytes) -> bytes:
    """Write what a person holds as proof of consent; the log knows only its salted hash."""
    return f"cgsp-consent-v1\n{enterprise_id}\n{format_epoch(effective)}\n{pseudonym.hex()}\n".encode()


def _parts(entrants: Sequence[_Entrant], size_max: int) -> list[Sequence[_Entrant]]:
    """Divide into as few parts as fit, of nearly equal size: none falls below the smallest batch."""
    count = -(-len(entrants) // size_max)
    edges = [len(entrants) * part // count for part in range(count + 1)] if count else []
    return [entrants[first:end] for first, end in pairwise(edges)]


def _tree(names: Sequence[bytes]) -> CompactTree:
    tree = CompactTree()
    tree.extend_rows(b"".join(names), SLOT_BYTES)
    return tree


def _place(slot: int) -> bytes:
    return struct.pack(">Q", slot)
