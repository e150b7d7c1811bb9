"""Copies a hub's database into a folder while it serves, and makes a database of such a copy again.

    manifest.json  checkpoint  tables/<name>  files/<name>

A copy is one state of log, bodies and books, with persons' pseudonyms in it, and what else of the home cannot
be made again (`hub/home_files.py`); keys are not. What is restored
is decided on entry by entry and held against the log's signed head before anybody serves it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, Engine

from hub.home_files import copied_files, is_copied
from hub.log import CHECKPOINT_FILE, WriterLock
from hub.rebuild import Rebuilt, compared
from hub.setup import Opened
from hub.store import entries
from hub.store.database import current_revision, readers_of, told
from hub.store.dialects import connect_writer, wipe
from hub.store.dump import Dumped, check_file, read_rows, write_rows
from hub.store.entries import TreeHead
from hub.store.migrate import check_known, upgrade
from hub.store.schema import REVISION, metadata, revision
from privacy.checkpoint import log_vkey, open_checkpoint
from protos.json_text import parse_json
from protos.problems import Conflict, Malformed, Unverified
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_CONFIGURATION_INVALID,
    REASON_HISTORY_INCONSISTENT,
    REASON_WRONG_SHAPE,
)
from runtime.files import read_bounded, write_atomic, write_private

MANIFEST_FILE = "manifest.json"
TABLES_FOLDER = "tables"
FILES_FOLDER = "files"
FORM = 1
FILE_BYTES_MAX = 1 << 20
_MANIFEST_BYTES_MAX = 1 << 20
_NOTE_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a copy is of."""

    origin: str
    revision: str
    log_size: int
    log_root: str
    tables: dict[str, Dumped]
    # SHA-256 of each file beside the database, by its place in the home.
    files: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give the manifest as JSON."""
        return {"form": FORM, **asdict(self)}


def backup(opened: Opened, out: Path) -> Manifest:
    """Copy everything as it is at one moment; the manifest comes last, so a copy cut off has none."""
    if out.exists() and any(out.iterdir()):
        raise Conflict(REASON_ALREADY_EXISTS, f"{out} is not empty.", remedy="Copy into a new folder.")
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    out.chmod(0o700)
    (out / TABLES_FOLDER).mkdir(mode=0o700)
    # Read before the database: what is signed is there already.
    served = opened.home.folder / CHECKPOINT_FILE
    if served.exists():
        write_private(out / CHECKPOINT_FILE, read_bounded(served, _NOTE_BYTES_MAX))
    with readers_of(opened.home.database) as readers, told(), readers.begin() as connection:
        manifest = _copied(connection, opened.settings.origin, out / TABLES_FOLDER)
    manifest = replace(manifest, files=_copied_files(opened.home.folder, out / FILES_FOLDER))
    write_private(out / MANIFEST_FILE, json.dumps(manifest.to_json(), indent=1).encode())
    return manifest


def restore(
    opened: Opened, copy: Path, *, step: Callable[[str], None] = lambda name: None
) -> tuple[Manifest, Rebuilt]:
    """Make an empty database what the copy says, then prove it; raises what a rebuild raises.

    Raises Conflict where a database is there already: nothing is ever overwritten.
    """
    manifest = read_manifest(copy)
    if manifest.origin != opened.settings.origin:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"The copy is of {manifest.origin}, the home of {opened.settings.origin}.",
            remedy="Restore into the home with that log's keys.",
        )
    check_known(manifest.revision)
    for name, dumped in manifest.tables.items():
        check_file(name, dumped, copy / TABLES_FOLDER / name)
    files = {name: _checked_file(copy, name, sha256) for name, sha256 in manifest.files.items()}
    with WriterLock(opened.home.lock):
        engine = connect_writer(opened.home.database)
        try:
            _load(engine, manifest, copy, step)
            step("loaded")
            made = _proved(opened, engine, manifest, copy)
        finally:
            engine.dispose()
        for name, data in files.items():
            _bring_back(opened.home.folder / name, data)
    return manifest, made


def read_manifest(copy: Path) -> Manifest:
    """Read what a copy is of; raises Malformed for one that was cut off or is of another form."""
    try:
        found = parse_json(read_bounded(copy / MANIFEST_FILE, _MANIFEST_BYTES_MAX))
        if found.pop("form") != FORM:
            raise _no_copy(copy)
        tables = {name: Dumped(**one) for name, one in found.pop("tables").items()}
        return Manifest(tables=tables, **found)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _no_copy(copy) from None


def _copied(connection: Connection, origin: str, folder: Path) -> Manifest:
    if current_revision(connection) != REVISION:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"The hub's database is not of revision {REVISION}.",
            remedy="Copy it with the program that serves it.",
        )
    head = entries.tree_head(connection) or TreeHead(0, b"")
    tables = {
        table.name: write_rows(connection, table, folder / table.name)
        for table in sorted(metadata.tables.values(), key=lambda one: one.name)
        if table is not revision
    }
    return Manifest(origin, REVISION, head.size, head.root.hex(), tables)


def _copied_files(home: Path, out: Path) -> dict[str, str]:
    """Copy what lies beside the database and cannot be made again."""
    found = {}
    for name in copied_files(home):
        data = read_bounded(home / name, FILE_BYTES_MAX)
        for folder in (out, (out / name).parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        write_private(out / name, data)
        found[str(name)] = hashlib.sha256(data).hexdigest()
    return found


def _checked_file(copy: Path, name: str, sha256: str) -> bytes:
    """Read a file of a copy; raises Malformed for one that is not what was copied, or has no place."""
    path = copy / FILES_FOLDER / name
    data = read_bounded(path, FILE_BYTES_MAX) if is_copied(PurePosixPath(name)) and path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Malformed(
            REASON_WRONG_SHAPE, f"The copy of {name} is not as it was written.", remedy="Take another copy."
        )
    return data


def _bring_back(path: Path, data: bytes) -> None:
    """Put a file back where there is none: what lies in the home may be newer."""
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, data)


def _load(engine: Engine, manifest: Manifest, copy: Path, step: Callable[[str], None]) -> None:
    """Make tables and rows in one transaction, of the copy's form and then of this program's."""
    with told(), engine.begin() as connection:
        if current_revision(connection) is not None:
            raise Conflict(
                REASON_ALREADY_EXISTS,
                "There is a hub's database already.",
                remedy="Move it away first: a restore overwrites nothing.",
            )
        upgrade(connection, manifest.revision)
        for name, dumped in manifest.tables.items():
            read_rows(connection, name, dumped, copy / TABLES_FOLDER / name)
            step("table loaded")
        head = entries.tree_head(connection) or TreeHead(0, b"")
        if (head.size, head.root.hex()) != (manifest.log_size, manifest.log_root):
            raise _inconsistent("The copy's log does not end where its manifest says.")
        upgrade(connection)


def _proved(opened: Opened, engine: Engine, manifest: Manifest, copy: Path) -> Rebuilt:
    """Decide on every entry again and fold the books; what does not hold is taken away again."""
    try:
        _check_signed(opened, manifest, copy)
        return compared(opened)
    except BaseException:
        with engine.begin() as connection:
            wipe(connection, metadata)
        raise


def _check_signed(opened: Opened, manifest: Manifest, copy: Path) -> None:
    """Refuse a copy that lacks entries its own checkpoint signs."""
    note = copy / CHECKPOINT_FILE
    if note.exists():
        vkey = log_vkey(opened.settings.origin, opened.log_key.verify_key)
        if open_checkpoint(read_bounded(note, _NOTE_BYTES_MAX), vkey).size > manifest.log_size:
            raise _inconsistent("The copy's checkpoint covers more entries than the copy holds.")


def _inconsistent(message: str) -> Unverified:
    return Unverified(REASON_HISTORY_INCONSISTENT, message, remedy="Nothing was restored. Take another copy.")


def _no_copy(copy: Path) -> Malformed:
    return Malformed(
        REASON_CONFIGURATION_INVALID,
        f"{copy / MANIFEST_FILE} does not describe a copy of this form.",
        remedy="A copy that was cut off has no manifest: take another.",
    )
