"""Reading a log without trusting who serves it: root recomputed, trust root followed.

An entry is handed out only after the hashes above it have been joined to a root the log's key signed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from privacy import checkpoint, merkle, tiles, trust
from privacy.checkpoint import Vkey
from privacy.envelope import Kind, envelope_hash, open_envelope
from privacy.merkle import HASH_BYTES
from privacy.tiles import TILE_HEIGHT, TILE_WIDTH, Tile
from privacy.trust import TrustRoot
from protos.problems import Malformed, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_CHECKPOINT_INVALID,
    REASON_CONFIGURATION_INVALID,
    REASON_HISTORY_INCONSISTENT,
    REASON_MALFORMED_MESSAGE,
    REASON_NOT_FOUND,
    REASON_TRUST_ROOT_INVALID,
)
from runtime.log_reader import LogReader

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry: an envelope's bytes and where it stands."""

    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint whose signatures hold; `note` is what was received."""

    origin: str
    size: int
    root: bytes
    note: bytes


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who must have cosigned a checkpoint before anybody acts on it, and how many of them."""

    vkeys: tuple[Vkey, ...] = ()
    quorum: int = 0

    @classmethod
    def of(cls, root: TrustRoot) -> Witnesses:
        """Take them from a trust root."""
        return cls(root.witness_vkeys, root.witness_quorum)


NO_WITNESSES = Witnesses()


def checked_vkey(vkey: Vkey | str) -> Vkey:
    """Take a verifier key, parsed or as text; raises Malformed."""
    return checkpoint.parse_vkey(vkey) if isinstance(vkey, str) else vkey


def open_head(note: bytes, vkey: Vkey | str, witnesses: Witnesses = NO_WITNESSES) -> Head:
    """Check a checkpoint's signature and cosignatures; raises Unverified CHECKPOINT_INVALID."""
    opened = checkpoint.open_checkpoint(note, checked_vkey(vkey))
    cosigned = len(checkpoint.cosigners(note, witnesses.vkeys))
    if cosigned < witnesses.quorum:
        raise Unverified(
            REASON_CHECKPOINT_INVALID,
            f"{cosigned} witnesses cosigned the checkpoint; the trust root asks for {witnesses.quorum}.",
            remedy="Wait for the witnesses; if it lasts, ask the hub's operator.",
        )
    return Head(opened.origin, opened.size, opened.root, note)


def read_head(reader: LogReader, vkey: Vkey | str, witnesses: Witnesses = NO_WITNESSES) -> Head:
    """Fetch the checkpoint and check it; raises Unverified CHECKPOINT_INVALID."""
    return open_head(reader.checkpoint(), vkey, witnesses)


