"""Releases: an enterprise's noised statements and tables for an epoch, held against policy and roster.

Statements travel as packed sfixed64: on the wire a bytes field of little-endian int64, so they are encoded
and parsed by slicing, whatever their length. Series, their order and chunk sizes follow from the policy.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from privacy import chunks, codec
from privacy.anchors import Covered
from privacy.charges import NOTHING_COVERED, charges_of, check_claim
from privacy.chunks import BODY_BYTES_MAX, STATEMENT_ROWS_MAX
from privacy.policy import Policy
from privacy.series import Series
from protos.epochs import Epoch
from protos.problems import Malformed, Refused
from protos.v1 import envelope_pb2, policy_pb2, release_pb2
from protos.v1.problem_pb2 import (
    REASON_MALFORMED_MESSAGE,
    REASON_ROSTER_WRONG,
    REASON_WRONG_SHAPE,
)

VALUE_BYTES = 8
NONCE_BYTES = 32

# Field 3, wire type 2: the packed grams of a StatementChunk.
_GRAMS_TAG = 0x1A


@dataclass(frozen=True, slots=True)
class StatementRows:
    """Rows of one statement chunk; `raw` is little-endian int64 grams, end to end."""

    measure_id: str
    first_row: int
    raw: bytes

    @property
    def rows(self) -> int:
        """Count the rows."""
        return len(self.raw) // VALUE_BYTES

    def grams(self) -> array[int]:
        """Give the grams as signed 64-bit numbers."""
        return from_raw(self.raw)


@dataclass(frozen=True, slots=True)
class BuiltRelease:
    """A release ready to be signed, with its bodies in order."""

    message: release_pb2.Release
    bodies: list[bytes]


def to_raw(values: Sequence[int]) -> bytes:
    """Write integers as little-endian int64, end to end (an int64 numpy array's `tobytes` does the same)."""
    numbers = array("q", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def from_raw(raw: bytes) -> array[int]:
    """Read little-endian int64 values lying end to end."""
    numbers = array("q", raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def encode_statement_chunk(measure_id: str, first_row: int, raw: bytes) -> bytes:
    """Write a chunk; `raw` is little-endian int64 grams."""
    head = codec.encode(release_pb2.StatementChunk(measure_id=measure_id, first_row=first_row))
    return b"".join((head, bytes([_GRAMS_TAG]), _varint(len(raw)), raw)) if raw else head


def parse_statement_chunk(data: bytes) -> StatementRows:
    """Read a chunk, canonical form only; raises Malformed."""
    codec.check_size(data, BODY_BYTES_MAX, "A statement chunk")
    start = _grams_start(data)
    head = codec.parse(release_pb2.StatementChunk, data[:start], maximum_bytes=BODY_BYTES_MAX)
    end_of_length = start + 1
    while end_of_length < len(data) and data[end_of_length] & 0x80:
        end_of_length += 1
    raw = data[end_of_length + 1 :]
    rows = StatementRows(head.measure_id, head.first_row, raw)
    is_whole = len(raw) % VALUE_BYTES == 0 and bool(raw)
    if not is_whole or data[start : end_of_length + 1] != bytes([_GRAMS_TAG]) + _varint(len(raw)):
        raise Malformed(REASON_MALFORMED_MESSAGE, "A statement chunk's grams are not packed canonically.")
    return rows


def statement_chunks(measure_id: str, raw: bytes) -> list[bytes]:
    """Cut a statement's rows (little-endian int64 grams in slot order) into chunks."""
    step = STATEMENT_ROWS_MAX * VALUE_BYTES
    return [
        encode_statement_chunk(measure_id, start // VALUE_BYTES, raw[start : start + step])
        for start in range(0, len(raw), step)
    ]


def build_reservation(
    header: envelope_pb2.Header,
    *,
    epoch: Epoch,
    policy: Policy,
    nonce: bytes,
    covered: Covered = NOTHING_COVERED,
) -> release_pb2.Reservation:
    """Build the reservation of an enterprise's whole release; `nonce` is 32 fresh bytes."""
    return release_pb2.Reservation(
        header=header,
        epoch=epoch,
        policy_hash=policy.policy_hash,
        charges=charges_of(policy, header.issuer, epoch, covered),
        nonce=nonce,
    )


def build_release(
    header: envelope_pb2.Header,
    *,
    epoch: Epoch,
    policy: Policy,
    reservation_hash: bytes,
    roster_root: bytes,
    active_slots: int,
    statements: Mapping[str, bytes],
    tables: Mapping[str, Sequence[int]],
    covered: Covered = NOTHING_COVERED,
    selection_hash: bytes = b"",
) -> BuiltRelease:
    """Build a release; statements by series name as raw int64 values, tables likewise as numbers."""
    message = release_pb2.Release(
        header=header,
        epoch=epoch,
        policy_hash=policy.policy_hash,
        reservation_hash=reservation_hash,
        roster_root=roster_root,
        active_slots=active_slots,
        selection_hash=selection_hash,
    )
    bodies: list[bytes] = []
    for item in policy.series(header.issuer, epoch):
        if item.by_slot:
            cut = statement_chunks(item.measure_id, statements[item.name])
            bodies += cut
            message.statements.append(_statement(item, active_slots, cut, covered.get(item.name, ())))
        else:
            message.tables.append(_table(item, tables[item.name]))
    return BuiltRelease(message, bodies)


def check_release(
    release: release_pb2.Release,
    policy: Policy,
    enterprise_id: str,
    *,
    roster_root: bytes,
    active_slots: int,
    covered: Covered = NOTHING_COVERED,
) -> None:
    """Refuse a release that is not exactly the policy's series over the roster of its epoch.

    Raises Refused ROSTER_WRONG, Malformed WRONG_SHAPE.
    """
    if release.roster_root != roster_root or release.active_slots != active_slots:
        raise Refused(
            REASON_ROSTER_WRONG,
            f"The release stands on another roster: {release.active_slots} active slots, "
            f"the log has {active_slots}.",
            remedy="Recover the roster from the log, then release again.",
        )
    series = policy.series(enterprise_id, Epoch(release.epoch))
    statements = [item for item in series if item.by_slot]
    tables = [item for item in series if not item.by_slot]
    if len(release.statements) != len(statements) or len(release.tables) != len(tables):
        raise Malformed(
            REASON_WRONG_SHAPE,
            f"The policy has {len(statements)} statements and {len(tables)} tables; "
            f"{len(release.statements)} and {len(release.tables)} came.",
        )
    for statement, item in zip(release.statements, statements, strict=True):
        _check_statement(statement, item, active_slots)
        if tuple(statement.epochs) != tuple(covered.get(item.name, ())):
            raise _wrong(f"{item.name}: it totals {list(statement.epochs)}, reserved for was another year.")
    for table, item in zip(release.tables, tables, strict=True):
        _check_table(table, item)


def body_count(release: release_pb2.Release) -> int:
    """Count the bodies that belong to a release."""
    return sum(chunks.chunk_count(item.rows, STATEMENT_ROWS_MAX) for item in release.statements)


def check_bodies(release: release_pb2.Release, bodies: Sequence[bytes]) -> None:
    """Check all statement chunks against what the release signs; raises Malformed naming the body."""
    chunks.check_count(bodies, body_count(release), "Release")
    position = 0
    for statement in release.statements:
        count = chunks.chunk_count(statement.rows, STATEMENT_ROWS_MAX)
        mine = bodies[position : position + count]
        if chunks.chunks_root(mine) != statement.chunks_root:
            raise chunks.mismatch(f"The chunks of statement {statement.measure_id} are not those signed.")
        for number, data in enumerate(mine):
            _check_chunk(statement, number, data)
        position += count


def _check_chunk(statement: release_pb2.Statement, number: int, data: bytes) -> None:
    rows = parse_statement_chunk(data)
    expected = chunks.rows_in_chunk(number, statement.rows, STATEMENT_ROWS_MAX)
    found = (rows.measure_id, rows.first_row, rows.rows)
    if found != (statement.measure_id, number * STATEMENT_ROWS_MAX, expected):
        raise chunks.mismatch(f"Chunk {number} of statement {statement.measure_id} does not hold its rows.")


def _check_statement(statement: release_pb2.Statement, item: Series, active_slots: int) -> None:
    if statement.measure_id != item.measure_id or int(statement.kind) != item.measure_kind:
        raise _wrong(f"A statement of {item.measure_id} was expected, {statement.measure_id!r} came.")
    check_claim(statement.claim, item.claim, item.name)
    if statement.rows != active_slots:
        raise _wrong(f"{item.name}: {statement.rows} rows for {active_slots} active slots.")
    if statement.chunk_rows != STATEMENT_ROWS_MAX:
        raise _wrong(f"{item.name}: chunks have {STATEMENT_ROWS_MAX} rows, not {statement.chunk_rows}.")


def _check_table(table: release_pb2.Table, item: Series) -> None:
    if (table.table_id, table.kind) != (item.table_id, item.table_kind):
        raise _wrong(f"Table {item.name} was expected, {table.table_id!r} of kind {table.kind} came.")
    check_claim(table.claim, item.claim, item.name)
    if len(table.values) != item.cells:
        raise _wrong(f"{item.name}: {len(table.values)} cells, its public keys are {item.cells}.")


def _statement(
    item: Series, rows: int, cut: Sequence[bytes], epochs: Sequence[Epoch]
) -> release_pb2.Statement:
    return release_pb2.Statement(
        measure_id=item.measure_id,
        claim=item.claim.to_wire(),
        rows=rows,
        chunk_rows=STATEMENT_ROWS_MAX,
        chunks_root=chunks.chunks_root(cut),
        epochs=epochs,
        kind=policy_pb2.MeasureKind.ValueType(item.measure_kind),
    )


def _table(item: Series, values: Sequence[int]) -> release_pb2.Table:
    return release_pb2.Table(
        table_id=item.table_id, kind=item.table_kind, claim=item.claim.to_wire(), values=values
    )


def _grams_start(data: bytes) -> int:
    """Find where the grams begin: behind a short measure id and a first row, each if present."""
    position = 0
    if data[:1] == b"\x0a" and len(data) > 1:
        position = 2 + data[1]
    if data[position : position + 1] == b"\x15":
        position += 5
    return position


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _wrong(message: str) -> Malformed:
    return Malformed(REASON_WRONG_SHAPE, message)
