"""Rosters: an enterprise's slots, each SHA-256(salt || pseudonym), with their openings kept apart.

Slots are numbered over the enterprise's life and never reused. A batch acts at the start of its effective
epoch, and effective epochs never go back, so the slots of an epoch are always a prefix.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from privacy import chunks, codec
from privacy.chunks import BODY_BYTES_MAX, HALF_BYTES, HASH_BYTES, ROSTER_ROWS_MAX
from privacy.merkle import CompactTree
from protos.epochs import Epoch
from protos.problems import Malformed, Refused
from protos.v1 import envelope_pb2, roster_pb2
from protos.v1.problem_pb2 import REASON_ROSTER_WRONG, REASON_WRONG_SHAPE

SALT_BYTES = HALF_BYTES
PSEUDONYM_BYTES = HALF_BYTES
SLOT_BYTES = HASH_BYTES
# Stands where a new slot succeeds none.
NOBODY = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Chunk:
    """Public rows: slots and consents, 32 bytes each, end to end; successions too, or none at all."""

    first_slot: int
    slots: bytes
    consents: bytes
    successions: bytes = b""

    @property
    def count(self) -> int:
        """Count the rows."""
        return len(self.slots) // SLOT_BYTES


@dataclass(frozen=True, slots=True)
class Opening:
    """Private rows: salts and pseudonyms, 16 bytes each, end to end; slots succeeded, or none at all."""

    first_slot: int
    salts: bytes
    pseudonyms: bytes
    predecessors: tuple[int, ...] = ()

    @property
    def end_slot(self) -> int:
        """Give the slot behind the last row."""
        return self.first_slot + len(self.salts) // SALT_BYTES


@dataclass(frozen=True, slots=True)
class RosterRows:
    """All rows of a batch, end to end; without its openings `pseudonyms` is None.

    `predecessors` are the slots succeeded, a row each, or empty where the batch succeeds nobody.
    """

    slots: bytes
    pseudonyms: bytes | None
    erased: int = 0
    predecessors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BuiltBatch:
    """A batch ready to be signed, with its bodies in order."""

    message: roster_pb2.RosterBatch
    bodies: list[bytes]


def slot(salt: bytes, pseudonym: bytes) -> bytes:
    """Give the slot of a pseudonym: SHA-256(salt || pseudonym)."""
    return hashlib.sha256(salt + pseudonym).digest()


def consent(salt: bytes, receipt: bytes) -> bytes:
    """Give the salted hash of a consent receipt: SHA-256(salt || receipt)."""
    return hashlib.sha256(salt + receipt).digest()


def succession(salt: bytes, predecessor: int) -> bytes:
    """Give the salted commitment to the slot that a new one succeeds: SHA-256(salt || number)."""
    return hashlib.sha256(salt + predecessor.to_bytes(4, "big")).digest()


def slots_of(salts: bytes, pseudonyms: bytes) -> bytes:
    """Give the slots of many rows, end to end."""
    sha256 = hashlib.sha256
    return b"".join(
        sha256(salts[at : at + HALF_BYTES] + pseudonyms[at : at + HALF_BYTES]).digest()
        for at in range(0, len(salts), HALF_BYTES)
    )


def encode_chunk(first_slot: int, slots: bytes, consents: bytes, successions: bytes = b"") -> bytes:
    """Write a public chunk."""
    return codec.encode(
        roster_pb2.RosterChunk(first_slot=first_slot, slots=slots, consents=consents, successions=successions)
    )


def parse_chunk(data: bytes) -> Chunk:
    """Read a public chunk; raises Malformed."""
    message = codec.parse(roster_pb2.RosterChunk, data, maximum_bytes=BODY_BYTES_MAX)
    rows = len(message.slots) // SLOT_BYTES
    if not 1 <= rows <= ROSTER_ROWS_MAX:
        raise Malformed(REASON_WRONG_SHAPE, f"A roster chunk has 1 to {ROSTER_ROWS_MAX} rows.")
    chunks.check_rows(message.slots, rows, SLOT_BYTES, "Roster chunk's slots")
    chunks.check_rows(message.consents, rows, HASH_BYTES, "Roster chunk's consents")
    if message.successions:
        chunks.check_rows(message.successions, rows, HASH_BYTES, "Roster chunk's successions")
    return Chunk(message.first_slot, message.slots, message.consents, message.successions)


def encode_opening(
    first_slot: int, salts: bytes, pseudonyms: bytes, predecessors: Sequence[int] = ()
) -> bytes:
    """Write a private opening."""
    return codec.encode(
        roster_pb2.RosterOpening(
            first_slot=first_slot, salts=salts, pseudonyms=pseudonyms, predecessors=predecessors
        )
    )


def parse_opening(data: bytes) -> Opening:
    """Read a private opening; raises Malformed."""
    message = codec.parse(roster_pb2.RosterOpening, data, maximum_bytes=BODY_BYTES_MAX)
    rows = len(message.salts) // SALT_BYTES
    chunks.check_rows(message.salts, rows, SALT_BYTES, "Roster opening's salts")
    chunks.check_rows(message.pseudonyms, rows, PSEUDONYM_BYTES, "Roster opening's pseudonyms")
    predecessors = tuple(message.predecessors)
    if predecessors and len(predecessors) != rows:
        raise Malformed(REASON_WRONG_SHAPE, "Roster opening's predecessors are not one a row.")
    return Opening(message.first_slot, message.salts, message.pseudonyms, predecessors)


def erase(opening: bytes, *slot_numbers: int) -> bytes:
    """Give the opening with these slots' salts and pseudonyms zeroed; every proof holds as before."""
    rows = parse_opening(opening)
    salts, pseudonyms = bytearray(rows.salts), bytearray(rows.pseudonyms)
    predecessors = list(rows.predecessors)
    for number in slot_numbers:
        row = number - rows.first_slot
        half = slice(row * HALF_BYTES, (row + 1) * HALF_BYTES)
        salts[half] = pseudonyms[half] = bytes(HALF_BYTES)
        if predecessors:
            predecessors[row] = NOBODY
    return encode_opening(rows.first_slot, bytes(salts), bytes(pseudonyms), predecessors)


