"""Links: pseudonyms attached to accounts; logged is SHA-256(salt || pseudonym || account id)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from privacy import chunks, codec
from privacy.chunks import BODY_BYTES_MAX, HALF_BYTES, HASH_BYTES, ROSTER_ROWS_MAX
from privacy.erasures import ERASED
from protos.epochs import Epoch
from protos.v1 import books_pb2, envelope_pb2

ACCOUNT_BYTES = HALF_BYTES


@dataclass(frozen=True, slots=True)
class LinkRows:
    """All rows of a batch, 16 bytes each, end to end; erased ones are zero."""

    pseudonyms: bytes
    accounts: bytes
    erased: int = 0


@dataclass(frozen=True, slots=True)
class BuiltLinks:
    """A link batch ready to be signed, with its bodies in order."""

    message: books_pb2.LinkBatch
    bodies: list[bytes]


def commitments_of(salts: bytes, pseudonyms: bytes, accounts: bytes) -> bytes:
    """Give the commitments of many links, end to end."""
    sha256 = hashlib.sha256
    return b"".join(
        sha256(
            salts[at : at + HALF_BYTES] + pseudonyms[at : at + HALF_BYTES] + accounts[at : at + HALF_BYTES]
        ).digest()
        for at in range(0, len(salts), HALF_BYTES)
    )


def build_links(
    header: envelope_pb2.Header, *, effective: Epoch, salts: bytes, pseudonyms: bytes, accounts: bytes
) -> BuiltLinks:
    """Build a batch over all rows, in the order given."""
    commitments = commitments_of(salts, pseudonyms, accounts)
    rows = len(commitments) // HASH_BYTES
    bodies: list[bytes] = []
    for first in range(0, rows, ROSTER_ROWS_MAX):
        wide = slice(first * HASH_BYTES, (first + ROSTER_ROWS_MAX) * HASH_BYTES)
        half = slice(first * HALF_BYTES, (first + ROSTER_ROWS_MAX) * HALF_BYTES)
        bodies.append(codec.encode(books_pb2.LinkChunk(first=first, commitments=commitments[wide])))
        opening = books_pb2.LinkOpening(
            first=first, salts=salts[half], pseudonyms=pseudonyms[half], accounts=accounts[half]
        )
        bodies.append(codec.encode(opening))
    message = books_pb2.LinkBatch(
        header=header, effective_epoch=effective, count=rows, chunks_root=chunks.chunks_root(bodies[::2])
    )
    return BuiltLinks(message, bodies)


def erase(opening: bytes, pseudonyms: Collection[bytes]) -> bytes:
    """Give the opening with the rows of these pseudonyms zeroed; every proof holds as before."""
    rows = codec.parse(books_pb2.LinkOpening, opening, maximum_bytes=BODY_BYTES_MAX)
    columns = [bytearray(rows.salts), bytearray(rows.pseudonyms), bytearray(rows.accounts)]
    for at in range(0, len(rows.pseudonyms), HALF_BYTES):
        if rows.pseudonyms[at : at + HALF_BYTES] in pseudonyms:
            for column in columns:
                column[at : at + HALF_BYTES] = ERASED
    rows.salts, rows.pseudonyms, rows.accounts = map(bytes, columns)
    return codec.encode(rows)


def check_bodies(
    batch: books_pb2.LinkBatch, bodies: Sequence[bytes], *, erasure_allowed: bool = False
) -> LinkRows:
    """Check a batch's bodies against what it signs and give its rows; raises Malformed."""
    expected = chunks.chunk_count(batch.count, ROSTER_ROWS_MAX)
    chunks.check_count(bodies, 2 * expected, "Link batch")
    if chunks.chunks_root(bodies[::2]) != batch.chunks_root:
        raise chunks.mismatch("The link chunks are not those the batch signs.")
    pseudonyms, accounts, erased = bytearray(), bytearray(), 0
    for number in range(expected):
        rows = chunks.rows_in_chunk(number, batch.count, ROSTER_ROWS_MAX)
        opening, empty = _opened(bodies[2 * number], bodies[2 * number + 1], number * ROSTER_ROWS_MAX, rows)
        erased += empty
        pseudonyms += opening.pseudonyms
        accounts += opening.accounts
    if erased and not erasure_allowed:
        raise chunks.mismatch(f"{erased} rows of the link openings are empty.")
    return LinkRows(bytes(pseudonyms), bytes(accounts), erased)


def _opened(
    chunk_data: bytes, opening_data: bytes, first: int, rows: int
) -> tuple[books_pb2.LinkOpening, int]:
    """Check an opening row by row; give it and the number of rows erased."""
    chunk = codec.parse(books_pb2.LinkChunk, chunk_data, maximum_bytes=BODY_BYTES_MAX)
    opening = codec.parse(books_pb2.LinkOpening, opening_data, maximum_bytes=BODY_BYTES_MAX)
    if chunk.first != first or opening.first != first:
        raise chunks.mismatch(f"A link chunk or opening does not hold the rows from {first}.")
    chunks.check_rows(chunk.commitments, rows, HASH_BYTES, "Link chunk's commitments")
    chunks.check_rows(opening.salts, rows, HALF_BYTES, "Link opening's salts")
    chunks.check_rows(opening.pseudonyms, rows, HALF_BYTES, "Link opening's pseudonyms")
    chunks.check_rows(opening.accounts, rows, ACCOUNT_BYTES, "Link opening's accounts")
    found = commitments_of(opening.salts, opening.pseudonyms, opening.accounts)
    if found == chunk.commitments:
        return opening, 0
    return opening, _count_erased(opening, found, chunk.commitments)


def _count_erased(opening: books_pb2.LinkOpening, found: bytes, logged: bytes) -> int:
    erased = 0
    for row in range(len(logged) // HASH_BYTES):
        wide, half = (
            slice(row * HASH_BYTES, (row + 1) * HASH_BYTES),
            slice(row * HALF_BYTES, (row + 1) * HALF_BYTES),
        )
        if found[wide] == logged[wide]:
            continue
        if any(column[half] != ERASED for column in (opening.salts, opening.pseudonyms, opening.accounts)):
            raise chunks.mismatch(
                f"Link {opening.first + row} of the batch's openings does not give the commitment logged."
            )
        erased += 1
    return erased
