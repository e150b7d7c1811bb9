"""Signed notes and checkpoints: C2SP signed-note, tlog-checkpoint and tlog-cosignature (c2sp.org).

Only the canonical form is taken: what is parsed encodes back to the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from privacy.keys import PUBLIC_BYTES, SIGNATURE_BYTES, SigningKey, VerifyKey
from privacy.merkle import HASH_BYTES
from protos.problems import Malformed, Unverified
from protos.v1.problem_pb2 import REASON_CHECKPOINT_INVALID, REASON_MALFORMED_MESSAGE

NOTE_BYTES_MAX = 65_536
SIGNATURES_MAX = 64
KEY_HASH_BYTES = 4
# Signature types of C2SP signed-note.
TYPE_ED25519 = 0x01
TYPE_COSIGNATURE_V1 = 0x04
TIME_BYTES = 8
SIZE_MAX = (1 << 63) - 1

_KEY_NAME = re.compile(r"[^\s+\x00-\x1f]{1,256}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE_LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<body>[A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class NoteVerifier:
    """A verifier key of signed notes: name, key hash, signature type and Ed25519 key."""

    name: str
    kind: int
    public: bytes

    @property
    def key_hash(self) -> bytes:
        """Give the four bytes by which a signature line names its key."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[
            :KEY_HASH_BYTES
        ]

    @property
    def vkey(self) -> str:
        """Write the key as name+hash+base64."""
        body = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_hash.hex()}+{body}"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the name and hash of its key, and the signature's bytes."""

    name: str
    key_hash: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """Write the signature line without its newline."""
        return f"— {self.name} {base64.b64encode(self.key_hash + self.signature).decode()}"


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart, nothing verified: the signed text (ending in a newline) and its signatures."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """Write the note."""
        return (self.text + "\n" + "".join(f"{item.line}\n" for item in self.signatures)).encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: its origin, size and root, and lines this version does not interpret."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def encode(self) -> str:
        """Write the note text."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_vkey(text: str) -> NoteVerifier:
    """Read a verifier key; raises Malformed unless canonical, of a known type and with the right hash."""
    name, _, rest = text.partition("+")
    hash_text, _, body = rest.partition("+")
    decoded = _base64(body)
    if not _KEY_NAME.fullmatch(name) or decoded is None or len(decoded) != 1 + PUBLIC_BYTES:
        raise _malformed("A verifier key is name+hash+base64 of one type byte and 32 key bytes.")
    if decoded[0] not in {TYPE_ED25519, TYPE_COSIGNATURE_V1}:
        raise _malformed(f"Signature type {decoded[0]} is not known.")
    verifier = NoteVerifier(name=name, kind=decoded[0], public=decoded[1:])
    if hash_text != verifier.key_hash.hex():
        raise _malformed("The verifier key's hash does not belong to its name and key.")
    return verifier


def log_verifier(origin: str, key: VerifyKey) -> NoteVerifier:
    """Give the verifier of a log's checkpoints: the key's name is the origin."""
    if not _KEY_NAME.fullmatch(origin):
        raise _malformed("An origin has no spaces, control characters or plus signs.")
    return NoteVerifier(name=origin, kind=TYPE_ED25519, public=key.public)


def parse_note(data: bytes) -> Note:
    """Take a signed note apart; raises Malformed unless bounded and canonical."""
    if len(data) > NOTE_BYTES_MAX:
        raise _malformed(f"A note has at most {NOTE_BYTES_MAX} bytes.")
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("A note is UTF-8 text.") from None
    text, separator, tail = content.rpartition("\n\n")
    if not separator or any(ord(character) < 0x20 and character != "\n" for character in content):
        raise _malformed("A note is text, an empty line and signature lines, without control characters.")
    lines = tail.split("\n")
    if lines[-1] or not 1 < len(lines) <= SIGNATURES_MAX + 1:
        raise _malformed(f"A note ends in 1 to {SIGNATURES_MAX} signature lines.")
    note = Note(text=text + "\n", signatures=tuple(_signature(line) for line in lines[:-1]))
    if note.encode() != data:
        raise _malformed("The note is not in canonical form.")
    return note