def check_opening(chunk: Chunk, opening: Opening) -> int:
    """Check an opening row by row and give the number of rows erased (salt and pseudonym zero)."""
    if opening.first_slot != chunk.first_slot or len(opening.salts) != chunk.count * SALT_BYTES:
        raise chunks.mismatch("A roster opening does not belong to its chunk.")
    _check_successions(chunk, opening)
    found = slots_of(opening.salts, opening.pseudonyms)
    if found == chunk.slots:
        return 0
    zero, erased = bytes(HALF_BYTES), 0
    for row in range(chunk.count):
        part, half = (
            slice(row * SLOT_BYTES, (row + 1) * SLOT_BYTES),
            slice(row * HALF_BYTES, (row + 1) * HALF_BYTES),
        )
        if found[part] == chunk.slots[part]:
            continue
        if opening.salts[half] != zero or opening.pseudonyms[half] != zero:
            raise chunks.mismatch(
                f"Slot {chunk.first_slot + row} is not SHA-256(salt || pseudonym) of its opening."
            )
        erased += 1
    return erased


def _check_successions(chunk: Chunk, opening: Opening) -> None:
    """Refuse predecessors other than those the chunk commits to; rows erased since have none."""
    if bool(chunk.successions) != bool(opening.predecessors):
        raise chunks.mismatch("A roster opening's predecessors are not those of its chunk.")
    for row, predecessor in enumerate(opening.predecessors):
        salt = opening.salts[row * SALT_BYTES : (row + 1) * SALT_BYTES]
        is_erased = salt == bytes(SALT_BYTES) and predecessor == NOBODY
        committed = chunk.successions[row * HASH_BYTES : (row + 1) * HASH_BYTES]
        if not is_erased and succession(salt, predecessor) != committed:
            raise chunks.mismatch(f"Slot {chunk.first_slot + row} does not succeed the slot it names.")


@dataclass(frozen=True, slots=True)
class _Reach:
    effective: Epoch
    total: int
    root: bytes
    key_id: bytes
    index: int


