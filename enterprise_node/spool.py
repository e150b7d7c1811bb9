"""What other systems push is kept here, sealed and durable, before it is acknowledged; ingest reads it later.

A record sent again under its idempotency key is taken once. Only what cannot become a row at all is refused
at this door; everything else is judged by the source's mapping as rows of files are.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from enterprise_node.quarantine import Flaw
from privacy.sealing import open_sealed, seal
from protos.problems import Malformed, Unavailable
from protos.v1.problem_pb2 import REASON_BUSY, REASON_MESSAGE_TOO_LARGE, REASON_NOT_FOUND

if TYPE_CHECKING:
    from enterprise_node.configuration import SourceSettings
    from enterprise_node.local_keys import LocalKeys
    from enterprise_node.store.push import PushTable

RECORDS_MAX = 10_000
KEY_BYTES_MAX = 128
VALUE_BYTES_MAX = 65_536
# What may wait unread; a sender is told to come back when ingest has made room.
WAITING_BYTES_MAX = 1 << 30
KEY_COLUMN = "idempotency_key"
_CONTENT_BYTES = 16
_ASSOCIATED = b"cgsp node pushed "


class PushedRecord(NamedTuple):
    """One record as it came: the sender's key, and values by column."""

    key: str
    values: Mapping[str, str]


class RefusedRecord(NamedTuple):
    """A record that was not taken: its key, the column and the reason."""

    key: str
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one request; the accepted records are durable."""

    accepted: int
    known: int
    refused: tuple[RefusedRecord, ...]


@dataclass(frozen=True, slots=True)
class Spool:
    """The node's spool of pushed records; may be used from several threads."""

    table: PushTable
    keys: LocalKeys
    sources: Mapping[str, SourceSettings]
    waiting_bytes_max: int = WAITING_BYTES_MAX

    def take(self, source: str, records: Sequence[PushedRecord]) -> Taken:
        """Keep what is new, durably; raises Unavailable when full and Malformed beyond the limits."""
        settings = self._settings(source)
        if len(records) > RECORDS_MAX:
            raise Malformed(
                REASON_MESSAGE_TOO_LARGE,
                f"A request has {len(records)} records where {RECORDS_MAX} are allowed.",
                remedy="Send them in several requests.",
            )
        columns = list(settings.columns)
        with self.table.transaction():
            if self.table.waiting_bytes() > self.waiting_bytes_max:
                raise Unavailable(
                    REASON_BUSY,
                    "What was pushed waits to be read and fills the spool.",
                    remedy="Run cgsp-node ingest or run, then send the same records again.",
                )
            return self._keep(source, columns, records)

    def rows(self, source: str, batch: int) -> bytes:
        """Unseal a batch's rows, CSV of the declared columns in order, without a header."""
        return open_sealed(self.table.sealed(batch), key=self.keys.sealing, associated=_associated(source))

    def reseal(self, source: str, batch: int, rows: Sequence[Sequence[str]]) -> None:
        """Put other rows in the place of a batch's."""
        self.table.reseal(batch, len(rows), self._seal(source, _csv(rows)))

    def _keep(self, source: str, columns: Sequence[str], records: Sequence[PushedRecord]) -> Taken:
        """Sort records into new, known and refused ones, and keep the new."""
        hashed = {record.key: self._hash(b"key " + record.key.encode()) for record in records}
        contents = self.table.contents(source, list(set(hashed.values())))
        fresh: list[tuple[bytes, bytes]] = []
        rows: list[list[str]] = []
        refused: list[RefusedRecord] = []
        known = 0
        for record in records:
            flaw = _flaw(record, columns)
            row = [record.values.get(column, "") for column in columns]
            key, content = hashed[record.key], self._hash(_csv([row]))[:_CONTENT_BYTES]
            if flaw is not None:
                refused.append(RefusedRecord(record.key[:KEY_BYTES_MAX], *flaw))
            elif key not in contents:
                contents[key] = content
                fresh.append((key, content))
                rows.append(row)
            elif contents[key] == content:
                known += 1
            else:
                refused.append(RefusedRecord(record.key, KEY_COLUMN, Flaw.KEY_REUSED))
        if rows:
            self.table.add(source, fresh, len(rows), self._seal(source, _csv(rows)))
        return Taken(len(rows), known, tuple(refused))

    def _settings(self, source: str) -> SourceSettings:
        settings = self.sources.get(source)
        if settings is None:
            raise Unavailable(
                REASON_NOT_FOUND,
                f"No source of kind push is called {source[:64]!r} here.",
                remedy="Name one of the [[source]] sections of node.toml whose kind is push.",
            )
        return settings

    def _hash(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self.keys.lookup, digest_size=32).digest()

    def _seal(self, source: str, data: bytes) -> bytes:
        return seal(data, key=self.keys.sealing, associated=_associated(source), random=os.urandom)


def _flaw(record: PushedRecord, columns: Iterable[str]) -> tuple[str, str] | None:
    """Name column and reason where a record can be no row."""
    if not 1 <= len(record.key.encode()) <= KEY_BYTES_MAX:
        return KEY_COLUMN, Flaw.MISSING_VALUE
    if unknown := sorted(set(record.values) - set(columns)):
        return unknown[0][:KEY_BYTES_MAX], Flaw.UNKNOWN_COLUMN
    for column, value in record.values.items():
        if "\0" in value or len(value.encode()) > VALUE_BYTES_MAX:
            return column, Flaw.WRONG_TYPE
    return None


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _associated(source: str) -> bytes:
    return _ASSOCIATED + source.encode()
