"""Checkpoints: C2SP tlog-checkpoint in a C2SP signed-note, and tlog-cosignature v1 (c2sp.org).

Size is bounded first, only the canonical text is taken, and a signature is checked over the bytes received.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from privacy.keys import PUBLIC_BYTES, SigningKey, VerifyKey
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import (
    REASON_CHECKPOINT_INVALID,
    REASON_CONFIGURATION_INVALID,
)

NOTE_BYTES_MAX = 16_384
NOTE_SIGNATURES_MAX = 32
ROOT_BYTES = 32
SIZE_MAX = (1 << 63) - 1
ED25519 = 0x01
COSIGNATURE_V1 = 0x04

_NAME = re.compile(r"[^\s+]{1,255}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE_LINE = re.compile(r"— ([^\s+]{1,255}) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class Vkey:
    """A C2SP verifier key: name+hash+key; `algorithm` 1 signs logs, 4 cosigns for witnesses."""

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


def parse_vkey(text: str) -> Vkey:
    """Read a verifier key; raises Malformed."""
    name, _, rest = text.partition("+")
    digest, _, encoded = rest.partition("+")
    content = _base64(encoded)
    if content and len(content) == 1 + PUBLIC_BYTES and _NAME.fullmatch(name):
        vkey = Vkey(name=name, algorithm=content[0], public=content[1:])
        if vkey.algorithm in (ED25519, COSIGNATURE_V1) and digest == vkey.key_id.hex():
            return vkey
    raise Malformed(REASON_CONFIGURATION_INVALID, "This is not a C2SP verifier key (name+hash+key).")


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """Sign a checkpoint as the log named by its origin; the caller never signs two that differ in history."""
    vkey = log_vkey(checkpoint.origin, key.verify_key)
    return _note(checkpoint.text, [NoteSignature(vkey.name, vkey.key_id, key.sign(checkpoint.text))])


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
    """Check the Ed25519 signature of one key; raises Unverified CHECKPOINT_INVALID."""
    for signature in _by(note, vkey):
        if VerifyKey(vkey.public).is_signature(note.text, signature.signature):
            return
        raise _invalid(f"the signature by {vkey.name} does not hold")
    raise _invalid(f"there is no signature by {vkey.name}")


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
    """Add a witness's cosignature/v1 to a note found consistent; time in seconds since 1970."""
    note = parse_note(data)
    signature = time.to_bytes(8, "big") + key.sign(_cosigned(note.text, time))
    return _note(note.text, [*note.signatures, NoteSignature(vkey.name, vkey.key_id, signature)])


def verify_cosignature(data: bytes, vkey: Vkey) -> int:
    """Check a witness's cosignature and give its time; raises Unverified CHECKPOINT_INVALID."""
    note = parse_note(data)
    for signature in _by(note, vkey):
        time, ed25519 = int.from_bytes(signature.signature[:8], "big"), signature.signature[8:]
        if vkey.algorithm == COSIGNATURE_V1 and VerifyKey(vkey.public).is_signature(
            _cosigned(note.text, time), ed25519
        ):
            return time
    raise _invalid(f"there is no cosignature by {vkey.name}")


def _by(note: Note, vkey: Vkey) -> Sequence[NoteSignature]:
    return [item for item in note.signatures if (item.name, item.key_id) == (vkey.name, vkey.key_id)]


def _cosigned(text: bytes, time: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % time + text


def _note(text: bytes, signatures: Sequence[NoteSignature]) -> bytes:
    lines = (
        f"— {item.name} {base64.b64encode(item.key_id + item.signature).decode()}\n" for item in signatures
    )
    return text + b"\n" + "".join(lines).encode()


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
