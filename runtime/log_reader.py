"""Where a log can be read from: a folder (an exported bundle) or a hub over HTTPS (C2SP tlog-tiles).

Nothing read here is trusted: readers bound what they read, runtime.log_follower checks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from privacy.checkpoint import NOTE_BYTES_MAX
from privacy.envelope import ENTRY_BYTES_MAX
from privacy.merkle import HASH_BYTES
from privacy.tiles import TILE_WIDTH, entries_path, tile_path
from protos.problems import Malformed, Problem, Unavailable
from protos.v1.problem_pb2 import (
    REASON_MALFORMED_MESSAGE,
    REASON_MESSAGE_TOO_LARGE,
    REASON_NOT_FOUND,
    REASON_ROLE_NOT_ALLOWED,
)
from runtime.addresses import parse_address
from runtime.files import read_bounded
from runtime.https import HttpsClient, client_context
from runtime.identity import Identity

if TYPE_CHECKING:
    import grpc

BUNDLE_BYTES_MAX = TILE_WIDTH * (ENTRY_BYTES_MAX + 2)
BODY_BYTES_MAX = 4 << 20
# All bodies of one entry together: a release of ten million persons and a dozen measures.
BODIES_BYTES_MAX = 1 << 30
BODIES_SECONDS_MAX = 600
_VKEY_BYTES_MAX = 1024


class LogReader(Protocol):
    """Reads one log's resources; raises Unavailable NOT_FOUND for what is not there."""

    def checkpoint(self) -> bytes:
        """Read the latest checkpoint, a signed note."""

    def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """Read a tile of hashes, 32 bytes each."""

    def entries(self, index: int, width: int = TILE_WIDTH) -> bytes:
        """Read an entry bundle."""

    def body(self, index: int, position: int) -> bytes | None:
        """Read one body; None if this reader may not see it or it is not there."""

    def bodies(self, index: int) -> list[bytes] | None:
        """Read all bodies of an entry in order; None if this reader may not see them."""


def body_path(index: int, position: int) -> str:
    """Give a body's path in a bundle folder."""
    return f"bodies/{index // 1000}/{index}-{position}"


