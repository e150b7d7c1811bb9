"""The roster: who takes part, as slots that say nothing by themselves.

A slot is SHA-256(salt || pseudonym) under a fresh salt. The slots of one batch stand in the order of their
pseudonyms, so that their order says nothing about when or how much anybody was active. A batch acts from its
effective epoch on, and effective epochs never go back.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from enterprise_node.store.enrolment import StoredSlot
from privacy import rosters, sealing
from privacy.envelope import Kind
from privacy.merkle import CompactTree
from privacy.rosters import PSEUDONYM_BYTES, SALT_BYTES, SLOT_BYTES
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
    from protos.v1.envelope_pb2 import Header

# Slot numbers take 5 bytes in the envelope, which must fit a log entry.
WITHDRAWN_MAX = 10_000


class ActiveSlot(NamedTuple):
    """A slot that gets a row, and whose."""

    slot: int
    person: int


class _Rows(NamedTuple):
    """New rows end to end, in slot order."""

    salts: bytes
    pseudonyms: bytes
    consents: bytes


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
        ordered = sorted(pseudonyms.items(), key=lambda item: item[1])
        names = [pseudonym for _, pseudonym in ordered]
        salts = [secrets.token_bytes(SALT_BYTES) for _ in ordered]
        consents = [
            rosters.consent(salt, consent_receipt(self._enterprise_id, effective, name))
            for salt, name in zip(salts, names, strict=True)
        ]
        rows = _Rows(b"".join(salts), b"".join(names), b"".join(consents))
        with self._database.transaction():
            first = self._table.count()
            message = self._append(effective, key_id, rows, (), check)
            self._table.add_slots(
                StoredSlot(
                    slot, person, rosters.slot(salt, name), self._seal(slot, salt + name), effective, None
                )
                for slot, ((person, name), salt) in enumerate(zip(ordered, salts, strict=True), first)
            )
            self._persons.mark_enrolled(pseudonyms.keys())
        return message

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

    def active(self, epoch: Epoch) -> list[ActiveSlot]:
        """Give the slots active in the epoch, in slot order: each gets a row, whoever was active."""
        return [ActiveSlot(slot, person) for slot, person in self._table.active(epoch)]

    def root(self, epoch: Epoch) -> bytes:
        """Give the root over all slots that exist at the epoch's start, withdrawn ones among them."""
        return _tree(self._table.names_before(epoch)).root()

    def count(self) -> int:
        """Count the slots given so far."""
        return self._table.count()

    def open_slot(self, slot: StoredSlot) -> tuple[bytes, bytes]:
        """Give a slot's salt and pseudonym, to show a person where its statement stands."""
        data = sealing.open_sealed(slot.sealed, key=self._slot_key, associated=_place(slot.slot))
        return data[:SALT_BYTES], data[SALT_BYTES : SALT_BYTES + PSEUDONYM_BYTES]

    def _withdraw(
        self, slots: Sequence[int], effective: Epoch, key_id: bytes, check: Check | None
    ) -> StoredMessage:
        message = self._append(effective, key_id, _Rows(b"", b"", b""), slots, check)
        self._table.withdraw(slots, effective)
        return message

    def _append(
        self, effective: Epoch, key_id: bytes, rows: _Rows, withdrawn: Sequence[int], check: Check | None
    ) -> StoredMessage:
        before = self._table.names()

        def build(header: Header) -> tuple[Message, Sequence[bytes]]:
            built = rosters.build_batch(
                header,
                effective=effective,
                key_id=key_id,
                first_slot=len(before),
                salts=rows.salts,
                pseudonyms=rows.pseudonyms,
                consents=rows.consents,
                withdrawn=withdrawn,
                tree=_tree(before),
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


def _tree(names: Sequence[bytes]) -> CompactTree:
    tree = CompactTree()
    tree.extend_rows(b"".join(names), SLOT_BYTES)
    return tree


def _place(slot: int) -> bytes:
    return struct.pack(">Q", slot)
