"""Writes a bundle folder that an auditor can verify offline: the log as it was published, and all bodies.

    checkpoint  log.vkey  tile/…  bodies/<index div 1000>/<index>-<position>

Bodies with persons in them are in it: a bundle is for registered auditors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine

from hub.log import CHECKPOINT_FILE, VKEY_FILE, PublicLog
from hub.store import entries
from hub.store.entries import StoredBody
from privacy import tiles
from privacy.checkpoint import Vkey, log_vkey, open_checkpoint
from privacy.envelope import Kind
from privacy.keys import VerifyKey
from protos.problems import Conflict, Unavailable
from protos.v1.problem_pb2 import REASON_ALREADY_EXISTS, REASON_BUSY
from runtime.configuration import write_atomic
from runtime.log_reader import body_path
from runtime.retries import RetryPolicy, retry

CHECKPOINT_WAIT = RetryPolicy(
    attempts_max=30, first_seconds=0.05, wait_seconds_max=1.0, total_seconds_max=20.0
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What a bundle holds."""

    size: int
    root: bytes
    bodies: int
    body_bytes: int


def export_bundle(home: Path, readers: Engine, out: Path, *, origin: str, log_key: VerifyKey) -> Exported:
    """Copy the published log and its bodies; the checkpoint is written last, so a cut export has none.

    What was committed a moment ago is waited for: its checkpoint is due within the maximum merge delay.
    """
    if out.exists() and any(out.iterdir()):
        raise Conflict(REASON_ALREADY_EXISTS, f"{out} is not empty.", remedy="Export into a new folder.")
    public = PublicLog(home)
    vkey = log_vkey(origin, log_key)
    note = _covering_checkpoint(public, readers, vkey)
    checkpoint = open_checkpoint(note, vkey)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    (out / "bodies").mkdir(exist_ok=True)
    for tile in (*tiles.tiles_of(checkpoint.size), *tiles.bundles_of(checkpoint.size)):
        _write(out / tile.path, public.tile(tile.path.removeprefix("tile/")))
    with readers.begin() as connection:
        count, size = _write_bodies(out, entries.walk_bodies(connection, 0, checkpoint.size))
        _check_no_erasure(connection, checkpoint.size)
    _write(out / VKEY_FILE, public.vkey())
    write_atomic(out / CHECKPOINT_FILE, note)
    return Exported(checkpoint.size, checkpoint.root, count, size)


def _check_no_erasure(connection: Connection, size: int) -> None:
    """Refuse bodies that an order behind the bundle's last entry has erased: nobody could tell why."""
    kinds = (Kind.ERASURE_ORDER.value, Kind.HUB_ERASURE_ORDER.value)
    if any(entries.find_entries(connection, kind, start=size) for kind in kinds):
        raise Unavailable(
            REASON_BUSY,
            "Persons were erased while the bundle was written.",
            remedy="Export again, into a new folder.",
        )


def _covering_checkpoint(public: PublicLog, readers: Engine, vkey: Vkey) -> bytes:
    """Give the first checkpoint over all entries committed so far."""
    with readers.begin() as connection:
        head = entries.tree_head(connection)
    committed = head.size if head else 0

    def read() -> bytes:
        note = public.checkpoint()
        if open_checkpoint(note, vkey).size < committed:
            raise Unavailable(
                REASON_BUSY,
                f"The checkpoint does not cover all {committed} entries yet.",
                remedy="See that the hub is serving: it signs a checkpoint after each append.",
            )
        return note

    return retry(
        read, what="a checkpoint over all entries", policy=CHECKPOINT_WAIT, on_wait=lambda wait: None
    )


def _write_bodies(out: Path, bodies: Iterable[StoredBody]) -> tuple[int, int]:
    count = size = 0
    for body in bodies:
        _write(out / body_path(body.index, body.position), body.data)
        count, size = count + 1, size + len(body.data)
    return count, size


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
