"""What participants chose: who records an overlap class of theirs, whose programme may pool their grams.

A choice acts from the start of an epoch that had not begun when it was logged, so that nobody chooses by
amounts already seen; a later one takes its place from its own epoch on.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from privacy import chunks, codec
from privacy.chunks import BODY_BYTES_MAX, HALF_BYTES, HASH_BYTES
from protos.epochs import Epoch
from protos.v1 import envelope_pb2, programme_pb2

CHOICE_ROWS_MAX = 4_096
SALT_BYTES = HALF_BYTES
# Stands where an account was, after its person was erased.
NOBODY = bytes(HALF_BYTES)
# Before every epoch.
NO_EPOCH = Epoch(0)

Value = TypeVar("Value", str, bool)


@dataclass(frozen=True, slots=True)
class BuiltChoices:
    """A choice batch ready to be signed, with its bodies in order."""

    message: programme_pb2.ChoiceBatch
    bodies: list[bytes]


@dataclass(frozen=True, slots=True)
class ChoiceRows:
    """All choices of a batch and the ticket each rests on."""

    choices: list[programme_pb2.Choice]
    tickets: list[bytes]


@dataclass(slots=True)
class Choices:
    """All choices so far, by account and by what was chosen about, each from an epoch on."""

    batches: int = 0
    last_effective: Epoch = NO_EPOCH
    _recording: dict[bytes, dict[str, list[tuple[Epoch, str]]]] = field(default_factory=dict)
    _pooling: dict[bytes, dict[str, list[tuple[Epoch, bool]]]] = field(default_factory=dict)

    def take(self, choice: programme_pb2.Choice, effective: Epoch) -> None:
        """Take one choice; effective epochs never go back."""
        self.last_effective = max(self.last_effective, effective)
        if choice.WhichOneof("what") == "recording":
            recorded = self._recording.setdefault(choice.account, {})
            made = (effective, choice.recording.enterprise_id)
            recorded.setdefault(choice.recording.overlap_class, []).append(made)
        else:
            pooled = self._pooling.setdefault(choice.account, {})
            pooled.setdefault(choice.pool.programme, []).append((effective, choice.pool.consents))

    def recorder(self, account: bytes, overlap_class: str, epoch: Epoch) -> str:
        """Name the enterprise an account's person chose for an epoch; empty without a choice."""
        return _latest(self._recording.get(account, {}).get(overlap_class, []), epoch, "")

    def pools(self, account: bytes, epoch: Epoch) -> bool:
        """Say whether some programme may pool an account's grams of an epoch."""
        mine = self._pooling.get(account, {})
        return any(_latest(made, epoch, absent=False) for made in mine.values())

    def consents(self, account: bytes, programme: str, epoch: Epoch) -> bool:
        """Say whether a programme may pool an account's grams of an epoch."""
        return _latest(self._pooling.get(account, {}).get(programme, []), epoch, absent=False)

    def ever_consented(self, account: bytes, epoch: Epoch) -> frozenset[str]:
        """Name the programmes that might pool an account's grams of some epoch up to this one."""
        mine = self._pooling.get(account, {})
        return frozenset(
            programme
            for programme, made in mine.items()
            if any(consents and effective <= epoch for effective, consents in made)
        )

    def chosen_by(self, account: bytes) -> list[tuple[Epoch, str, str]]:
        """List (from epoch, overlap class, enterprise) of all that an account's person chose."""
        return sorted(
            (effective, overlap_class, enterprise)
            for overlap_class, made in self._recording.get(account, {}).items()
            for effective, enterprise in made
        )

    def pooled_by(self, account: bytes) -> list[tuple[Epoch, str, bool]]:
        """List (from epoch, programme, consents) of all that an account's person said about pooling."""
        return sorted(
            (effective, programme, consents)
            for programme, made in self._pooling.get(account, {}).items()
            for effective, consents in made
        )

    @property
    def has_pooling(self) -> bool:
        """Say whether anybody ever said anything about pooling."""
        return bool(self._pooling)


def subject(choice: programme_pb2.Choice) -> bytes:
    """Give the subject of the ticket for a choice: the SHA-256 of it without its account."""
    bare = programme_pb2.Choice()
    bare.CopyFrom(choice)
    bare.ClearField("account")
    return hashlib.sha256(codec.encode(bare)).digest()


def commitment(salt: bytes, choice: programme_pb2.Choice) -> bytes:
    """Give the public commitment of one choice."""
    return hashlib.sha256(salt + codec.encode(choice)).digest()


