"""A witness's folder: its key, the logs it follows, what it last cosigned of each, and evidence of forks.

W/witness.key        0600; who holds it can cosign in this witness's name
W/witness.json       its name
W/logs               one log's verifier key a line; a log is known from the next request on
W/state/<hash>.json  size, root and note cosigned last, by SHA-256 of the origin; never to be turned back
W/evidence/          what a log signed that does not continue what it had signed before
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privacy import checkpoint, keys
from privacy.checkpoint import NOTE_BYTES_MAX, Vkey
from privacy.keys import SigningKey
from privacy.witnessing import AddCheckpoint, Cosigned, format_request
from protos.json_text import parse_json
from protos.problems import Conflict, Malformed, Unverified
from protos.v1.problem_pb2 import (
    REASON_ALREADY_EXISTS,
    REASON_CONFIGURATION_INVALID,
    REASON_HISTORY_INCONSISTENT,
)
from runtime.files import PRIVATE_FILE, open_home, read_bounded, read_private, write_atomic, write_private

KEY_FILE = "witness.key"
NAME_FILE = "witness.json"
LOGS_FILE = "logs"
LOCK_FILE = "lock"
STATE_FOLDER = "state"
EVIDENCE_FOLDER = "evidence"
# Only a log's own key can make evidence; beyond this the first pieces say enough.
EVIDENCE_FILES_MAX = 1000
_FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class WitnessKeys:
    """A witness's name and key; both verifier keys belong to it."""

    name: str
    key: SigningKey

    @property
    def vkeys(self) -> tuple[Vkey, Vkey]:
        """Give the Ed25519 and the ML-DSA-44 verifier key."""
        return (
            checkpoint.witness_vkey(self.name, self.key.verify_key),
            checkpoint.subtree_vkey(self.name, self.key),
        )


class WitnessHome:
    """One witness's folder; several processes may use it, one at a time inside `turn`."""

    def __init__(self, folder: Path) -> None:
        self.folder = open_home(folder)
        self.keys = _read_keys(self.folder)
        self._threads = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one that reads and changes what was cosigned last."""
        with self._threads:
            descriptor = os.open(self.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def logs(self) -> Mapping[str, Vkey]:
        """Give the verifier key of each log followed, by origin."""
        path = self.folder / LOGS_FILE
        text = read_bounded(path, _FILE_BYTES_MAX).decode("utf-8", "replace") if path.exists() else ""
        found = [checkpoint.parse_vkey(line) for line in text.splitlines() if line]
        return {vkey.name: vkey for vkey in found}

    def follow(self, vkey: Vkey) -> None:
        """Follow a log; raises Conflict if another key is followed under its origin."""
        with self.turn():
            logs = dict(self.logs())
            if logs.setdefault(vkey.name, vkey) != vkey:
                raise Conflict(
                    REASON_ALREADY_EXISTS,
                    f"{vkey.name} is followed under another key.",
                    remedy="A log never changes its key; look at the file `logs` in the witness's folder.",
                )
            text = "".join(f"{one}\n" for one in logs.values())
            write_atomic(self.folder / LOGS_FILE, text.encode(), mode=PRIVATE_FILE)

    def succeed(self, origin: str, vkey: Vkey) -> None:
        """Go on with a log under another origin and key, from what was cosigned under the one before.

        The caller has checked who says so; the first to say so decides.
        """
        with self.turn():
            logs, path = dict(self.logs()), self._state_path(origin)
            if vkey.name in logs or origin not in logs:
                return
            if path.exists():
                kept = parse_json(read_bounded(path, _FILE_BYTES_MAX)) | {"origin": vkey.name}
                write_private(self._state_path(vkey.name), json.dumps(kept, indent=1).encode())
            logs[vkey.name] = vkey
            text = "".join(f"{one}\n" for one in logs.values())
            write_atomic(self.folder / LOGS_FILE, text.encode(), mode=PRIVATE_FILE)

    def cosigned(self, origin: str) -> Cosigned:
        """Give what was cosigned last of a log, as it lies on the disk."""
        path = self._state_path(origin)
        if not path.exists():
            return Cosigned()
        try:
            kept = parse_json(read_bounded(path, _FILE_BYTES_MAX))
            return Cosigned(int(kept["size"]), bytes.fromhex(kept["root"]))
        except (ValueError, KeyError, TypeError):
            raise Unverified(
                REASON_HISTORY_INCONSISTENT,
                f"{path} is damaged.",
                remedy="Cosign nothing; bring back this very file, never an older one.",
            ) from None

    def keep(self, head: checkpoint.Checkpoint, note: bytes) -> None:
        """Persist what is about to be cosigned."""
        kept = {
            "origin": head.origin,
            "size": head.size,
            "root": head.root.hex(),
            "note": base64.b64encode(note).decode(),
        }
        path = self._state_path(head.origin)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(path, json.dumps(kept, indent=1).encode())

    def cosigned_note(self, origin: str) -> bytes:
        """Give the note cosigned last; empty for none."""
        path = self._state_path(origin)
        kept = parse_json(read_bounded(path, _FILE_BYTES_MAX)) if path.exists() else {"note": ""}
        return base64.b64decode(kept["note"])

    def keep_evidence(self, request: AddCheckpoint, origin: str, why: str) -> Path | None:
        """Keep a request the log had signed and this witness refused, with what it had cosigned before."""
        body = format_request(request)
        folder = self.folder / EVIDENCE_FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{hashlib.sha256(body).hexdigest()}.json"
        if path.exists() or sum(1 for _ in folder.iterdir()) >= EVIDENCE_FILES_MAX:
            return path if path.exists() else None
        kept = {
            "origin": origin,
            "why": why,
            "cosigned_before": self.cosigned_note(origin).decode(),
            "request": body.decode(),
        }
        write_private(path, json.dumps(kept, ensure_ascii=False, indent=1).encode())
        return path

    def evidence(self) -> list[Path]:
        """List the evidence kept."""
        return sorted((self.folder / EVIDENCE_FOLDER).glob("*.json"))

    def _state_path(self, origin: str) -> Path:
        return self.folder / STATE_FOLDER / f"{hashlib.sha256(origin.encode()).hexdigest()}.json"


def init_witness(folder: Path, name: str) -> WitnessHome:
    """Make a witness's folder; raises Conflict if one is there."""
    home = open_home(folder, create=True)
    if (home / NAME_FILE).exists():
        raise Conflict(
            REASON_ALREADY_EXISTS,
            f"There is a witness in {home} already.",
            remedy="Choose another folder; a witness's key and memory are never made anew.",
        )
    key = keys.generate(secrets.token_bytes, "witness")
    checkpoint.witness_vkey(name, key.verify_key)
    if not (home / KEY_FILE).exists():
        write_private(home / KEY_FILE, keys.encode_private(key))
    write_private(home / NAME_FILE, json.dumps({"name": name}).encode())
    return WitnessHome(home)


def _read_keys(folder: Path) -> WitnessKeys:
    key = keys.decode_private(read_private(folder / KEY_FILE, NOTE_BYTES_MAX))
    try:
        told: dict[str, Any] = parse_json(read_bounded(folder / NAME_FILE, _FILE_BYTES_MAX))
        return WitnessKeys(str(told["name"]), key)
    except (ValueError, KeyError, TypeError):
        raise Malformed(REASON_CONFIGURATION_INVALID, f"{folder / NAME_FILE} is damaged.") from None
