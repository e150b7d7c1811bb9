"""Checkpoints: C2SP tlog-checkpoint in a C2SP signed-note, and tlog-cosignature's two forms (c2sp.org).

Size is bounded first, only the canonical text is taken, and a signature is checked over the bytes received.
Lines by unknown keys, of whatever algorithm, are ignored; a line by a known key must hold.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from privacy import mldsa
from privacy.keys import PUBLIC_BYTES, SigningKey, VerifyKey
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import (
    REASON_CHECKPOINT_INVALID,
    REASON_CONFIGURATION_INVALID,
)

# Room for a dozen ML-DSA-44 lines of 3.3 kB.
NOTE_BYTES_MAX = 65_536
NOTE_SIGNATURES_MAX = 32
ROOT_BYTES = 32
SIZE_MAX = (1 << 63) - 1
ED25519 = 0x01
COSIGNATURE_V1 = 0x04
SUBTREE_V1 = 0x06
# A log's own ML-DSA-44 line makes no statement as to time.
NO_TIME = 0

_PUBLIC_BYTES = {ED25519: PUBLIC_BYTES, COSIGNATURE_V1: PUBLIC_BYTES, SUBTREE_V1: mldsa.PUBLIC_BYTES}
_TIME_BYTES = 8
_NAME_BYTES_MAX = 255

_NAME = re.compile(r"[^\s+]{1,255}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE_LINE = re.compile(r"— ([^\s+]{1,255}) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class Vkey:
    """A C2SP verifier key: name+hash+key; `algorithm` 1 signs logs, 4 (Ed25519) and 6 (ML-DSA-44) cosign."""

    name: str
    algorithm: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name || newline || algorithm || key)."""
        content = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        return hashlib.sha256(content).digest()[:4]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.algorithm]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A signed note taken apart: the signed text (with its last newline) and its signatures."""

    text: bytes
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's size and root under its origin; `extensions` are further lines, kept as they came."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> bytes:
        """The note's text."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return ("\n".join(lines) + "\n").encode()


def log_vkey(origin: str, key: VerifyKey) -> Vkey:
    """Give the verifier key of a log with this Ed25519 key; raises Malformed on a name that cannot stand."""
    if not _NAME.fullmatch(origin):
        raise Malformed(REASON_CONFIGURATION_INVALID, "A log's origin has no space and no '+'.")
    return Vkey(name=origin, algorithm=ED25519, public=key.public)


def witness_vkey(name: str, key: VerifyKey) -> Vkey:
    """Give the verifier key of a witness that makes cosignature/v1 signatures."""
    return Vkey(name=log_vkey(name, key).name, algorithm=COSIGNATURE_V1, public=key.public)


def subtree_vkey(name: str, key: SigningKey) -> Vkey:
    """Give the verifier key of the ML-DSA-44 half of a key, a log's or a witness's."""
    named = log_vkey(name, key.verify_key)
    return Vkey(name=named.name, algorithm=SUBTREE_V1, public=mldsa.public_key(key))


def parse_vkey(text: str) -> Vkey:
    """Read a verifier key; raises Malformed."""
    name, _, rest = text.partition("+")
    digest, _, encoded = rest.partition("+")
    content = _base64(encoded)
    if content and len(content) == 1 + _PUBLIC_BYTES.get(content[0], -1) and _NAME.fullmatch(name):
        vkey = Vkey(name=name, algorithm=content[0], public=content[1:])
        if digest == vkey.key_id.hex():
            return vkey
    raise Malformed(REASON_CONFIGURATION_INVALID, "This is not a C2SP verifier key (name+hash+key).")


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """Sign a checkpoint as the log named by its origin; the caller never signs two that differ in history."""
    vkey = log_vkey(checkpoint.origin, key.verify_key)
    return _note(checkpoint.text, [NoteSignature(vkey.name, vkey.key_id, key.sign(checkpoint.text))])


