"""Reading a log without trusting who serves it: root recomputed, history consistent, trust root followed.

An entry is handed out only after the hashes above it have been joined to a root the log's key signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runtime.log_reader import LogReader

if TYPE_CHECKING:
    from privacy.trust import TrustRoot


class Entry(NamedTuple):
    """One log entry: an envelope's bytes and where it stands."""

    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint whose signature holds."""

    origin: str
    size: int
    root: bytes
    note: bytes


def read_head(reader: LogReader, vkey: str) -> Head:
    """Fetch the checkpoint and check its signature; raises Unverified CHECKPOINT_INVALID."""
    raise NotImplementedError


def read_entries(
    reader: LogReader, vkey: str, start: int = 0, *, head: Head | None = None
) -> Iterator[Entry]:
    """Stream verified entries from `start` to the checkpoint's size; memory is 32 bytes per 256 entries."""
    raise NotImplementedError


def find_first_trust_root(reader: LogReader, fingerprint: str) -> bytes:
    """Find the envelope whose hex SHA-256 was handed over out of band, among the log's first entries."""
    raise NotImplementedError


class TrustFollower:
    """Pins the first trust root (its bytes, or the hex SHA-256 of them) and follows its signed updates."""

    def __init__(self, pinned: bytes | str) -> None:
        raise NotImplementedError

    @property
    def root(self) -> TrustRoot | None:
        """Give the trust root in force; None until the first has been seen (at once when pinned by bytes)."""
        raise NotImplementedError

    def take(self, entry: Entry) -> bool:
        """Take an entry in log order; True if it changed the trust root. Raises Unverified TRUST_ROOT_INVALID."""
        raise NotImplementedError


def follow_trust_root(entries: Iterable[Entry], pinned: bytes | str) -> TrustRoot:
    """Give the trust root in force after the entries."""
    raise NotImplementedError


class LogMirror:
    """A node's or custodian's own copy of the entries, in a folder: usable offline, grown only consistently."""

    def __init__(self, folder: Path, vkey: str) -> None:
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Count the entries held."""
        raise NotImplementedError

    @property
    def root(self) -> bytes:
        """Give the root over the entries held."""
        raise NotImplementedError

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """Give the entries held, without a network."""
        raise NotImplementedError

    def advance(self, reader: LogReader) -> list[Entry]:
        """Fetch what is new, keep it durably, and give it; raises Unverified HISTORY_INCONSISTENT."""
        raise NotImplementedError

    def body(self, reader: LogReader, index: int, position: int) -> bytes | None:
        """Give a public body, kept after the first time; the caller checks its hash."""
        raise NotImplementedError