def read_entries(
    reader: LogReader, vkey: Vkey | str, start: int = 0, *, head: Head | None = None
) -> Iterator[Entry]:
    """Stream verified entries from `start` to the checkpoint's size; memory is 32 bytes per 256 entries."""
    trusted = head if head is not None else read_head(reader, vkey)
    known = _KnownHashes(reader, trusted.size)
    known.check_root(trusted.root)
    for bundle in range(start // TILE_WIDTH, -(-trusted.size // TILE_WIDTH)):
        first = bundle * TILE_WIDTH
        width = min(trusted.size - first, TILE_WIDTH)
        entries = tiles.parse_bundle(reader.entries(bundle, width), width)
        known.check_bundle(bundle, entries)
        for index, data in enumerate(entries, start=first):
            if index >= start:
                yield Entry(index, data)


class _KnownHashes:
    """What the tiles say: a hash for every full bundle, leaf hashes for the last one; joined to the root."""

    def __init__(self, reader: LogReader, size: int) -> None:
        self._size = size
        full, width = divmod(size, TILE_WIDTH)
        rows = [_tile(reader, tile) for tile in tiles.tiles_of(size) if tile.level == 1]
        self._bundles = b"".join(rows)
        self._leaves = _tile(reader, Tile(0, full, width)) if width else b""

    def check_root(self, expected: bytes) -> None:
        """Join all of them to the root; every hash takes part, so afterwards every one is trusted."""
        if merkle.root_from(self._node, self._size) != expected:
            raise Unverified(
                REASON_HISTORY_INCONSISTENT,
                f"The tiles served do not give the root that the log signed at {self._size} entries.",
                remedy="Fetch the log again; if it stays, keep both and tell the auditors.",
            )

    def check_bundle(self, bundle: int, entries: Sequence[bytes]) -> None:
        """Compare a bundle's entries with its hash."""
        hashes = [merkle.leaf_hash(entry) for entry in entries]
        if len(entries) == TILE_WIDTH:
            is_right = merkle.root_of_hashes(hashes) == self._node(TILE_HEIGHT, bundle)
        else:
            is_right = b"".join(hashes) == self._leaves
        if not is_right:
            raise Unverified(
                REASON_HISTORY_INCONSISTENT,
                f"Entries {bundle * TILE_WIDTH} to {bundle * TILE_WIDTH + len(entries) - 1} "
                "are not those the log signed.",
                remedy="Fetch the log again; if it stays, keep what was served and tell the auditors.",
            )

    def _node(self, level: int, index: int) -> bytes:
        if level >= TILE_HEIGHT:
            row, below, first = self._bundles, level - TILE_HEIGHT, index << level - TILE_HEIGHT
        else:
            row, below, first = self._leaves, level, (index << level) % TILE_WIDTH
        hashes = (row[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(first, first + (1 << below)))
        return merkle.root_of_hashes(list(hashes))


def _tile(reader: LogReader, tile: Tile) -> bytes:
    data = reader.tile(tile.level or 0, tile.index, tile.width)
    if len(data) != tile.width * HASH_BYTES:
        raise Malformed(
            REASON_MALFORMED_MESSAGE,
            f"{tile.path} has {len(data)} bytes where {tile.width * HASH_BYTES} belong.",
        )
    return data


def find_first_trust_root(reader: LogReader, fingerprint: str) -> bytes:
    """Find the envelope whose hex SHA-256 was handed over out of band, among the log's first entries."""
    size = checkpoint.parse_checkpoint(checkpoint.parse_note(reader.checkpoint()).text).size
    width = min(size, TILE_WIDTH)
    for entry in tiles.parse_bundle(reader.entries(0, width), width) if width else ():
        if hashlib.sha256(entry).hexdigest() == fingerprint.lower():
            return entry
    raise Unavailable(
        REASON_NOT_FOUND,
        f"None of the log's first {width} entries is the trust root with this fingerprint.",
        remedy="Compare the fingerprint with the one the hub's operator printed, and the address.",
    )


class TrustFollower:
    """Pins the first trust root (its bytes, or the hex SHA-256 of them) and follows its signed updates."""

    def __init__(self, pinned: bytes | str) -> None:
        if isinstance(pinned, str) and not _FINGERPRINT.fullmatch(pinned):
            raise Malformed(
                REASON_CONFIGURATION_INVALID, "A trust root's fingerprint is 64 lower-case hex digits."
            )
        self._pinned = bytes.fromhex(pinned) if isinstance(pinned, str) else pinned
        self._root = trust.verify_first(pinned) if isinstance(pinned, bytes) else None

    @property
    def root(self) -> TrustRoot | None:
        """Give the trust root in force; None until the first has been seen (at once when pinned by bytes)."""
        return self._root

    def take(self, entry: Entry) -> bool:
        """Take an entry in log order, True if it changed the root; raises Unverified TRUST_ROOT_INVALID."""
        if not is_trust_root(entry.data):
            return False
        if self._root is None:
            self._root = trust.verify_first(entry.data, self._pinned)
            return True
        if envelope_hash(entry.data) == self._root.envelope_hash:
            return False
        self._root = trust.verify_update(self._root, entry.data)
        return True


def is_trust_root(data: bytes) -> bool:
    """Say whether an entry claims to be a trust root; whatever cannot be read is not."""
    try:
        return open_envelope(data).kind is Kind.TRUST_ROOT
    except (Malformed, Unverified):
        return False


def follow_trust_root(entries: Iterable[Entry], pinned: bytes | str) -> TrustRoot:
    """Give the trust root in force after the entries; raises Unverified TRUST_ROOT_INVALID."""
    follower = TrustFollower(pinned)
    for entry in entries:
        follower.take(entry)
    if follower.root is None:
        raise Unverified(REASON_TRUST_ROOT_INVALID, "The log does not hold the trust root that was pinned.")
    return follower.root
