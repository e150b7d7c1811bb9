"""Lies about the log itself: entries changed, swapped, cut out, a tree signed by another key."""

from __future__ import annotations

from pathlib import Path

from privacy.envelope import Kind
from tests.conformance.tamper.liar import (
    Liar,
    settled,
    story,
)


@story
def forged_bundle_with_matching_tile(folder: Path) -> Liar:
    """One byte of an entry is changed, and bundle, tiles, root and checkpoint are made to match."""
    hub = settled()
    at = hub.find(Kind.RELEASE)
    data = bytearray(hub.entries[at].data)
    data[len(data) // 2] ^= 1
    hub.replace(at, bytes(data))
    return hub


@story
def swapped_entries(folder: Path) -> Liar:
    """Two entries have changed places, and the tree is made to match."""
    hub = settled()
    at = hub.find(Kind.RELEASE)
    hub.entries[at - 1], hub.entries[at] = hub.entries[at], hub.entries[at - 1]
    return hub


@story
def removed_entry(folder: Path) -> Liar:
    """An entry is taken out, and the tree is made to match."""
    hub = settled()
    del hub.entries[hub.find(Kind.COUNT_REPORT)]
    return hub


@story
def wrong_log_key(folder: Path) -> Liar:
    """The checkpoint is signed by a key that is not the log's."""
    hub = settled()
    hub.checkpoint = lambda: hub.signed_head(hub.entries, by="stranger")  # type: ignore[method-assign]
    return hub
