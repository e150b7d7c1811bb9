"""The custodian's SQLite file: charges and the chain of count reports, each change durable before it counts.

A charge is a row in `batch`; it carries the sequence of the report that counts it, once there is one. At most
one report waits for its receipt: the next is built on it only after the hub has taken it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from protos.problems import Conflict, InvariantBroken
from protos.v1.problem_pb2 import REASON_ALREADY_EXISTS, REASON_INVARIANT_BROKEN, REASON_LOG_AHEAD

SCHEMA_VERSION = 3
BUSY_MS = 10_000

_SCHEMA = """
CREATE TABLE report(
    sequence INTEGER PRIMARY KEY,
    envelope BLOB NOT NULL,
    envelope_hash BLOB NOT NULL,
    receipt BLOB,
    is_logged INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE batch(
    number INTEGER PRIMARY KEY,
    enterprise_id TEXT NOT NULL,
    key_id BLOB NOT NULL,
    batch_hash BLOB NOT NULL,
    elements INTEGER NOT NULL CHECK (elements > 0),
    report INTEGER REFERENCES report(sequence),
    UNIQUE (enterprise_id, batch_hash)
) STRICT;
CREATE INDEX batch_unreported ON batch(number) WHERE report IS NULL;
CREATE INDEX batch_report ON batch(report);
"""
# Since version 2: until when, in microseconds of the epoch, an enterprise's evaluations so far fill its rate.
_RATE = "CREATE TABLE rate(enterprise_id TEXT PRIMARY KEY, filled_until INTEGER NOT NULL) STRICT"

# Since version 3: which input each epoch's beacon is bound to here.
_BEACON = "CREATE TABLE IF NOT EXISTS beacon(epoch INTEGER PRIMARY KEY, message BLOB NOT NULL) STRICT"

# Takes until when the rate is filled, gives the new time, or raises the refusal.
Admit: TypeAlias = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Batch:
    """One charged batch."""

    enterprise_id: str
    key_id: bytes
    batch_hash: bytes
    elements: int


@dataclass(frozen=True, slots=True)
class Report:
    """One count report as it was signed."""

    sequence: int
    envelope: bytes
    envelope_hash: bytes


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """The newest report of the chain: its sequence (0 before the first) and hash."""

    sequence: int
    envelope_hash: bytes


class Store:
    """One connection, used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        path.touch(mode=0o600, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A charge must survive a power cut: every commit reaches the disk.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._prepare()

    def _prepare(self) -> None:
        with self._transaction() as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == SCHEMA_VERSION:
                return
            if version not in range(SCHEMA_VERSION):
                raise InvariantBroken(
                    REASON_INVARIANT_BROKEN, f"The database has version {version}, not {SCHEMA_VERSION}."
                )
            for statement in _SCHEMA.split(";") if version == 0 else ():
                database.execute(statement)
            if version < 2:
                database.execute(_RATE)
            database.execute(_BEACON)
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def charge(self, batch: Batch, granted: int, admit: Admit | None = None) -> int | None:
        """Charge a batch unless it was charged before; give what is left, None if it does not suffice.

        Raises Conflict if it was charged under another key: the log counts a batch once; and what `admit`
        raises, charging nothing.
        """
        with self._transaction() as database:
            used = _used(database, batch.enterprise_id)
            known = _known_key(database, batch)
            if known is not None and known != batch.key_id:
                raise Conflict(
                    REASON_ALREADY_EXISTS,
                    "This batch was evaluated with another pseudonym key.",
                    remedy="Blind the identifiers anew for the key in force.",
                )
            if known is not None:
                return max(granted - used, 0)
            if used + batch.elements > granted:
                return None
            if admit is not None:
                _fill(database, batch.enterprise_id, admit)
            _insert(database, batch, None)
        return granted - used - batch.elements

    def bind_beacon(self, epoch: int, message: bytes) -> bool:
        """Bind an epoch's beacon to an input, durably; False if it is bound to another one."""
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO beacon VALUES (?, ?)", (epoch, message))
            row = database.execute("SELECT message FROM beacon WHERE epoch = ?", (epoch,)).fetchone()
        return bytes(row[0]) == message

    def used(self, enterprise_id: str) -> int:
        """Count what an enterprise has been charged."""
        with self._lock:
            return _used(self._connection, enterprise_id)

    def chain_end(self) -> ChainEnd:
        """Give the newest report, waiting or taken."""
        with self._lock:
            return _chain_end(self._connection)

    def waiting_report(self) -> Report | None:
        """Give the one report without a receipt."""
        with self._lock:
            row = self._connection.execute(
                "SELECT sequence, envelope, envelope_hash FROM report"
                " WHERE receipt IS NULL AND NOT is_logged ORDER BY sequence LIMIT 1"
            ).fetchone()
        return Report(*row) if row else None

    def report(self, sequence: int) -> Report:
        """Give a report of the chain."""
        with self._lock:
            row = self._connection.execute(
                "SELECT sequence, envelope, envelope_hash FROM report WHERE sequence = ?", (sequence,)
            ).fetchone()
        if row is None:
            raise InvariantBroken(REASON_INVARIANT_BROKEN, f"The chain has no report {sequence}.")
        return Report(*row)

    def unreported(self, limit: int) -> list[Batch]:
        """Give the oldest batches without a report that belong into one report: one enterprise, one key."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT enterprise_id, key_id, batch_hash, elements FROM batch WHERE report IS NULL"
                " AND (enterprise_id, key_id) ="
                " (SELECT enterprise_id, key_id FROM batch WHERE report IS NULL ORDER BY number LIMIT 1)"
                " ORDER BY number LIMIT ?",
                (limit,),
            ).fetchall()
        return [Batch(*row) for row in rows]

    def reported(self, enterprise_id: str) -> int:
        """Count the evaluations of an enterprise that stand in reports so far."""
        with self._lock:
            row = self._connection.execute(
                "SELECT COALESCE(SUM(elements), 0) FROM batch WHERE enterprise_id = ? AND report IS NOT NULL",
                (enterprise_id,),
            ).fetchone()
        return int(row[0])

    def add_report(self, report: Report, batches: Sequence[Batch]) -> None:
        """Keep a signed report together with the mark on what it counts."""
        with self._transaction() as database:
            if _chain_end(database).sequence + 1 != report.sequence:
                raise InvariantBroken(REASON_INVARIANT_BROKEN, "A report does not continue its chain.")
            _insert_report(database, report, is_logged=False)
            for batch in batches:
                _mark(database, batch, report.sequence)

    def replace_waiting(self, report: Report) -> None:
        """Put a report signed anew in the place of the one that waits."""
        with self._transaction() as database:
            database.execute(
                "UPDATE report SET envelope = ?, envelope_hash = ? WHERE sequence = ? AND receipt IS NULL"
                " AND NOT is_logged",
                (report.envelope, report.envelope_hash, report.sequence),
            )

    def receive(self, sequence: int, receipt: bytes) -> None:
        """Keep the hub's receipt of a report."""
        with self._transaction() as database:
            database.execute("UPDATE report SET receipt = ? WHERE sequence = ?", (receipt, sequence))

    def adopt(self, report: Report, batches: Sequence[Batch]) -> bool:
        """Take a report of ours that stands in the log; True if this file did not know it.

        The log wins over a report that is only here (after a backup was restored): what that one counted is
        unreported again. Raises Conflict LOG_AHEAD if it contradicts one that the hub had taken.
        """
        with self._transaction() as database:
            known = database.execute(
                "SELECT envelope_hash FROM report WHERE sequence = ?", (report.sequence,)
            ).fetchone()
            if known and known[0] == report.envelope_hash:
                database.execute(
                    "UPDATE report SET is_logged = 1 WHERE sequence = ? AND NOT is_logged", (report.sequence,)
                )
                return False
            _forget_from(database, report.sequence)
            if _chain_end(database).sequence + 1 != report.sequence:
                raise _log_ahead(report.sequence)
            _insert_report(database, report, is_logged=True)
            for batch in batches:
                if _known_key(database, batch) is None:
                    _insert(database, batch, report.sequence)
                else:
                    _mark(database, batch, report.sequence)
        return True

    def totals(self) -> tuple[int, int]:
        """Count all evaluations charged, and those of them that no receipt or log entry covers yet."""
        with self._lock:
            row = self._connection.execute(
                "SELECT COALESCE(SUM(elements), 0), COALESCE(SUM(elements) FILTER (WHERE receipt IS NULL"
                " AND COALESCE(is_logged, 0) = 0), 0) FROM batch LEFT JOIN report ON report = sequence"
            ).fetchone()
        return int(row[0]), int(row[1])

    def totals_by_enterprise(self) -> dict[str, int]:
        """Count the evaluations charged to each enterprise."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT enterprise_id, SUM(elements) FROM batch GROUP BY enterprise_id ORDER BY enterprise_id"
            ).fetchall()
        return {str(enterprise_id): int(total) for enterprise_id, total in rows}


def _used(database: sqlite3.Connection, enterprise_id: str) -> int:
    row = database.execute(
        "SELECT COALESCE(SUM(elements), 0) FROM batch WHERE enterprise_id = ?", (enterprise_id,)
    ).fetchone()
    return int(row[0])


def _fill(database: sqlite3.Connection, enterprise_id: str, admit: Admit) -> None:
    row = database.execute(
        "SELECT filled_until FROM rate WHERE enterprise_id = ?", (enterprise_id,)
    ).fetchone()
    database.execute(
        "INSERT INTO rate VALUES (?, ?) ON CONFLICT (enterprise_id)"
        " DO UPDATE SET filled_until = excluded.filled_until",
        (enterprise_id, admit(int(row[0]) if row else 0)),
    )


def _known_key(database: sqlite3.Connection, batch: Batch) -> bytes | None:
    row = database.execute(
        "SELECT key_id FROM batch WHERE enterprise_id = ? AND batch_hash = ?",
        (batch.enterprise_id, batch.batch_hash),
    ).fetchone()
    return bytes(row[0]) if row else None


def _insert(database: sqlite3.Connection, batch: Batch, report: int | None) -> None:
    database.execute(
        "INSERT INTO batch(enterprise_id, key_id, batch_hash, elements, report) VALUES (?, ?, ?, ?, ?)",
        (batch.enterprise_id, batch.key_id, batch.batch_hash, batch.elements, report),
    )


def _mark(database: sqlite3.Connection, batch: Batch, sequence: int) -> None:
    database.execute(
        "UPDATE batch SET report = ? WHERE enterprise_id = ? AND batch_hash = ?",
        (sequence, batch.enterprise_id, batch.batch_hash),
    )


def _chain_end(database: sqlite3.Connection) -> ChainEnd:
    row = database.execute(
        "SELECT sequence, envelope_hash FROM report ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    return ChainEnd(*row) if row else ChainEnd(0, bytes(32))


def _insert_report(database: sqlite3.Connection, report: Report, *, is_logged: bool) -> None:
    database.execute(
        "INSERT INTO report(sequence, envelope, envelope_hash, is_logged) VALUES (?, ?, ?, ?)",
        (report.sequence, report.envelope, report.envelope_hash, int(is_logged)),
    )


def _forget_from(database: sqlite3.Connection, sequence: int) -> None:
    """Drop reports that the hub never took; what they counted is unreported again."""
    taken = database.execute(
        "SELECT COUNT(*) FROM report WHERE sequence >= ? AND (receipt IS NOT NULL OR is_logged)", (sequence,)
    ).fetchone()[0]
    if taken:
        raise _log_ahead(sequence)
    database.execute("UPDATE batch SET report = NULL WHERE report >= ?", (sequence,))
    database.execute("DELETE FROM report WHERE sequence >= ?", (sequence,))


def _log_ahead(sequence: int) -> Conflict:
    return Conflict(
        REASON_LOG_AHEAD,
        f"The log holds another count report {sequence} under this custodian's key than this file.",
        remedy="Stop and tell the auditors: a twin runs with the same key, or the log was rewritten.",
    )
