"""Bulk rows travel beside an envelope in chunks; the envelope signs the root over the chunks' hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from privacy import merkle
from protos.problems import Malformed
from protos.v1.problem_pb2 import (
    REASON_BODY_MISMATCH,
    REASON_BODY_TRUNCATED,
    REASON_WRONG_SHAPE,
)

HASH_BYTES = 32
HALF_BYTES = 16
# Rows of 64 public bytes: a full roster or link chunk has half a mebibyte.
ROSTER_ROWS_MAX = 8_192
# Rows of 8 bytes: a full statement chunk has half a mebibyte.
STATEMENT_ROWS_MAX = 65_536
BODY_BYTES_MAX = 4 << 20


def chunks_root(chunks: Iterable[bytes]) -> bytes:
    """Give the RFC 6962 root over the SHA-256 of each chunk; SHA-256("") without chunks."""
    return merkle.root(hashlib.sha256(chunk).digest() for chunk in chunks)


def chunk_count(rows: int, rows_max: int) -> int:
    """Count the chunks that hold the rows, all but the last full."""
    return -(-rows // rows_max)


def rows_in_chunk(chunk: int, rows: int, rows_max: int) -> int:
    """Count the rows of one chunk."""
    return min(rows_max, rows - chunk * rows_max)


def check_count(bodies: Sequence[bytes], expected: int, what: str) -> None:
    """Refuse too few (truncated) or too many bodies.

    Raises Malformed BODY_TRUNCATED, Malformed BODY_MISMATCH.
    """
    if len(bodies) < expected:
        raise Malformed(REASON_BODY_TRUNCATED, f"{what}: {expected} bodies belong to it, {len(bodies)} came.")
    if len(bodies) > expected:
        raise Malformed(REASON_BODY_MISMATCH, f"{what}: {expected} bodies belong to it, {len(bodies)} came.")


def check_rows(values: bytes, rows: int, row_bytes: int, what: str) -> None:
    """Refuse rows that are not exactly as many and as wide as they must be; raises Malformed WRONG_SHAPE."""
    if len(values) != rows * row_bytes:
        raise Malformed(
            REASON_WRONG_SHAPE,
            f"{what}: {rows} rows of {row_bytes} bytes were expected, {len(values)} bytes came.",
        )


def mismatch(message: str) -> Malformed:
    """Give the problem of a body that is not the one signed."""
    return Malformed(REASON_BODY_MISMATCH, message)
