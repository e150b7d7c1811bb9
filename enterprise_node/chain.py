"""The enterprise's own chain: every message signed once, numbered, bound to the one before, never changed.

Nothing here sends. A message is appended in the same durable step as the state it speaks of; from then on its
bytes exist once and for all, and whoever sends it again sends the same.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from enterprise_node.messages import MESSAGES
from privacy import codec, envelope, rosters, sealing
from privacy.envelope import ENTRY_BYTES_MAX, NO_PREVIOUS, Kind
from protos.problems import InvariantBroken
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from enterprise_node.local_keys import LocalKeys
    from enterprise_node.store.database import Database
    from enterprise_node.store.outbox import OutboxTable, StoredMessage
    from privacy.keys import SigningKey
    from protos.v1.envelope_pb2 import Header

# Makes a payload for its header, and the bodies that travel beside it.
Build: TypeAlias = "Callable[[Header], tuple[Message, Sequence[bytes]]]"
# Looks at a new envelope and its bodies as the hub will, and raises what the hub would.
Check: TypeAlias = Callable[[bytes, Sequence[bytes]], None]


class OwnChain:
    """Signs and keeps the messages of one enterprise."""

    def __init__(
        self,
        database: Database,
        table: OutboxTable,
        *,
        origin: str,
        enterprise_id: str,
        signing_key: SigningKey,
        keys: LocalKeys,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._table = table
        self._origin = origin
        self._enterprise_id = enterprise_id
        self._signing_key = signing_key
        self._body_key = sealing.subkey(keys.sealing, "cgsp node outbox bodies v1")
        self._clock = clock

    def append(
        self,
        kind: Kind,
        epoch: int,
        build: Build,
        *,
        check: Check | None = None,
    ) -> StoredMessage:
        """Sign the next message and keep it with its bodies; joins the caller's transaction."""
        with self._database.transaction():
            last = self._table.last()
            sequence = last.sequence + 1 if last else 1
            header = envelope.header(
                self._origin,
                self._enterprise_id,
                sequence=sequence,
                previous=last.envelope_hash if last else NO_PREVIOUS,
                issued_at=int(self._clock()),
            )
            payload, bodies = build(header)
            data = envelope.sign(codec.encode(payload), kind, (self._signing_key,))
            if len(data) > ENTRY_BYTES_MAX:
                raise InvariantBroken(
                    REASON_INVARIANT_BROKEN, f"A {kind.value} of {len(data)} bytes does not fit the log."
                )
            if check is not None:
                check(data, bodies)
            self._table.add(sequence, kind.value, epoch, data, envelope.envelope_hash(data))
            for position, body in enumerate(bodies):
                self._table.add_body(sequence, position, self._seal(sequence, position, body))
        return self.message(sequence)

    def move(self, origin: str) -> None:
        """Sign anew, for another origin of the log, what the hub has not taken; else it stays as it is."""
        if origin == self._origin:
            return
        self._origin = origin
        with self._database.transaction():
            renamed: dict[bytes, bytes] = {}
            for message in (one for one in self._table.unsent() if not one.seen):
                data = self._moved(message, renamed)
                renamed[message.envelope_hash] = envelope.envelope_hash(data)
                self._table.replace(message.sequence, data, renamed[message.envelope_hash])

    def _moved(self, message: StoredMessage, renamed: Mapping[bytes, bytes]) -> bytes:
        """Give a message for the new origin, naming messages before it by their new hashes."""
        opened = envelope.open_envelope(message.envelope)
        payload: Any = opened.parse(MESSAGES[opened.kind])
        for field, value in payload.ListFields():
            if isinstance(value, bytes) and value in renamed:
                setattr(payload, field.name, renamed[value])
        header = payload.header
        header.origin = self._origin
        header.previous = renamed.get(header.previous, header.previous)
        return envelope.sign(codec.encode(payload), opened.kind, (self._signing_key,))

    def adopt(
        self, sequence: int, kind: Kind, epoch: int, data: bytes, bodies: Sequence[bytes], log_index: int
    ) -> None:
        """Take a message of ours back from the log, as it was signed; joins the caller's transaction."""
        self._table.add(sequence, kind.value, epoch, data, envelope.envelope_hash(data))
        self._table.mark_seen(sequence, log_index)
        for position, body in enumerate(bodies):
            self._table.add_body(sequence, position, self._seal(sequence, position, body))

    def sign_order(self, order: Message) -> bytes:
        """Sign an order to a custodian; orders stand outside the chain."""
        return envelope.sign(codec.encode(order), Kind.EVALUATION_ORDER, (self._signing_key,))

    def message(self, sequence: int) -> StoredMessage:
        """Give a message by its place."""
        found = self._table.get(sequence)
        if found is None:
            raise InvariantBroken(REASON_INVARIANT_BROKEN, f"Message {sequence} of the chain is missing.")
        return found

    def bodies(self, sequence: int) -> list[bytes]:
        """Open a message's bodies, in order."""
        sealed = self._table.bodies(sequence)
        return [
            sealing.open_sealed(body, key=self._body_key, associated=_place(sequence, position))
            for position, body in enumerate(sealed)
        ]

    def erase_slots(self, sequence: int, slots: Collection[int]) -> None:
        """Take slots out of the openings of a roster batch that has its receipt; joins the transaction."""
        for position, body in enumerate(self.bodies(sequence)):
            opening = rosters.parse_opening(body) if position % 2 else None
            mine = opening and set(slots).intersection(range(opening.first_slot, opening.end_slot))
            if mine:
                erased = rosters.erase(body, *mine)
                self._table.replace_body(sequence, position, self._seal(sequence, position, erased))

    def _seal(self, sequence: int, position: int, body: bytes) -> bytes:
        """Seal a body: an opening beside its slots would pair persons with pseudonyms."""
        place = _place(sequence, position)
        return sealing.seal(body, key=self._body_key, associated=place, random=secrets.token_bytes)


def _place(sequence: int, position: int) -> bytes:
    return struct.pack(">QQ", sequence, position)