class FolderLog:
    """A log in a folder: checkpoint, log.vkey, tile/…, bodies/<index div 1000>/<index>-<position>."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise Unavailable(REASON_NOT_FOUND, f"There is no folder {folder}.", remedy="Check the path.")
        self._folder = folder

    def vkey(self) -> str:
        """Read the verifier key beside the log, one line; a convenience, never a reason to trust."""
        text = read_bounded(self._folder / "log.vkey", _VKEY_BYTES_MAX).decode("utf-8", "replace")
        if not text.endswith("\n"):
            raise Malformed(REASON_MALFORMED_MESSAGE, "log.vkey is not one line.")
        return text[:-1]

    def checkpoint(self) -> bytes:
        """Read the checkpoint."""
        return read_bounded(self._folder / "checkpoint", NOTE_BYTES_MAX)

    def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """Read a tile of hashes; a tile grown full since holds the partial one."""
        limit = TILE_WIDTH * HASH_BYTES
        try:
            return read_bounded(self._folder / tile_path(level, index, width), limit)
        except Unavailable:
            if width == TILE_WIDTH:
                raise
            return read_bounded(self._folder / tile_path(level, index), limit)[: width * HASH_BYTES]

    def entries(self, index: int, width: int = TILE_WIDTH) -> bytes:
        """Read an entry bundle; a bundle grown full since holds the partial one."""
        try:
            return read_bounded(self._folder / entries_path(index, width), BUNDLE_BYTES_MAX)
        except Unavailable:
            if width == TILE_WIDTH:
                raise
            return first_entries(read_bounded(self._folder / entries_path(index), BUNDLE_BYTES_MAX), width)

    def body(self, index: int, position: int) -> bytes | None:
        """Read one body; None if it is not there."""
        try:
            return read_bounded(self._folder / body_path(index, position), BODY_BYTES_MAX)
        except Unavailable:
            return None

    def bodies(self, index: int) -> list[bytes] | None:
        """Read all bodies of an entry; None if the bundle holds no bodies or only some of this entry's."""
        if not (self._folder / "bodies").is_dir():
            return None
        folder = (self._folder / body_path(index, 0)).parent
        count = sum(1 for _ in folder.glob(f"{index}-*"))
        found = [self.body(index, position) for position in range(count)]
        bodies = [body for body in found if body is not None]
        return bodies if len(bodies) == count else None


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
        parse_address(address)
        self._client = HttpsClient(address, client_context(ca_pem, identity), timeout_seconds=timeout_seconds)
        self._identity = identity
        self._grpc_address = grpc_address
        self._channel: grpc.Channel | None = None

    def checkpoint(self) -> bytes:
        """Fetch the checkpoint."""
        return self._client.get("/checkpoint", NOTE_BYTES_MAX)

    def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """Fetch a tile of hashes; a tile grown full since holds the partial one."""
        limit = TILE_WIDTH * HASH_BYTES
        try:
            return self._client.get("/" + tile_path(level, index, width), limit)
        except Unavailable as problem:
            if width == TILE_WIDTH or problem.reason != REASON_NOT_FOUND:
                raise
            return self._client.get("/" + tile_path(level, index), limit)[: width * HASH_BYTES]

    def entries(self, index: int, width: int = TILE_WIDTH) -> bytes:
        """Fetch an entry bundle; a bundle grown full since holds the partial one."""
        try:
            return self._client.get("/" + entries_path(index, width), BUNDLE_BYTES_MAX)
        except Unavailable as problem:
            if width == TILE_WIDTH or problem.reason != REASON_NOT_FOUND:
                raise
            return first_entries(self._client.get("/" + entries_path(index), BUNDLE_BYTES_MAX), width)

    def body(self, index: int, position: int) -> bytes | None:
        """Fetch one public body; None if it is not there or not public."""
        try:
            return self._client.get(f"/v1/bodies/{index}/{position}", BODY_BYTES_MAX)
        except Problem as problem:
            if problem.reason in (REASON_NOT_FOUND, REASON_ROLE_NOT_ALLOWED):
                return None
            raise

    def bodies(self, index: int) -> list[bytes] | None:
        """Fetch all bodies through the BodyService; None without identity and gRPC address."""
        if self._identity is None or not self._grpc_address:
            return None
        found = dict(self.bodies_range(index, index + 1))
        return found.get(index, [])

    def bodies_range(self, first: int, end: int) -> Iterator[tuple[int, list[bytes]]]:
        """Stream all bodies of entries first ≤ index < end in one call, entries without bodies left out."""
        import grpc

        from protos.v1.hub_pb2 import ReadBodiesRequest
        from protos.v1.hub_pb2_grpc import BodyServiceStub
        from runtime.problems import problem_from_rpc_error

        request = ReadBodiesRequest(first_index=first, end_index=end)
        collected = _BodyCollector(first, end)
        try:
            stub = BodyServiceStub(self._opened_channel())
            for part in stub.ReadBodies(request, timeout=BODIES_SECONDS_MAX):
                yield from collected.take(part.index, part.position, part.body)
        except grpc.RpcError as error:
            raise problem_from_rpc_error(error) from None
        yield from collected.rest()

    def _opened_channel(self) -> grpc.Channel:
        from runtime.channels import open_channel

        if self._identity is None or not self._grpc_address:
            raise Unavailable(
                REASON_NOT_FOUND,
                "Private bodies are read with an identity and the hub's gRPC address.",
                remedy="Join as an auditor and give the home folder.",
            )
        if self._channel is None:
            self._channel = open_channel(self._grpc_address, self._identity)
        return self._channel

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _BodyCollector:
    """Joins a stream of bodies into whole entries: indices ascend, positions count from 0."""

    def __init__(self, first: int, end: int) -> None:
        self._next_index = first
        self._end = end
        self._index = -1
        self._bodies: list[bytes] = []
        self._size = 0

    def take(self, index: int, position: int, body: bytes) -> Iterator[tuple[int, list[bytes]]]:
        """Take one body; gives the entry before when a new one begins."""
        if index != self._index:
            yield from self.rest()
            if not self._next_index <= index < self._end:
                raise _stray("index out of order")
            self._index, self._next_index = index, index + 1
        if position != len(self._bodies):
            raise _stray("position out of order")
        self._size += len(body)
        if self._size > BODIES_BYTES_MAX:
            raise Malformed(
                REASON_MESSAGE_TOO_LARGE, f"The bodies of entry {index} exceed {BODIES_BYTES_MAX} bytes."
            )
        self._bodies.append(body)

    def rest(self) -> Iterator[tuple[int, list[bytes]]]:
        """Give the entry collected last."""
        if self._bodies:
            yield self._index, self._bodies
        self._bodies, self._size = [], 0


def _stray(why: str) -> Malformed:
    return Malformed(REASON_MALFORMED_MESSAGE, f"The stream of bodies is broken: {why}.")


def first_entries(bundle: bytes, width: int) -> bytes:
    """Cut a bundle after its first `width` entries; what is too short is given whole."""
    position = 0
    for _ in range(width):
        position += 2 + int.from_bytes(bundle[position : position + 2], "big")
    return bundle[:position]
