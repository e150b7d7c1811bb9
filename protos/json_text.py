"""JSON: the one form that is hashed and signed, and one reader for all that comes from outside."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def canonical_json(value: Any) -> bytes:
    """Write what is hashed or signed: keys sorted, no spaces, characters as they are, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def parse_json(data: bytes | str) -> Any:
    """Read JSON as RFC 8259 has it, so neither NaN nor Infinity; raises ValueError, on deep nesting too."""
    try:
        return json.loads(data, parse_constant=_refuse)  # noqa: TID251 (the one place)
    except RecursionError:
        raise ValueError("It is nested too deep to be followed.") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON.")
