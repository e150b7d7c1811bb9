"""Which of our two languages somebody reads: by a browser's Accept-Language or a terminal's locale.

Accept-Language is RFC 9110 section 12.5.4; a locale comes from LC_ALL, LC_MESSAGES or LANG, as in POSIX.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TextIO

from protos.wording import wording_zh

ENGLISH = "en"
CHINESE = "zh"
# Browsers send a handful; what follows is not read.
RANGES_MAX = 32

_RANGE = re.compile(
    r"\s*(?P<tag>[a-z]{1,8}|\*)(?:-[a-z0-9]{1,8})*\s*(?:;\s*q=(?P<whole>[01])(?:\.(?P<part>\d{0,3}))?\s*)?",
    re.ASCII | re.IGNORECASE,
)
_WEIGHT_MAX = 1_000
_LOCALES = ("LC_ALL", "LC_MESSAGES", "LANG")
# Simplified characters that a terminal's encoding has, or has not (Big5, ASCII).
_SIMPLIFIED = "账户"


def accepted_language(header: str) -> str:
    """Choose by an Accept-Language header: Chinese where it weighs more, or as much and comes first."""
    weights = _weights(header)
    others = weights.get("*", 0)
    chinese, english = weights.get(CHINESE, others), weights.get(ENGLISH, others)
    if chinese != english:
        return CHINESE if chinese > english else ENGLISH
    named = [tag for tag in weights if tag in (CHINESE, ENGLISH)]
    return named[0] if chinese and named else ENGLISH


def terminal_language(stream: TextIO, environment: Mapping[str, str]) -> str:
    """Choose for a stream: Chinese on a terminal whose locale is Chinese and whose encoding can write it."""
    locale = next((value for name in _LOCALES if (value := environment.get(name))), "")
    is_chinese = re.split("[_.@-]", locale, maxsplit=1)[0].lower() == CHINESE
    return CHINESE if is_chinese and stream.isatty() and _writes_chinese(stream) else ENGLISH


def lines_beside(reason: int, language: str) -> tuple[str, str]:
    """Give the lines that stand beside a problem's English message and remedy; empty where none does."""
    if language != CHINESE:
        return "", ""
    words = wording_zh(reason)
    return f"错误：{words.sentence}", f"处理：{words.remedy}" if words.remedy else ""


def _weights(header: str) -> dict[str, int]:
    """Give each language's highest weight in thousandths, as named; what is malformed is left out."""
    weights: dict[str, int] = {}
    for text in header.split(",", RANGES_MAX)[:RANGES_MAX]:
        found = _RANGE.fullmatch(text)
        if found is None:
            continue
        tag, weight = found["tag"].lower(), _WEIGHT_MAX
        if found["whole"] is not None:
            weight = min(int(found["whole"] + (found["part"] or "").ljust(3, "0")), _WEIGHT_MAX)
        weights[tag] = max(weight, weights.get(tag, 0))
    return weights


def _writes_chinese(stream: TextIO) -> bool:
    try:
        _SIMPLIFIED.encode(stream.encoding)
    except (UnicodeEncodeError, LookupError, TypeError):
        return False
    return True
