"""Reading a log without trusting who serves it: checkpoint checked, trust root followed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from privacy import checkpoint, trust
from privacy.checkpoint import Vkey
from privacy.envelope import Kind, envelope_hash, open_envelope
from privacy.trust import TrustRoot
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import (
    REASON_CHECKPOINT_INVALID,
    REASON_CONFIGURATION_INVALID,
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
