"""The public log as a folder of C2SP tiles (c2sp.org/tlog-tiles), grown by one writer and served as it lies.

The database says what the log is; the folder follows. Size and root are durable there before a checkpoint is
signed (Ed25519, and ML-DSA-44 on a second line), so a crash never leads to a second history: on start
everything is derived again and compared.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from hub.store.entries import TreeHead
from privacy import merkle, tiles
from privacy.checkpoint import (
    Checkpoint,
    log_vkey,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
    sign_checkpoint_twice,
)
from privacy.keys import SigningKey
from privacy.tiles import TILE_WIDTH, HashReader, Tile, TileTree
from privacy.tlog_proof import TlogProof, format_proof
from protos.problems import Conflict, InvariantBroken, Unavailable, Unverified
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_HISTORY_INCONSISTENT,
    REASON_INVARIANT_BROKEN,
    REASON_NOT_FOUND,
)
from runtime.configuration import write_atomic

logger = logging.getLogger(__name__)

CHECKPOINT_FILE = "checkpoint"
VKEY_FILE = "log.vkey"
TILE_FOLDER = "tile"
_TILE_PATH = re.compile(
    r"([0-7]|entries)/(x[0-9]{3}/){0,6}[0-9]{3}(\.p/([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


class WriterLock:
    """Held by the one process that may write a hub's home; the kernel frees it when the process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise Conflict(
                REASON_ALREADY_EXISTS,
                f"Another process already writes this hub ({self._path}).",
                remedy="Stop the hub that runs with this home before starting another.",
            ) from None
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)