def sign_note(text: str, verifier: NoteVerifier, key: SigningKey) -> NoteSignature:
    """Sign a note's text with an Ed25519 key of type 0x01."""
    if verifier.kind != TYPE_ED25519 or verifier.public != key.verify_key.public:
        raise AssertionError("a note is signed by the key its verifier names")
    return NoteSignature(verifier.name, verifier.key_hash, key.sign(text.encode()))


def verify_note(note: Note, verifier: NoteVerifier) -> int:
    """Check the verifier's signature; give a cosignature's time (0 for a log's). Raises Unverified."""
    for item in note.signatures:
        if (item.name, item.key_hash) == (verifier.name, verifier.key_hash):
            return _verified_time(note.text, item.signature, verifier)
    raise _unverified(f"The note carries no signature by {verifier.name}.")


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text; raises Malformed unless canonical."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise _malformed("A checkpoint has an origin, a size and a root, one line each.")
    origin, size_text, root_text, *extensions = lines[:-1]
    tree_root = _base64(root_text)
    if not _SIZE.fullmatch(size_text) or int(size_text) > SIZE_MAX:
        raise _malformed("A checkpoint's size is a decimal number below 2^63.")
    if tree_root is None or len(tree_root) != HASH_BYTES:
        raise _malformed("A checkpoint's root is 32 bytes in base64.")
    return Checkpoint(origin, int(size_text), tree_root, tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """Sign a checkpoint as its log and encode the note."""
    text = checkpoint.encode()
    verifier = log_verifier(checkpoint.origin, key.verify_key)
    return Note(text, (sign_note(text, verifier, key),)).encode()


def open_checkpoint(data: bytes, verifier: NoteVerifier) -> Checkpoint:
    """Verify a log's checkpoint, then parse it; raises Unverified or Malformed."""
    note = parse_note(data)
    verify_note(note, verifier)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != verifier.name:
        raise _unverified(f"The checkpoint is of another log than {verifier.name}.")
    return checkpoint


def count_witnesses(note: Note, witnesses: Sequence[NoteVerifier]) -> int:
    """Count the witnesses whose cosignature of this checkpoint holds; a false one raises Unverified."""
    named = {(item.name, item.key_hash) for item in note.signatures}
    present = [witness for witness in witnesses if (witness.name, witness.key_hash) in named]
    for witness in present:
        verify_note(note, witness)
    return len(present)


def _verified_time(text: str, signature: bytes, verifier: NoteVerifier) -> int:
    key = VerifyKey(verifier.public, name=verifier.name)
    time, message = 0, text
    if verifier.kind == TYPE_COSIGNATURE_V1:
        time, signature = int.from_bytes(signature[:TIME_BYTES], "big"), signature[TIME_BYTES:]
        message = f"cosignature/v1\ntime {time}\n{text}"
    if len(signature) != SIGNATURE_BYTES or not key.is_signature(message.encode(), signature):
        raise _unverified(f"The note's signature by {verifier.name} does not hold.")
    return time


def _signature(line: str) -> NoteSignature:
    match = _SIGNATURE_LINE.fullmatch(line)
    body = _base64(match["body"]) if match else None
    if match is None or body is None or len(body) <= KEY_HASH_BYTES:
        raise _malformed("A signature line is an em dash, the key's name and base64.")
    return NoteSignature(match["name"], body[:KEY_HASH_BYTES], body[KEY_HASH_BYTES:])


def _base64(text: str) -> bytes | None:
    """Decode base64 in its one canonical form, else None."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return decoded if base64.b64encode(decoded).decode() == text else None


def _malformed(message: str) -> Malformed:
    return Malformed(REASON_MALFORMED_MESSAGE, message)


def _unverified(message: str) -> Unverified:
    return Unverified(
        REASON_CHECKPOINT_INVALID, message, remedy="Do not act on this log until its operator explains."
    )
