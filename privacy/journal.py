"""Journal segments: operations on the ledgers in order, their root signed, their bytes in private bodies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from privacy import chunks, codec, merkle
from privacy.asked import is_emptied, put_ticket, ticket_of
from privacy.chunks import BODY_BYTES_MAX, HASH_BYTES
from protos.problems import Malformed
from protos.v1 import envelope_pb2, ledger_pb2
from protos.v1.problem_pb2 import REASON_WRONG_SHAPE

OPERATIONS_MAX = 1_000
OPERATION_BYTES_MAX = 2_048


@dataclass(frozen=True, slots=True)
class JournalRows:
    """A segment's operations, a message's bytes each, in order; the first has the number `first`."""

    first: int
    operations: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BuiltSegment:
    """A segment ready to be signed, with its body."""

    message: ledger_pb2.JournalSegment
    bodies: list[bytes]


def build_segment(header: envelope_pb2.Header, first: int, operations: Sequence[bytes]) -> BuiltSegment:
    """Build a segment over operations that follow one another."""
    root = merkle.root([leaf(one) for one in operations])
    message = ledger_pb2.JournalSegment(
        header=header, first=first, count=len(operations), operations_root=root
    )
    return BuiltSegment(message, [codec.encode(ledger_pb2.JournalChunk(first=first, operations=operations))])


def check_bodies(segment: ledger_pb2.JournalSegment, bodies: Sequence[bytes]) -> JournalRows:
    """Check a segment's body against what it signs and give its operations; raises Malformed."""
    chunks.check_count(bodies, 1, "Journal segment")
    chunk = codec.parse(ledger_pb2.JournalChunk, bodies[0], maximum_bytes=BODY_BYTES_MAX)
    operations = tuple(chunk.operations)
    if chunk.first != segment.first or len(operations) != segment.count:
        raise chunks.mismatch("The journal chunk does not hold the operations the segment counts.")
    for operation in operations:
        codec.parse(ledger_pb2.Operation, operation, maximum_bytes=OPERATION_BYTES_MAX)
    if merkle.root([leaf(one) for one in operations]) != segment.operations_root:
        raise chunks.mismatch("The operations are not those the segment signs.")
    return JournalRows(int(segment.first), operations)


def leaf(data: bytes) -> bytes:
    """Give what a segment's root is over: an operation with its ticket's SHA-256 in the ticket's place.

    So the root holds after the ticket was erased, and nobody else's operation is in doubt.
    """
    operation = ledger_pb2.Operation.FromString(data)
    ticket = ticket_of(operation)
    if not ticket:
        return data
    is_gone = is_emptied(ticket)
    put_ticket(operation, ticket[:HASH_BYTES] if is_gone else hashlib.sha256(ticket).digest())
    return codec.encode(operation)


def erase_operation(data: bytes, is_theirs: Callable[[bytes], bool]) -> bytes:
    """Leave of a person's ticket its SHA-256, and zeros for the rest: as many bytes as before."""
    operation = ledger_pb2.Operation.FromString(data)
    ticket = ticket_of(operation)
    if not ticket or is_emptied(ticket) or not is_theirs(ticket):
        return data
    put_ticket(operation, hashlib.sha256(ticket).digest() + bytes(len(ticket) - HASH_BYTES))
    return codec.encode(operation)


def erase(data: bytes, is_theirs: Callable[[bytes], bool]) -> bytes:
    """Erase a person's tickets from a segment's body."""
    chunk = codec.parse(ledger_pb2.JournalChunk, data, maximum_bytes=BODY_BYTES_MAX)
    kept = [erase_operation(one, is_theirs) for one in chunk.operations]
    return codec.encode(ledger_pb2.JournalChunk(first=chunk.first, operations=kept))


def check_shape(segment: ledger_pb2.JournalSegment) -> None:
    """Check what a segment says without its body; raises Malformed."""
    if not 1 <= segment.count <= OPERATIONS_MAX:
        raise Malformed(REASON_WRONG_SHAPE, f"A segment holds 1 to {OPERATIONS_MAX} operations.")
    if len(segment.operations_root) != merkle.HASH_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"A segment's root has {merkle.HASH_BYTES} bytes.")