class LogWriter:
    """Appends in memory as the database does, then lets the folder follow what was committed."""

    def __init__(
        self,
        folder: Path,
        origin: str,
        key: SigningKey,
        *,
        step: Callable[[str], None] = lambda name: None,
        offer: Callable[[bytes, int], None] | None = None,
    ) -> None:
        self._folder = folder
        self._step = step
        self._origin = origin
        self._key = key
        self._tree = merkle.CompactTree()
        self._published = TileTree()
        self._bundle: list[bytes] = []
        self._waiting: list[tuple[bytes, bytes]] = []
        self._filled: list[tuple[Tile, bytes]] = []
        self._signed = -1
        # Who serves a signed checkpoint, at once or when its witnesses have cosigned it.
        self._offer = offer or self._serve

    @property
    def head(self) -> TreeHead:
        """Give size and root of all that was appended."""
        return TreeHead(self._tree.size, self._tree.root())

    @property
    def unpublished(self) -> int:
        """Count the entries no checkpoint covers yet."""
        return self._tree.size - max(self._signed, 0)

    def head_with(self, leaf: bytes) -> TreeHead:
        """Give size and root as they would be with one more leaf hash."""
        grown = self._tree.copy()
        grown.append(leaf)
        return TreeHead(grown.size, grown.root())

    def append(self, leaf: bytes, envelope: bytes) -> None:
        """Add an entry whose row is written in the same transaction; it is published after the commit."""
        self._tree.append(leaf)
        self._waiting.append((leaf, envelope))

    def restore(self, entries: Iterable[bytes], head: TreeHead | None) -> None:
        """Derive the whole log again from its entries and compare it with what was stored and published."""
        published = self._read_checkpoint()
        is_seen = published is None or published.size == 0
        for envelope in entries:
            self.append(merkle.leaf_hash(envelope), envelope)
            if len(self._waiting) == TILE_WIDTH:
                self._write_full()
            if published is not None and self._tree.size == published.size:
                is_seen = True
                self._compare(published.root, "the checkpoint published last")
        if not is_seen and published is not None:
            raise _inconsistent(
                f"The checkpoint covers {published.size} entries, the database holds {self._tree.size}."
            )
        if head is not None and (head.size != self._tree.size or head.root != self._tree.root()):
            raise _inconsistent("The stored root is not the root over the stored entries.")
        self.publish()

    def publish(self) -> None:
        """Write the tiles of all appended entries, then sign and write the checkpoint over them."""
        if self._tree.size == self._signed:
            return
        self._write_full()
        for name, data in self._published.partial_tiles():
            self._write(name, data)
        if self._bundle:
            name = Tile(None, self._published.size // TILE_WIDTH, len(self._bundle))
            self._write(name, tiles.encode_bundle(self._bundle))
        self._step("tiles written")
        self._sign()

    def _write_full(self) -> None:
        """Write the tiles and bundles that filled; one whose write failed is kept for the next time."""
        for leaf, envelope in self._waiting:
            self._filled += self._published.append(leaf)
            self._bundle.append(envelope)
            if len(self._bundle) == TILE_WIDTH:
                name = Tile(None, self._published.size // TILE_WIDTH - 1)
                self._filled.append((name, tiles.encode_bundle(self._bundle)))
                self._bundle.clear()
        self._waiting.clear()
        while self._filled:
            self._write(*self._filled[0])
            self._filled.pop(0)

    def _sign(self) -> None:
        """Sign the checkpoint; its root comes from the tiles and must be the one the database holds."""
        root = self._published.root()
        if self._published.size != self._tree.size or root != self._tree.root():
            raise InvariantBroken(REASON_INVARIANT_BROKEN, "Tiles and tree give different roots.")
        head = Checkpoint(self._origin, self._published.size, root)
        self._offer(self._served_note(head) or sign_checkpoint_twice(head, self._key), head.size)
        self._signed = self._published.size

    def _served_note(self, head: Checkpoint) -> bytes | None:
        """Give the checkpoint that is served if it is this one, with the cosignatures it has gathered."""
        path = self._folder / CHECKPOINT_FILE
        note = path.read_bytes() if path.exists() else b""
        return note if note.startswith(head.text + b"\n") else None

    def _serve(self, note: bytes, size: int) -> None:
        write_atomic(self._folder / CHECKPOINT_FILE, note)

    def _write(self, name: Tile, data: bytes) -> None:
        """Write a tile if it does not lie there already; not synced: a start derives it again."""
        path = self._folder / name.path
        if path.exists():
            if path.read_bytes() == data:
                return
            logger.warning("a tile differed from the log and was written again")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_bytes(data)
        temporary.replace(path)

    def _read_checkpoint(self) -> Checkpoint | None:
        path = self._folder / CHECKPOINT_FILE
        if not path.exists():
            return None
        return open_checkpoint(path.read_bytes(), log_vkey(self._origin, self._key.verify_key))

    def _compare(self, root: bytes, what: str) -> None:
        if root != self._tree.root():
            raise _inconsistent(f"The database's entries do not lead to {what}.")


class PublicLog:
    """Reads the public folder for whoever asks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def checkpoint(self) -> bytes:
        """Give the newest checkpoint."""
        return self._read(CHECKPOINT_FILE)

    def vkey(self) -> bytes:
        """Give the log's verifier key."""
        return self._read(VKEY_FILE)

    def tile(self, path: str) -> bytes:
        """Give a tile or bundle by its path below tile/; raises Unavailable NOT_FOUND."""
        if not _TILE_PATH.fullmatch(path):
            raise _missing()
        return self._read(f"{TILE_FOLDER}/{path}")

    def prove(self, index: int) -> bytes | None:
        """Give the tlog-proof of an entry, None while the served checkpoint does not cover it."""
        note = self.checkpoint()
        size = parse_checkpoint(parse_note(note).text).size
        if index >= size:
            return None
        hashes = HashReader(lambda tile: self._read(tile.path), size)
        return format_proof(TlogProof(index, tuple(hashes.inclusion_proof(index)), note))

    def _read(self, path: str) -> bytes:
        try:
            return (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise _missing() from None


def _missing() -> Unavailable:
    return Unavailable(REASON_NOT_FOUND, "The log has no such resource.")


def _inconsistent(message: str) -> Unverified:
    return Unverified(
        REASON_HISTORY_INCONSISTENT,
        message,
        remedy="Delete nothing. Restore the newest backup of the home folder, or ask the log's auditors.",
    )
