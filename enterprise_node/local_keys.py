"""The keys that never leave the node: one 32-byte secret in a private file, three keys derived from it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID
from runtime.configuration import write_private

KEY_FILE = "local.key"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True, repr=False)
class LocalKeys:
    """Keys for finding persons, sealing identifiers and naming private parts of record ids."""

    lookup: bytes
    sealing: bytes
    token: bytes


def derive_keys(secret: bytes) -> LocalKeys:
    """Derive the three keys from the secret."""

    def derive(label: bytes) -> bytes:
        return hashlib.blake2b(label, key=secret, digest_size=KEY_BYTES).digest()

    return LocalKeys(
        lookup=derive(b"cgsp node lookup v1"),
        sealing=derive(b"cgsp node sealing v1"),
        token=derive(b"cgsp node record token v1"),
    )


def open_keys(home: Path) -> LocalKeys:
    """Read the secret, made on first use; losing it loses the identifiers behind the numbers."""
    path = home / KEY_FILE
    if not path.exists():
        write_private(path, os.urandom(KEY_BYTES))
    secret = path.read_bytes()
    if len(secret) != KEY_BYTES:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"{path.name} holds {len(secret)} bytes instead of {KEY_BYTES}.",
            remedy="Restore it from a backup; a new one cannot open what the old one sealed.",
        )
    return derive_keys(secret)
