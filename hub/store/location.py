"""Where the hub's database is: one SQLite file in the home, or a PostgreSQL database."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID
from runtime.files import read_private

DSN_BYTES_MAX = 8192


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A file only the hub opens."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A database of the hub's own; the connection string holds a secret and is never shown."""

    dsn: str = field(repr=False)


Location = SqliteFile | PostgresServer


def read_dsn(folder: Path, dsn_file: str | None, dsn_variable: str | None) -> PostgresServer:
    """Read the connection string from its private place; raises Malformed where there is none."""
    if dsn_file is not None:
        text = read_private(folder / dsn_file, DSN_BYTES_MAX).decode("utf-8", "replace")
    else:
        text = os.environ.get(dsn_variable or "", "")
    if not text.strip():
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            "The hub's store has no connection string.",
            remedy=f"Fill {dsn_file or f'the variable {dsn_variable}'}.",
        )
    return PostgresServer(text.strip())
