"""A party's own copy of a log's entries: usable when the hub is away, grown only consistently.

The folder holds `entries` (each behind its uint16 length), `head`, the signed checkpoint they were last
joined to, and `log.vkeys`, the keys that have replaced the log's, one a line. Bytes in `entries` beyond the
head are an unfinished growth and count for nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from privacy import merkle, tiles
from privacy.checkpoint import NOTE_BYTES_MAX, Vkey
from privacy.merkle import CompactTree
from privacy.tiles import TILE_WIDTH
from protos.problems import Unverified
from protos.v1.problem_pb2 import REASON_HISTORY_INCONSISTENT
from runtime.files import PRIVATE_FILE, PRIVATE_FOLDER, read_bounded, write_atomic
from runtime.log_follower import NO_WITNESSES, Entry, Head, Witnesses, checked_vkey, open_head, read_head
from runtime.log_reader import LogReader

_ENTRIES_FILE = "entries"
_HEAD_FILE = "head"
_VKEYS_FILE = "log.vkeys"
_VKEYS_BYTES_MAX = 1 << 20
_LOCK_FILE = "lock"


class LogMirror:
    """One log's entries in a folder; several processes may read it and take turns to grow it."""

    def __init__(self, folder: Path, vkey: Vkey | str) -> None:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._folder = folder
        # The keys the log has had, the newest last.
        self._vkeys = [checked_vkey(vkey), *_read_vkeys(folder)]
        self._tree = CompactTree()
        # Where every 256th entry begins, and where the last one ends.
        self._marks = [0]
        self._bytes = 0
        self._head: Head | None = None
        with self._locked():
            self._catch_up()

    @property
    def vkey(self) -> Vkey:
        """Give the log's verifier key."""
        return self._vkeys[-1]

    def succeed(self, vkey: Vkey) -> None:
        """Take note, durably, of the key that replaced the log's; the caller has checked who says so."""
        if vkey != self.vkey:
            self._vkeys.append(vkey)
            text = "".join(f"{one}\n" for one in self._vkeys[1:])
            write_atomic(self._folder / _VKEYS_FILE, text.encode(), mode=PRIVATE_FILE)

    @property
    def size(self) -> int:
        """Count the entries held."""
        return self._tree.size

    @property
    def root(self) -> bytes:
        """Give the root over the entries held."""
        return self._tree.root()

    @property
    def head(self) -> Head | None:
        """Give the signed checkpoint the entries are joined to; None before the first growth."""
        return self._head

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """Give the entries held, without a network."""
        end = self.size
        if start >= end:
            return
        with (self._folder / _ENTRIES_FILE).open("rb") as file:
            file.seek(self._marks[start // TILE_WIDTH])
            for index in range(start // TILE_WIDTH * TILE_WIDTH, end):
                data = _read_entry(file)
                if data is None:
                    raise _damaged(self._folder)
                if index >= start:
                    yield Entry(index, data)

    def advance(self, reader: LogReader, witnesses: Witnesses = NO_WITNESSES) -> list[Entry]:
        """Fetch what is new, keep it durably, and give it; raises Unverified HISTORY_INCONSISTENT."""
        return list(self.entries(self.grow(reader, witnesses)))

    def grow(self, reader: LogReader, witnesses: Witnesses = NO_WITNESSES) -> int:
        """Fetch what is new, keep it durably, and give the size before; memory is one bundle."""
        before = self.size
        with self._locked():
            self._catch_up()
            head = read_head(reader, self.vkey, witnesses)
            if head.size < self.size:
                raise _forked(f"The log shows {head.size} entries after it has signed {self.size}.")
            if head.size > self.size:
                self._append(reader, head)
            elif self.size and head.root != self.root:
                raise _forked(f"The log signs another root for the same {self.size} entries.")
            self._keep_head(head)
        return before

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _catch_up(self) -> None:
        """Take what this folder holds beyond what is known here, and hold it to the kept head."""
        path = self._folder / _HEAD_FILE
        if not path.exists():
            return
        head = self._open_kept(read_bounded(path, NOTE_BYTES_MAX))
        tree, marks, end = self._tree.copy(), list(self._marks), self._bytes
        if head.size > tree.size:
            with os.fdopen(self._opened_entries(), "rb") as file:
                file.seek(end)
                while tree.size < head.size and (data := _read_entry(file)) is not None:
                    tree.append(merkle.leaf_hash(data))
                    if tree.size % TILE_WIDTH == 0:
                        marks.append(file.tell())
                end = file.tell()
        if tree.root() != head.root or tree.size != head.size:
            raise _damaged(self._folder)
        self._tree, self._marks, self._bytes, self._head = tree, marks, end, head

    def _open_kept(self, note: bytes) -> Head:
        """Open the kept head, which may be by an earlier key; raises what the newest key says of it."""
        for vkey in self._vkeys[:-1]:
            try:
                return open_head(note, vkey)
            except Unverified:
                continue
        return open_head(note, self.vkey)

    def _append(self, reader: LogReader, head: Head) -> None:
        tree, marks = self._tree.copy(), list(self._marks)
        with os.fdopen(self._opened_entries(), "r+b") as file:
            file.truncate(self._bytes)
            file.seek(self._bytes)
            for bundle in range(tree.size // TILE_WIDTH, -(-head.size // TILE_WIDTH)):
                width = min(head.size - bundle * TILE_WIDTH, TILE_WIDTH)
                entries = tiles.parse_bundle(reader.entries(bundle, width), width)
                new = entries[tree.size - bundle * TILE_WIDTH :]
                tree.extend(map(merkle.leaf_hash, new))
                file.write(tiles.encode_bundle(new))
                if width == TILE_WIDTH:
                    marks.append(file.tell())
            if tree.root() != head.root:
                file.truncate(self._bytes)
                raise _forked(f"The log's {head.size} entries do not continue the {self.size} known here.")
            file.flush()
            os.fsync(file.fileno())
            self._bytes = file.tell()
        self._tree, self._marks = tree, marks

    def _opened_entries(self) -> int:
        return os.open(self._folder / _ENTRIES_FILE, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)

    def _keep_head(self, head: Head) -> None:
        if self._head is None or self._head.note != head.note:
            write_atomic(self._folder / _HEAD_FILE, head.note, mode=PRIVATE_FILE)
        self._head = head


def _read_vkeys(folder: Path) -> list[Vkey]:
    path = folder / _VKEYS_FILE
    text = read_bounded(path, _VKEYS_BYTES_MAX).decode("utf-8", "replace") if path.exists() else ""
    return [checked_vkey(line) for line in text.splitlines()]


def _read_entry(file: BinaryIO) -> bytes | None:
    length = file.read(2)
    data = file.read(int.from_bytes(length, "big"))
    return data if len(length) == 2 and len(data) == int.from_bytes(length, "big") else None


def _forked(message: str) -> Unverified:
    return Unverified(
        REASON_HISTORY_INCONSISTENT,
        message,
        remedy="Keep this folder as evidence, stop acting on this hub, and tell its auditors.",
    )


def _damaged(folder: Path) -> Unverified:
    return Unverified(
        REASON_HISTORY_INCONSISTENT,
        f"The copy of the log in {folder} does not match the checkpoint kept with it.",
        remedy="Keep a copy of the folder's file `head`, remove the folder, and let it be fetched again.",
    )