def sign_checkpoint_twice(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """Sign with Ed25519 and, on a second line, with the ML-DSA-44 half of the key (subtree/v1, no time)."""
    return cosign(sign_checkpoint(checkpoint, key), subtree_vkey(checkpoint.origin, key), key, time=NO_TIME)


def parse_note(data: bytes) -> Note:
    """Take a signed note apart; raises Unverified CHECKPOINT_INVALID. Nothing is verified yet."""
    if len(data) > NOTE_BYTES_MAX:
        raise _invalid(f"a note has at most {NOTE_BYTES_MAX} bytes")
    head, found, tail = data.rpartition(b"\n\n")
    if not found or not tail.endswith(b"\n"):
        raise _invalid("text, an empty line and signature lines were expected")
    lines = _text(tail)[:-1].split("\n")
    if len(lines) > NOTE_SIGNATURES_MAX:
        raise _invalid(f"a note carries at most {NOTE_SIGNATURES_MAX} signatures")
    _text(head)
    return Note(text=head + b"\n", signatures=tuple(map(_signature, lines)))


def verify_note(note: Note, vkey: Vkey) -> None:
    """Check the Ed25519 signature of a log's key; raises Unverified CHECKPOINT_INVALID."""
    found = _by(note, vkey)
    if not found or vkey.algorithm != ED25519:
        raise _invalid(f"there is no signature by {vkey.name}")
    key = VerifyKey(vkey.public)
    if not all(key.is_signature(note.text, item.signature) for item in found):
        raise _invalid(f"the signature by {vkey.name} does not hold")


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Read a checkpoint's text, canonical form only; raises Unverified CHECKPOINT_INVALID."""
    lines = _text(text).split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _SIZE.fullmatch(lines[1]):
        raise _invalid("origin, size and root were expected")
    root = _base64(lines[2])
    if root is None or len(root) != ROOT_BYTES or int(lines[1]) > SIZE_MAX:
        raise _invalid("the root is not base64 of 32 bytes, or the size is out of range")
    return Checkpoint(origin=lines[0], size=int(lines[1]), root=root, extensions=tuple(lines[3:-1]))


def open_checkpoint(data: bytes, vkey: Vkey) -> Checkpoint:
    """Verify the log's signature, then read the checkpoint; raises Unverified CHECKPOINT_INVALID."""
    note = parse_note(data)
    verify_note(note, vkey)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != vkey.name:
        raise _invalid(f"its origin is not {vkey.name}")
    return checkpoint


def cosign(data: bytes, vkey: Vkey, key: SigningKey, *, time: int) -> bytes:
    """Add the cosignature of one key to a note found consistent; time in seconds since 1970."""
    return append_lines(data, cosignature_line(parse_note(data), vkey, key, time=time))


def cosignature_line(note: Note, vkey: Vkey, key: SigningKey, *, time: int) -> bytes:
    """Make one signature line: `vkey` says whether cosignature/v1 (Ed25519) or subtree/v1 (ML-DSA-44)."""
    message = _cosigned(note, vkey, time)
    signed = key.sign(message) if vkey.algorithm == COSIGNATURE_V1 else mldsa.sign(key, message)
    return format_line(NoteSignature(vkey.name, vkey.key_id, time.to_bytes(_TIME_BYTES, "big") + signed))


def append_lines(data: bytes, lines: bytes) -> bytes:
    """Put further signature lines below a note, one a key; raises Unverified on what is no line."""
    note = parse_note(data)
    known = {(item.name, item.key_id) for item in note.signatures}
    further = parse_note(note.text + b"\n" + lines).signatures
    return data + b"".join(format_line(item) for item in further if (item.name, item.key_id) not in known)


def verify_cosignature(data: bytes, vkey: Vkey) -> int:
    """Check a witness's cosignature and give its time; raises Unverified CHECKPOINT_INVALID."""
    times = [_cosignature_time(parse_note(data), vkey, item) for item in _by(parse_note(data), vkey)]
    if not times:
        raise _invalid(f"there is no cosignature by {vkey.name}")
    return max(times)


def cosigners(data: bytes, vkeys: Iterable[Vkey]) -> frozenset[str]:
    """Name the witnesses whose cosignatures hold; a witness with several keys counts once."""
    return frozenset(vkey.name for vkey in vkeys if _has_cosigned(data, vkey))


def cosigned_at(data: bytes, vkeys: Iterable[Vkey]) -> int | None:
    """Give the time of the newest cosignature that holds; None without one that is dated."""
    times = [verify_cosignature(data, vkey) for vkey in vkeys if _has_cosigned(data, vkey)]
    return max(times, default=None)


def _has_cosigned(data: bytes, vkey: Vkey) -> bool:
    try:
        return verify_cosignature(data, vkey) != NO_TIME
    except Unverified:
        return False


def _cosignature_time(note: Note, vkey: Vkey, item: NoteSignature) -> int:
    time, signed = int.from_bytes(item.signature[:_TIME_BYTES], "big"), item.signature[_TIME_BYTES:]
    if vkey.algorithm != ED25519 and time <= SIZE_MAX:
        message = _cosigned(note, vkey, time)
        if vkey.algorithm == COSIGNATURE_V1 and VerifyKey(vkey.public).is_signature(message, signed):
            return time
        if vkey.algorithm == SUBTREE_V1 and mldsa.is_signature(vkey.public, message, signed):
            return time
    raise _invalid(f"the cosignature by {vkey.name} does not hold")


def _by(note: Note, vkey: Vkey) -> Sequence[NoteSignature]:
    return [item for item in note.signatures if (item.name, item.key_id) == (vkey.name, vkey.key_id)]


def _cosigned(note: Note, vkey: Vkey, time: int) -> bytes:
    if vkey.algorithm == COSIGNATURE_V1:
        return b"cosignature/v1\ntime %d\n" % time + note.text
    checkpoint = parse_checkpoint(note.text)
    return b"".join(
        (
            b"subtree/v1\n\0",
            _with_length(vkey.name),
            time.to_bytes(_TIME_BYTES, "big"),
            _with_length(checkpoint.origin),
            bytes(_TIME_BYTES),
            checkpoint.size.to_bytes(_TIME_BYTES, "big"),
            checkpoint.root,
        )
    )


def _with_length(name: str) -> bytes:
    data = name.encode()
    if not 1 <= len(data) <= _NAME_BYTES_MAX:
        raise _invalid(f"a name has at most {_NAME_BYTES_MAX} bytes")
    return bytes([len(data)]) + data


def _note(text: bytes, signatures: Sequence[NoteSignature]) -> bytes:
    return text + b"\n" + b"".join(map(format_line, signatures))


def format_line(item: NoteSignature) -> bytes:
    """Write one signature line."""
    return f"— {item.name} {base64.b64encode(item.key_id + item.signature).decode()}\n".encode()


def _signature(line: str) -> NoteSignature:
    match = _SIGNATURE_LINE.fullmatch(line)
    content = _base64(match[2]) if match else None
    if match is None or content is None or len(content) < 5:
        raise _invalid("a signature line is '— name base64'")
    return NoteSignature(name=match[1], key_id=content[:4], signature=content[4:])


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid("a note is UTF-8 text") from None
    if any(ord(character) < 0x20 and character != "\n" for character in text):
        raise _invalid("a note has no control characters")
    return text


def _base64(text: str) -> bytes | None:
    try:
        content = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return content if base64.b64encode(content).decode() == text else None


def _invalid(message: str) -> Unverified:
    return Unverified(REASON_CHECKPOINT_INVALID, f"Checkpoint: {message}.")
