"""Rebuilds memory from the stored entries: the state, and the log beside it."""

from __future__ import annotations

from sqlalchemy import Connection, Engine

from hub.log import LogWriter
from hub.state import State
from hub.store import entries
from hub.store.entries import StoredEntry
from privacy.envelope import Kind
from privacy.merkle import CompactTree
from protos.problems import InvariantBroken, Refused
from protos.v1.problem_pb2 import REASON_INVARIANT_BROKEN, REASON_TRUST_ROOT_INVALID

# Replay needs the bodies that make up state; statements are folded from their files.
_REPLAYED_WITH_BODIES = frozenset(
    kind.value
    for kind in (
        Kind.ROSTER_BATCH,
        Kind.LINK_BATCH,
        Kind.CHOICE_BATCH,
        Kind.SELECTION,
        Kind.ACCOUNT_CHANGE,
    )
)


def replay(state: State, log: LogWriter, readers: Engine) -> None:
    """Rebuild memory from the stored entries, and compare with the stored root and the public folder."""
    with readers.begin() as connection:
        for entry in entries.read_entries(connection):
            _fold(state, connection, entry)
        head = entries.tree_head(connection)
    _check_origin(state)
    with readers.begin() as connection:
        log.restore((entry.envelope for entry in entries.read_entries(connection)), head)
    state.go_live()
    if log.head.size != state.size:
        raise InvariantBroken(REASON_INVARIANT_BROKEN, "Log and state were rebuilt to different sizes.")


def restored_state(origin: str, connection: Connection) -> tuple[State, CompactTree]:
    """Fold the stored entries into a live state, beside the tree over them."""
    state, tree = State(origin), CompactTree()
    for entry in entries.read_entries(connection):
        _fold(state, connection, entry)
        tree.append(entry.leaf_hash)
    state.go_live()
    return state, tree


def _fold(state: State, connection: Connection, entry: StoredEntry) -> None:
    bodies = entries.read_bodies(connection, entry.index) if entry.kind in _REPLAYED_WITH_BODIES else None
    state.apply(state.check(entry.envelope, bodies, entry.index))


def _check_origin(state: State) -> None:
    """Sign nothing under an origin that the log has left."""
    root = state.trust_root
    if root is not None and root.origin != state.origin:
        raise Refused(
            REASON_TRUST_ROOT_INVALID,
            f"The log goes on under {root.origin}; hub.toml still says {state.origin}.",
            remedy="Finish what was begun: cgsp-hub trust succeed with the same file.",
        )


def first_trust_root(readers: Engine) -> bytes | None:
    """Give the first trust root's envelope, None before it is published."""
    with readers.begin() as connection:
        first = entries.read_entry(connection, 0)
    return first.envelope if first is not None else None
