"""Where a log can be read from: a folder (an exported bundle) or a hub over HTTPS (C2SP tlog-tiles).

Nothing here is trusted: readers bound what they read, runtime.log_follower checks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from runtime.identity import Identity

CHECKPOINT_BYTES_MAX = 16_384
TILE_BYTES_MAX = 256 * 32
BUNDLE_BYTES_MAX = 256 * (65_535 + 2)
BODY_BYTES_MAX = 4 << 20


class LogReader(Protocol):
    """Reads one log's resources; raises Unavailable NOT_FOUND for what is not there."""

    def checkpoint(self) -> bytes:
        """Read the latest checkpoint, a signed note."""

    def tile(self, level: int, index: int, width: int = 256) -> bytes:
        """Read a tile of hashes, 32 bytes each."""

    def entries(self, index: int, width: int = 256) -> bytes:
        """Read an entry bundle."""

    def body(self, index: int, position: int) -> bytes | None:
        """Read one body; None if this reader may not see it or it is not there."""

    def bodies(self, index: int) -> list[bytes] | None:
        """Read all bodies of an entry in order; None if this reader may not see them."""


class FolderLog:
    """A log in a folder: checkpoint, log.vkey, tile/…, bodies/<index div 1000>/<index>-<position>."""

    def __init__(self, folder: Path) -> None:
        raise NotImplementedError

    def vkey(self) -> str:
        """Read the verifier key that lies beside the log; a convenience, never a reason to trust."""
        raise NotImplementedError

    def checkpoint(self) -> bytes:
        """Read the checkpoint."""
        raise NotImplementedError

    def tile(self, level: int, index: int, width: int = 256) -> bytes:
        """Read a tile of hashes."""
        raise NotImplementedError

    def entries(self, index: int, width: int = 256) -> bytes:
        """Read an entry bundle."""
        raise NotImplementedError

    def body(self, index: int, position: int) -> bytes | None:
        """Read one body; None if it is not there."""
        raise NotImplementedError

    def bodies(self, index: int) -> list[bytes] | None:
        """Read all bodies of an entry; None if the bundle holds no bodies or only some of this entry's."""
        raise NotImplementedError


class HttpLog:
    """A hub's log over HTTPS; with an identity also private bodies, through its BodyService."""

    def __init__(
        self,
        address: str,
        ca_pem: bytes,
        *,
        identity: Identity | None = None,
        grpc_address: str = "",
        timeout_seconds: float = 30.0,
    ) -> None:
        raise NotImplementedError

    def checkpoint(self) -> bytes:
        """Fetch the checkpoint."""
        raise NotImplementedError

    def tile(self, level: int, index: int, width: int = 256) -> bytes:
        """Fetch a tile of hashes."""
        raise NotImplementedError

    def entries(self, index: int, width: int = 256) -> bytes:
        """Fetch an entry bundle."""
        raise NotImplementedError

    def body(self, index: int, position: int) -> bytes | None:
        """Fetch one public body from /v1/bodies/<index>/<position>; None on 403 or 404."""
        raise NotImplementedError

    def bodies(self, index: int) -> list[bytes] | None:
        """Fetch all bodies through the BodyService; None without identity and gRPC address."""
        raise NotImplementedError

    def bodies_range(self, first: int, end: int) -> Iterator[tuple[int, list[bytes]]]:
        """Stream all bodies of entries first ≤ index < end in one call, entries without bodies left out."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections."""
        raise NotImplementedError
