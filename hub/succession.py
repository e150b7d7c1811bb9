"""Replaces the log's key: the hub is down, a signed trust root names another origin and key, the log goes on.

Entries, tree and tiles stay what they are; the version that says so is the first entry under the new origin,
and the last checkpoint of the old one stays beside the log. Cut off anywhere, the same call finishes it.
"""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path

from sqlalchemy import Connection

from hub.configuration import Home
from hub.log import CHECKPOINT_FILE, VKEY_FILE, WriterLock
from hub.replaying import restored_state
from hub.setup import Opened, read_signing_key
from hub.store import entries
from hub.store.database import open_writer
from hub.store.entries import StoredEntry, TreeHead
from privacy import keys, merkle
from privacy.checkpoint import log_vkey, subtree_vkey
from privacy.envelope import Kind
from privacy.keys import SigningKey
from privacy.receipts import Receipt, sign_receipt
from privacy.trust import TrustRoot, describe
from protos.problems import InvariantBroken, Malformed, Refused
from protos.v1.problem_pb2 import (
    REASON_CONFIGURATION_INVALID,
    REASON_INVARIANT_BROKEN,
    REASON_TRUST_ROOT_INVALID,
)
from runtime.configuration import write_atomic
from runtime.files import read_bounded, write_private

OLD_CHECKPOINTS = "old-checkpoints"
_TEXT_BYTES_MAX = 1 << 20
_ORIGIN_LINE = re.compile(rb'^origin = "[^"\n]*"$', re.MULTILINE)


def next_key_file(home: Home) -> Path:
    """Give the file of the key that waits to replace the log's."""
    return home.private / "log-next.key"


def open_next_key(home: Home) -> SigningKey:
    """Read the key that is to replace the log's, made on first use."""
    path = next_key_file(home)
    if not path.exists():
        write_private(path, keys.encode_private(keys.generate(secrets.token_bytes, "log")))
    return read_signing_key(path)


def next_vkeys(home: Home, origin: str) -> tuple[str, str]:
    """Give both verifier keys of the next log key under the next origin."""
    key = open_next_key(home)
    return str(log_vkey(origin, key.verify_key)), str(subtree_vkey(origin, key))


def succeed(opened: Opened, data: bytes) -> TrustRoot:
    """Log the signed trust root and take over its origin and key; the hub is down.

    Raises what the rules say against it; then nothing has changed.
    """
    root = describe(data)
    with WriterLock(opened.home.lock):
        _check_key(opened, root)
        engine = open_writer(opened.home.database)
        try:
            with engine.begin() as connection:
                _append(connection, opened, data, root)
        finally:
            engine.dispose()
        _take_over(opened.home, root)
    return root


def _check_key(opened: Opened, root: TrustRoot) -> None:
    """The key named must be the one that waits here, or took its place in a call before."""
    waiting = next_key_file(opened.home)
    key = read_signing_key(waiting) if waiting.exists() else opened.log_key
    if str(root.log_vkey) != str(log_vkey(root.origin, key.verify_key)):
        raise Refused(
            REASON_TRUST_ROOT_INVALID,
            "The trust root does not name the log key that waits in this home.",
            remedy="Propose it with `cgsp-hub trust propose --replace-log-key`, have it signed, try again.",
        )


def _append(connection: Connection, opened: Opened, data: bytes, root: TrustRoot) -> None:
    """Put the version behind the last entry, if it does not stand there already."""
    leaf = merkle.leaf_hash(data)
    if entries.find_by_leaf(connection, leaf) is not None:
        return
    state, tree = restored_state(opened.settings.origin, connection)
    head = entries.tree_head(connection)
    if head is None or (head.size, head.root) != (tree.size, tree.root()):
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "The stored root is not that of the stored entries.")
    state.check(data, (), tree.size)
    now = int(time.time())
    receipt = Receipt(root.origin, tree.size, leaf, now, opened.settings.merge_delay_seconds)
    stored = StoredEntry(
        index=tree.size,
        envelope=data,
        leaf_hash=leaf,
        kind=Kind.TRUST_ROOT.value,
        issuer="",
        epoch=0,
        received_at=now,
        receipt=sign_receipt(receipt, opened.hub_key),
    )
    entries.add_entry(connection, stored, ())
    tree.append(leaf)
    entries.set_tree_head(connection, TreeHead(tree.size, tree.root()))


def _take_over(home: Home, root: TrustRoot) -> None:
    """Change the files; hub.toml last, which says that it is done."""
    if home.settings().origin == root.origin:
        return
    served = home.folder / CHECKPOINT_FILE
    if served.exists():
        kept = home.folder / OLD_CHECKPOINTS / str(root.version - 1)
        kept.parent.mkdir(exist_ok=True)
        served.replace(kept)
    if next_key_file(home).exists():
        next_key_file(home).replace(home.log_key)
    write_atomic(home.folder / VKEY_FILE, f"{root.log_vkey}\n".encode())
    text = read_bounded(home.configuration, _TEXT_BYTES_MAX)
    changed, count = _ORIGIN_LINE.subn(f'origin = "{root.origin}"'.encode(), text)
    if count != 1:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            'hub.toml has no line origin = "…" to change.',
            remedy=f'Write origin = "{root.origin}" there yourself, then start the hub.',
        )
    write_private(home.configuration, changed)
