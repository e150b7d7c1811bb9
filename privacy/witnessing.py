"""What a witness is asked and how it decides: C2SP tlog-witness, add-checkpoint (c2sp.org/tlog-witness).

A decision is a value: the caller persists what is cosigned before it answers, under one lock with the reading
of what was cosigned before. The order of the checks is the specification's.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from privacy import checkpoint, merkle
from privacy.checkpoint import NOTE_BYTES_MAX, Checkpoint, Note, Vkey
from privacy.merkle import HASH_BYTES
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_MALFORMED_MESSAGE

PROOF_LINES_MAX = 63
REQUEST_BYTES_MAX = NOTE_BYTES_MAX + 64 * (PROOF_LINES_MAX + 1)
SIZE_TYPE = "text/x.tlog.size"

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class Status(IntEnum):
    """The HTTP status codes of add-checkpoint."""

    OK = 200
    BAD_REQUEST = 400
    FORBIDDEN = 403
    NOT_FOUND = 404
    CONFLICT = 409
    UNPROCESSABLE_ENTITY = 422


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request: the size it starts from, the proof of growth, and the signed checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Cosigned:
    """What a witness has last cosigned of a log; size 0 for none."""

    size: int = 0
    root: bytes = merkle.EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Acceptable:
    """A checkpoint that may be cosigned once it has been persisted."""

    checkpoint: Checkpoint
    note: Note


@dataclass(frozen=True, slots=True)
class Declined:
    """A checkpoint that is not cosigned; `checkpoint` is known where the log itself had signed it."""

    status: Status
    why: str
    checkpoint: Checkpoint | None = None
    known_size: int | None = None


def format_request(request: AddCheckpoint) -> bytes:
    """Write a request body."""
    lines = [f"old {request.old_size}", *(base64.b64encode(item).decode() for item in request.proof), "", ""]
    return "\n".join(lines).encode() + request.data


def parse_request(body: bytes) -> AddCheckpoint:
    """Read a request body, canonical form only; raises Malformed."""
    head, found, note = body.partition(b"\n\n")
    if len(body) > REQUEST_BYTES_MAX or not found:
        raise _malformed("'old', proof lines, an empty line and a checkpoint were expected")
    first, *lines = head.decode("ascii", "replace").split("\n")
    old = _OLD.fullmatch(first)
    if old is None or len(lines) > PROOF_LINES_MAX:
        raise _malformed(f"it starts with 'old N' and at most {PROOF_LINES_MAX} proof lines")
    return AddCheckpoint(int(old[1]), tuple(map(_hash, lines)), note)


def judge(
    request: AddCheckpoint, trusted: Mapping[str, Vkey], known: Callable[[str], Cosigned]
) -> Acceptable | Declined:
    """Decide on a request; `trusted` gives each log's key by origin, `known` what was cosigned last."""
    try:
        note = checkpoint.parse_note(request.data)
        head = checkpoint.parse_checkpoint(note.text)
    except Unverified as problem:
        return Declined(Status.BAD_REQUEST, problem.message)
    vkey = trusted.get(head.origin)
    if vkey is None:
        return Declined(Status.NOT_FOUND, "This log is not known here.")
    try:
        checkpoint.verify_note(note, vkey)
    except Unverified as problem:
        return Declined(Status.FORBIDDEN, problem.message)
    last = known(head.origin)
    return _inconsistency(request, head, last) or Acceptable(head, note)


def _inconsistency(request: AddCheckpoint, head: Checkpoint, last: Cosigned) -> Declined | None:
    if request.old_size > head.size:
        return Declined(Status.BAD_REQUEST, "The old size is beyond the checkpoint's.", head)
    if request.old_size != last.size:
        return Declined(Status.CONFLICT, f"Size {last.size} was cosigned last.", head, last.size)
    is_empty_proof = request.old_size > 0 or not request.proof
    is_empty_root = head.size > 0 or head.root == merkle.EMPTY_ROOT
    if not is_empty_proof or not is_empty_root:
        return Declined(Status.UNPROCESSABLE_ENTITY, "An empty tree has one root and no proof.", head)
    try:
        merkle.verify_consistency(request.old_size, last.root, head.size, head.root, request.proof)
    except Unverified as problem:
        return Declined(Status.UNPROCESSABLE_ENTITY, problem.message, head)
    return None


def parse_lines(note: Note, lines: bytes, vkeys: Sequence[Vkey]) -> bytes:
    """Keep of a witness's answer the lines by these keys that hold; raises Unverified on what is no line."""
    joined = checkpoint.parse_note(note.text + b"\n" + lines)
    ids = {(vkey.name, vkey.key_id): vkey for vkey in vkeys}
    kept = b""
    for item in joined.signatures:
        vkey = ids.get((item.name, item.key_id))
        if vkey is None:
            continue
        line = checkpoint.format_line(item)
        checkpoint.verify_cosignature(note.text + b"\n" + line, vkey)
        kept += line
    return kept


def _hash(line: str) -> bytes:
    try:
        content = base64.b64decode(line, validate=True)
    except (ValueError, binascii.Error):
        content = b""
    if len(content) != HASH_BYTES or base64.b64encode(content).decode() != line:
        raise _malformed("a proof line is base64 of 32 bytes")
    return content


def _malformed(what: str) -> Malformed:
    return Malformed(REASON_MALFORMED_MESSAGE, f"Request: {what}.")
