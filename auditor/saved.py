"""An audit kept between runs: what it has seen up to an entry, so that a killed or later one goes on there.

The file is the auditor's own, like its opinion: it says what was verified and is trusted accordingly. It may
name values of our own types alone, and a hash shows damage. Statement files lie in a folder beside it and
hold pseudonyms; both are readable by their owner only.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditor.findings import Results
from auditor.log import Mismatches
from auditor.log_tree import LogTree
from auditor.replay import Replay
from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_CONFIGURATION_INVALID
from runtime.files import read_bounded, write_private

FORM = b"cgsp-audit state 4\n"
STATE_BYTES_MAX = 8 << 30
# A state is written after so many entries, or bytes of bodies.
SAVE_ENTRIES = 1_000
SAVE_BODY_BYTES = 256 << 20

_OUR_PACKAGES = ("privacy.", "auditor.", "engine.", "accounting.", "protos.")
_OTHER_TYPES = frozenset(
    {
        ("builtins", "set"),
        ("builtins", "frozenset"),
        ("builtins", "bytearray"),
        ("collections", "defaultdict"),
        ("collections", "OrderedDict"),
        ("fractions", "Fraction"),
        ("pathlib", "PosixPath"),
        ("array", "array"),
        ("array", "_array_reconstructor"),
        ("copyreg", "_reconstructor"),
        ("google.protobuf.message", "_InternalConstructMessage"),
    }
)


@dataclass(slots=True)
class Saved:
    """Where an audit stands: which log, the tree over what it has seen, what that established and showed."""

    origin: str
    pinned: bytes
    replayed: Replay
    tree: LogTree = field(default_factory=LogTree)
    results: Results = field(default_factory=Results)
    # Leaf hashes that did not fit their tiles, until the root says which of the two is wrong.
    mismatches: Mismatches = field(default_factory=dict)


def write_state(path: Path, saved: Saved) -> None:
    """Write the whole state, durably or not at all."""
    body = pickle.dumps(saved, protocol=5)
    write_private(path, FORM + hashlib.sha256(body).digest() + body)


def read_state(path: Path, *, origin: str, pinned: bytes) -> Saved | None:
    """Read a state of this log; None if there is none, raises Malformed for another's or a damaged one."""
    if not path.exists():
        return None
    data = read_bounded(path, STATE_BYTES_MAX)
    digest, body = data[len(FORM) : len(FORM) + 32], data[len(FORM) + 32 :]
    if not data.startswith(FORM) or hashlib.sha256(body).digest() != digest:
        raise _unusable(f"{path.name} is damaged, or of another version of this program.")
    saved = _StateReader(io.BytesIO(body)).load()
    if not isinstance(saved, Saved) or (saved.origin, saved.pinned) != (origin, pinned):
        raise _unusable(f"{path.name} belongs to an audit of another log.")
    return saved


def files_folder(path: Path) -> Path:
    """Give the folder of statement files that belongs to a state."""
    return path.with_name(path.name + ".files")


class _StateReader(pickle.Unpickler):
    """Makes values of our own classes and a few plain others, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        found: Any = None
        if module.startswith(_OUR_PACKAGES) or (module, name) in _OTHER_TYPES:
            found = super().find_class(module, name)
        if found is None or not (isinstance(found, type) or (module, name) in _OTHER_TYPES):
            raise _unusable(f"The state names {module}.{name}, which is no part of one.")
        return found


def _unusable(message: str) -> Malformed:
    return Malformed(
        REASON_CONFIGURATION_INVALID,
        message,
        remedy="Move the file and its folder away; audit from the start.",
    )