@dataclass(slots=True)
class RosterState:
    """One enterprise's roster as its batches made it; `tree` is None once a batch came without its chunks."""

    tree: CompactTree | None = field(default_factory=CompactTree)
    _batches: list[_Reach] = field(default_factory=list)
    _until: dict[int, Epoch] = field(default_factory=dict)
    # Slots withdrawn, ascending, by the epoch from which they are.
    _withdrawn: list[tuple[Epoch, array[int]]] = field(default_factory=list)
    # Slots that took another's place after a rotation of the key.
    _predecessors: dict[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Count all slots ever given."""
        return self._batches[-1].total if self._batches else 0

    @property
    def last_effective(self) -> Epoch | None:
        """Give the effective epoch of the last batch."""
        return self._batches[-1].effective if self._batches else None

    def grown(self, slots: bytes) -> CompactTree | None:
        """Give the tree with more slots, this roster unchanged; None where the slots before are not known."""
        if self.tree is None:
            return None
        tree = self.tree.copy()
        tree.extend_rows(slots, SLOT_BYTES)
        return tree

    def add(
        self,
        batch: roster_pb2.RosterBatch,
        tree: CompactTree | None,
        *,
        index: int = 0,
        predecessors: Sequence[int] = (),
    ) -> None:
        """Take a batch that has been checked; `tree` is None when its chunks were not at hand."""
        effective = Epoch(batch.effective_epoch)
        self.tree = tree
        total = batch.first_slot + batch.count
        self._batches.append(_Reach(effective, total, batch.roster_root, batch.pseudonym_key_id, index))
        for number in batch.withdrawn_slots:
            self._until[number] = effective
        if batch.withdrawn_slots:
            self._withdrawn.append((effective, array("I", batch.withdrawn_slots)))
        for number, before in enumerate(predecessors, batch.first_slot):
            if before != NOBODY:
                self._predecessors[number] = before

    def key_of(self, number: int) -> bytes:
        """Name the pseudonym key a slot was given under."""
        return self._batch_of(number).key_id

    def since(self, number: int) -> tuple[Epoch, int]:
        """Say since when a slot's person is enrolled, over rotations: the epoch, and the batch's entry."""
        while number in self._predecessors:
            number = self._predecessors[number]
        batch = self._batch_of(number)
        return batch.effective, batch.index

    def is_withdrawn(self, number: int) -> bool:
        """Say whether a slot has a withdrawal on record."""
        return number in self._until

    def total_at(self, epoch: Epoch) -> int:
        """Count the slots given up to the epoch's start, withdrawn ones among them."""
        batch = self._at(epoch)
        return batch.total if batch else 0

    def root_at(self, epoch: Epoch) -> bytes:
        """Give the root over all slots at the epoch's start."""
        batch = self._at(epoch)
        return batch.root if batch else CompactTree().root()

    def active_count(self, epoch: Epoch) -> int:
        """Count the active slots of an epoch."""
        return self.total_at(epoch) - len(self._stopped(epoch))

    def active_slots(self, epoch: Epoch) -> array[int]:
        """List the active slots of an epoch in slot order, as unsigned 32-bit numbers."""
        stopped = self._stopped(epoch)
        everyone = array("I", range(self.total_at(epoch)))
        return array("I", (number for number in everyone if number not in stopped)) if stopped else everyone

    def row_of(self, number: int, epoch: Epoch) -> int | None:
        """Give a slot's place among the active slots of an epoch; None for one that is not."""
        if number >= self.total_at(epoch) or self._until.get(number, epoch + 1) <= epoch:
            return None
        acting = (slots for effective, slots in self._withdrawn if effective <= epoch)
        return number - sum(bisect_left(slots, number) for slots in acting)

    def _stopped(self, epoch: Epoch) -> set[int]:
        total = self.total_at(epoch)
        return {number for number, until in self._until.items() if until <= epoch and number < total}

    def _batch_of(self, number: int) -> _Reach:
        return self._batches[bisect_right(self._batches, number, key=lambda batch: batch.total)]

    def _at(self, epoch: Epoch) -> _Reach | None:
        position = bisect_right(self._batches, epoch, key=lambda batch: batch.effective)
        return self._batches[position - 1] if position else None


def build_batch(
    header: envelope_pb2.Header,
    *,
    effective: Epoch,
    key_id: bytes,
    first_slot: int,
    salts: bytes,
    pseudonyms: bytes,
    consents: bytes,
    withdrawn: Sequence[int],
    tree: CompactTree,
    predecessors: Sequence[int] = (),
) -> BuiltBatch:
    """Build a batch over all rows; `tree` holds the slots before it and is left as it was.

    `predecessors` are the withdrawn slots that the rows succeed after a rotation, NOBODY for new persons.
    """
    successions = b"".join(
        succession(salts[row * SALT_BYTES : (row + 1) * SALT_BYTES], predecessor)
        for row, predecessor in enumerate(predecessors)
    )
    slots = slots_of(salts, pseudonyms)
    grown = tree.copy()
    grown.extend_rows(slots, SLOT_BYTES)
    bodies: list[bytes] = []
    for start in range(0, len(slots) // SLOT_BYTES, ROSTER_ROWS_MAX):
        wide = slice(start * SLOT_BYTES, (start + ROSTER_ROWS_MAX) * SLOT_BYTES)
        half = slice(start * HALF_BYTES, (start + ROSTER_ROWS_MAX) * HALF_BYTES)
        before = predecessors[start : start + ROSTER_ROWS_MAX]
        bodies.append(encode_chunk(first_slot + start, slots[wide], consents[wide], successions[wide]))
        bodies.append(encode_opening(first_slot + start, salts[half], pseudonyms[half], before))
    message = roster_pb2.RosterBatch(
        header=header,
        effective_epoch=effective,
        pseudonym_key_id=key_id,
        first_slot=first_slot,
        count=len(slots) // SLOT_BYTES,
        chunks_root=chunks.chunks_root(bodies[::2]),
        roster_root=grown.root(),
        withdrawn_slots=list(withdrawn),
    )
    return BuiltBatch(message, bodies)


def check_bodies(
    batch: roster_pb2.RosterBatch, bodies: Sequence[bytes], *, erasure_allowed: bool
) -> RosterRows:
    """Check a batch's bodies against what it signs and give its rows; raises Malformed."""
    expected = chunks.chunk_count(batch.count, ROSTER_ROWS_MAX)
    chunks.check_count(bodies, 2 * expected, "Roster batch")
    if chunks.chunks_root(bodies[::2]) != batch.chunks_root:
        raise chunks.mismatch("The roster chunks are not those the batch signs.")
    slots, pseudonyms, erased = bytearray(), bytearray(), 0
    predecessors: list[int] = []
    for number in range(expected):
        chunk = _chunk_at(batch, number, bodies[2 * number])
        opening = parse_opening(bodies[2 * number + 1])
        erased += check_opening(chunk, opening)
        slots += chunk.slots
        pseudonyms += opening.pseudonyms
        predecessors += opening.predecessors
    if erased and not erasure_allowed:
        raise chunks.mismatch(f"{erased} rows of the roster's openings are empty.")
    if predecessors and len(predecessors) != batch.count:
        raise chunks.mismatch("Some of the roster's chunks name predecessors, others do not.")
    return RosterRows(bytes(slots), bytes(pseudonyms), erased, tuple(predecessors))


def check_withdrawn(state: RosterState, batch: roster_pb2.RosterBatch) -> None:
    """Refuse withdrawals that are not ascending, unknown or on record already; raises ROSTER_WRONG."""
    numbers = batch.withdrawn_slots
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise Refused(REASON_ROSTER_WRONG, "Withdrawn slots must be ascending, each once.")
    for number in numbers:
        if number >= state.total or state.is_withdrawn(number):
            raise Refused(
                REASON_ROSTER_WRONG, f"Slot {number} is not on the roster, or was withdrawn before."
            )


def _chunk_at(batch: roster_pb2.RosterBatch, number: int, data: bytes) -> Chunk:
    chunk = parse_chunk(data)
    first = batch.first_slot + number * ROSTER_ROWS_MAX
    if (chunk.first_slot, chunk.count) != (first, chunks.rows_in_chunk(number, batch.count, ROSTER_ROWS_MAX)):
        raise chunks.mismatch(f"Roster chunk {number} does not hold the slots from {first}.")
    return chunk
