"""JSON from outside, read in one place: what cannot be followed is a ValueError, as what is misspelt is."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def parse_json(data: bytes | str) -> Any:
    """Read JSON as RFC 8259 has it, so neither NaN nor Infinity; raises ValueError, on deep nesting too."""
    try:
        return json.loads(data, parse_constant=_refuse)  # noqa: TID251 (the one place)
    except RecursionError:
        raise ValueError("It is nested too deep to be followed.") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON.")
