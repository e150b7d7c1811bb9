"""The node's state database: opening, schema, transactions.

Every concern keeps its own module here and names its tables in a schema of its own; a schema only grows, by
appending statements. Writes happen inside `transaction()`, which nests: the outermost commits.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protos.problems import InvariantBroken, Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID, REASON_INVARIANT_BROKEN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BUSY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one concern: its name, and statements that are only ever appended to."""

    concern: str
    statements: tuple[str, ...]


class Database:
    """One SQLite file; a process's threads share one connection behind a lock."""

    def __init__(self, path: Path, schemas: Iterable[Schema]) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        path.chmod(0o600)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        with self.transaction():
            self._migrate(schemas)

    def _migrate(self, schemas: Iterable[Schema]) -> None:
        """Run the statements each concern has not run yet."""
        self.execute(
            "CREATE TABLE IF NOT EXISTS schema_step (concern TEXT PRIMARY KEY, steps INTEGER NOT NULL) STRICT"
        )
        for schema in schemas:
            done = self.value("SELECT steps FROM schema_step WHERE concern = ?", (schema.concern,)) or 0
            if done > len(schema.statements):
                raise Malformed(
                    REASON_CONFIGURATION_INVALID,
                    f"The state of {schema.concern} was written by a newer version of this program.",
                    remedy="Run the version that wrote it, or a later one.",
                )
            for statement in schema.statements[done:]:
                self.execute(statement)
            self.execute(
                "INSERT OR REPLACE INTO schema_step VALUES (?, ?)",
                (schema.concern, len(schema.statements)),
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside one durable step; an exception undoes it all."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement; give the number of rows it changed."""
        with self._lock:
            return self._connection.execute(sql, values).rowcount

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for every row, inside a transaction."""
        with self.transaction():
            self._connection.executemany(sql, rows)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Give all rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Give the first row of a query, or None."""
        with self._lock:
            found: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
            return found

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Give the first column of the first row, or None."""
        found = self.row(sql, values)
        return None if found is None else found[0]

    def integers(self, sql: str, names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
        """Give a query's columns of integers by these names, without a list of rows."""
        import numpy as np

        with self._lock:
            found = self._connection.execute(sql)
            flat = np.fromiter(itertools.chain.from_iterable(found), dtype=np.int64)
        return {name: flat[place :: len(names)].copy() for place, name in enumerate(names)}

    def mark(self) -> tuple[int, int]:
        """Give what differs whenever anything may have changed, through this connection or another."""
        return int(self.value("PRAGMA data_version")), self._connection.total_changes

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def check_integrity(path: Path) -> str:
    """Let SQLite check its file; raises InvariantBroken when it finds it damaged."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        [(verdict,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        verdict = type(error).__name__
    finally:
        connection.close()
    if verdict != "ok":
        raise InvariantBroken(
            REASON_INVARIANT_BROKEN, "The state database is damaged.", remedy="Restore it from a backup."
        )
    return "ok"
