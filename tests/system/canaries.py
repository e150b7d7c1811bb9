"""Marked values planted in raw data, and the search for them in every form in which they could leave."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HASHES = ("md5", "sha1", "sha256")
# Shorter needles would be found by chance in megabytes of random bytes.
NEEDLE_BYTES_MIN = 8


@dataclass(frozen=True, slots=True)
class Needle:
    """One form of one planted value."""

    value: str
    form: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where a planted value was seen, and in which form."""

    path: Path
    value: str
    form: str


def needles(values: Sequence[str]) -> list[Needle]:
    """Give every form of every value: as it is and hashed, each in plain, hex and base64 at three offsets."""
    return [Needle(value, form, data) for value in values for form, data in forms(value.encode())]


def forms(value: bytes) -> Iterator[tuple[str, bytes]]:
    """Give the forms of one value."""
    yield from written_forms("plain", value)
    yield "utf-16", value.decode().encode("utf-16-le")
    for name in HASHES:
        yield from written_forms(name, hashlib.new(name, value).digest())


def written_forms(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Give bytes as they are, in hex of both cases, and in both base64 alphabets at each of three offsets."""
    yield name, data
    yield f"{name} hex", data.hex().encode()
    yield f"{name} HEX", data.hex().upper().encode()
    for offset in range(3):
        for alphabet, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            yield f"{name} {alphabet}+{offset}", inner_base64(encode, data, offset)


def inner_base64(encode: object, data: bytes, offset: int) -> bytes:
    """Give the characters that depend on `data` alone when `offset` bytes stand before it."""
    assert callable(encode)
    text = bytes(encode(bytes(offset) + data))
    first = (0, 2, 3)[offset]
    whole = (offset + len(data)) // 3 * 4
    return text[first:whole]


def search(folders: Sequence[Path], wanted: Sequence[Needle]) -> list[Sighting]:
    """Look for the needles in every file below the folders."""
    assert all(len(needle.data) >= NEEDLE_BYTES_MIN for needle in wanted)
    found = []
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found += [Sighting(path, needle.value, needle.form) for needle in wanted if needle.data in content]
    return found