def build_choices(
    header: envelope_pb2.Header,
    *,
    effective: Epoch,
    salts: bytes,
    choices: Sequence[programme_pb2.Choice],
    tickets: Sequence[bytes],
) -> BuiltChoices:
    """Build a batch over all choices, in the order given; 16 bytes of salt each."""
    bodies: list[bytes] = []
    for first in range(0, len(choices), CHOICE_ROWS_MAX):
        rows = slice(first, first + CHOICE_ROWS_MAX)
        mine = salts[first * SALT_BYTES : (first + CHOICE_ROWS_MAX) * SALT_BYTES]
        commitments = _commitments(mine, choices[rows])
        bodies.append(codec.encode(programme_pb2.ChoiceChunk(first=first, commitments=commitments)))
        opening = programme_pb2.ChoiceOpening(
            first=first, salts=mine, choices=choices[rows], tickets=tickets[rows]
        )
        bodies.append(codec.encode(opening))
    message = programme_pb2.ChoiceBatch(
        header=header,
        effective_epoch=effective,
        count=len(choices),
        chunks_root=chunks.chunks_root(bodies[::2]),
    )
    return BuiltChoices(message, bodies)


def check_bodies(
    batch: programme_pb2.ChoiceBatch, bodies: Sequence[bytes], *, erasure_allowed: bool = False
) -> ChoiceRows:
    """Check a batch's bodies against what it signs and give its choices; raises Malformed.

    Rows erased since are left out where that is allowed.
    """
    expected = chunks.chunk_count(batch.count, CHOICE_ROWS_MAX)
    chunks.check_count(bodies, 2 * expected, "Choice batch")
    if chunks.chunks_root(bodies[::2]) != batch.chunks_root:
        raise chunks.mismatch("The choice chunks are not those the batch signs.")
    rows = ChoiceRows([], [])
    for number in range(expected):
        count = chunks.rows_in_chunk(number, batch.count, CHOICE_ROWS_MAX)
        opening = _opened(bodies[2 * number], bodies[2 * number + 1], number * CHOICE_ROWS_MAX, count)
        for choice, ticket in zip(opening.choices, opening.tickets, strict=True):
            is_gone = choice.account == NOBODY
            if is_gone and not erasure_allowed:
                raise chunks.mismatch("A row of the choice openings is empty.")
            if not is_gone:
                rows.choices.append(choice)
                rows.tickets.append(ticket)
    return rows


def erase(data: bytes, is_theirs: Callable[[bytes], bool]) -> bytes:
    """Empty the rows of an opening whose tickets are a person's."""
    opening = codec.parse(programme_pb2.ChoiceOpening, data, maximum_bytes=BODY_BYTES_MAX)
    salts = bytearray(opening.salts)
    for row, ticket in enumerate(opening.tickets):
        if is_theirs(ticket):
            opening.choices[row].account = NOBODY
            opening.tickets[row] = bytes(len(ticket))
            salts[row * SALT_BYTES : (row + 1) * SALT_BYTES] = bytes(SALT_BYTES)
    opening.salts = bytes(salts)
    return codec.encode(opening)


def _opened(chunk_data: bytes, opening_data: bytes, first: int, rows: int) -> programme_pb2.ChoiceOpening:
    chunk = codec.parse(programme_pb2.ChoiceChunk, chunk_data, maximum_bytes=BODY_BYTES_MAX)
    opening = codec.parse(programme_pb2.ChoiceOpening, opening_data, maximum_bytes=BODY_BYTES_MAX)
    if chunk.first != first or opening.first != first:
        raise chunks.mismatch(f"A choice chunk or opening does not hold the rows from {first}.")
    chunks.check_rows(chunk.commitments, rows, HASH_BYTES, "Choice chunk's commitments")
    chunks.check_rows(opening.salts, rows, SALT_BYTES, "Choice opening's salts")
    if len(opening.choices) != rows or len(opening.tickets) != rows:
        raise chunks.mismatch(f"The choice opening from {first} does not hold {rows} choices and tickets.")
    for row, choice in enumerate(opening.choices):
        salt = opening.salts[row * SALT_BYTES : (row + 1) * SALT_BYTES]
        if choice.account == NOBODY and not any(salt) and not any(opening.tickets[row]):
            continue
        if commitment(salt, choice) != chunk.commitments[row * HASH_BYTES : (row + 1) * HASH_BYTES]:
            raise chunks.mismatch(f"Choice {first + row} does not give the commitment that was logged.")
    return opening


def _commitments(salts: bytes, choices: Sequence[programme_pb2.Choice]) -> bytes:
    return b"".join(
        commitment(salts[row * SALT_BYTES : (row + 1) * SALT_BYTES], choice)
        for row, choice in enumerate(choices)
    )


def _latest(made: Sequence[tuple[Epoch, Value]], epoch: Epoch, absent: Value) -> Value:
    position = bisect_right(made, epoch, key=lambda one: one[0])
    return made[position - 1][1] if position else absent
