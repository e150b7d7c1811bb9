"""Journal segments: operations on the ledgers in order, their root signed, their bytes in private bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from privacy import chunks, codec, merkle
from privacy.chunks import BODY_BYTES_MAX
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
    message = ledger_pb2.JournalSegment(
        header=header, first=first, count=len(operations), operations_root=merkle.root(operations)
    )
    return BuiltSegment(message, [codec.encode(ledger_pb2.JournalChunk(first=first, operations=operations))])


def check_bodies(segment: ledger_pb2.JournalSegment, bodies: Sequence[bytes]) -> JournalRows:
    """Check a segment's body against what it signs and give its operations; raises Malformed."""
    chunks.check_count(bodies, 1, "Journal segment")
    chunk = codec.parse(ledger_pb2.JournalChunk, bodies[0], maximum_bytes=BODY_BYTES_MAX)
    operations = tuple(chunk.operations)
    if chunk.first != segment.first or len(operations) != segment.count:
        raise chunks.mismatch("The journal chunk does not hold the operations the segment counts.")
    if merkle.root(operations) != segment.operations_root:
        raise chunks.mismatch("The operations are not those the segment signs.")
    for operation in operations:
        codec.parse(ledger_pb2.Operation, operation, maximum_bytes=OPERATION_BYTES_MAX)
    return JournalRows(int(segment.first), operations)


def check_shape(segment: ledger_pb2.JournalSegment) -> None:
    """Check what a segment says without its body; raises Malformed."""
    if not 1 <= segment.count <= OPERATIONS_MAX:
        raise Malformed(REASON_WRONG_SHAPE, f"A segment holds 1 to {OPERATIONS_MAX} operations.")
    if len(segment.operations_root) != merkle.HASH_BYTES:
        raise Malformed(REASON_WRONG_SHAPE, f"A segment's root has {merkle.HASH_BYTES} bytes.")
