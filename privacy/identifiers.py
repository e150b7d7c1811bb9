"""Canonical identifiers: `type || 0x1f || NFKC value`, the same bytes for one person at every enterprise.

They exist only inside a node. No message here repeats a value, not even a part of one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from protos.problems import Malformed
from protos.v1.problem_pb2 import REASON_IDENTIFIER_INVALID

IDENTIFIER_BYTES_MAX = 512
SEPARATOR = b"\x1f"

_PUNCTUATION = re.compile(r"[\s\-‐-―().]+")
_MOBILE = re.compile(r"1[3-9]\d{9}", re.ASCII)
_CITIZEN = re.compile(r"[1-9]\d{16}[\dX]", re.ASCII)
_METER = re.compile(r"[0-9A-Z]{4,32}", re.ASCII)
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_DEMO = re.compile(r"[0-9A-Za-z._:-]{1,64}", re.ASCII)

# GB 11643-1999: weights of the first seventeen digits, and the check character for each remainder.
_CITIZEN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CITIZEN_CHECKS = "10X98765432"


def canonical(kind: str, value: str) -> bytes:
    """Give the canonical bytes; raises Malformed with the kind's form, never with the value."""
    known = _NORMALISERS.get(kind)
    if known is None:
        raise Malformed(
            REASON_IDENTIFIER_INVALID,
            f"There is no identifier kind {kind!r}.",
            remedy=f"Use one of {', '.join(_NORMALISERS)}.",
        )
    normalise, form = known
    text = (
        normalise(unicodedata.normalize("NFKC", value).strip())
        if len(value) <= IDENTIFIER_BYTES_MAX
        else None
    )
    if text is None:
        raise Malformed(
            REASON_IDENTIFIER_INVALID,
            f"A value is not a valid {kind}.",
            remedy=f"Expected {form}.",
        )
    return kind.encode("ascii") + SEPARATOR + text.encode("utf-8")


def _mobile(value: str) -> str | None:
    """Take a mainland mobile number with or without country code, spaces and dashes."""
    digits = _PUNCTUATION.sub("", value)
    for prefix in ("+86", "0086"):
        digits = digits.removeprefix(prefix)
    if len(digits) == 13:
        digits = digits.removeprefix("86")
    return digits if _MOBILE.fullmatch(digits) else None


def _citizen(value: str) -> str | None:
    """Take an 18-character resident identity number whose check character holds."""
    text = _PUNCTUATION.sub("", value).upper()
    if not _CITIZEN.fullmatch(text):
        return None
    weighted = sum(int(digit) * weight for digit, weight in zip(text[:17], _CITIZEN_WEIGHTS, strict=True))
    return text if _CITIZEN_CHECKS[weighted % 11] == text[17] else None


def _meter(value: str) -> str | None:
    text = _PUNCTUATION.sub("", value).upper()
    return text if _METER.fullmatch(text) else None


def _email(value: str) -> str | None:
    text = value.casefold()
    return text if _EMAIL.fullmatch(text) else None


def _demo(value: str) -> str | None:
    return value if _DEMO.fullmatch(value) else None


_NORMALISERS: dict[str, tuple[Callable[[str], str | None], str]] = {
    "cn_mobile": (_mobile, "11 digits beginning 13 to 19, with or without +86"),
    "cn_id": (_citizen, "an 18-character resident identity number with its check character"),
    "meter": (_meter, "4 to 32 letters and digits"),
    "email": (_email, "an address with a domain"),
    "demo": (_demo, "1 to 64 letters, digits, dots, colons, dashes or underscores"),
}
