"""Log lines for people or machines, with only the fields that can hold no person's data."""

from __future__ import annotations

import logging
from typing import Literal, TextIO

ALLOWED_FIELDS: frozenset[str] = frozenset()


class FieldFilter(logging.Filter):
    """Drop fields outside the allow-list and values that are not ids, counts, hashes or durations."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record; it is always let through."""
        raise NotImplementedError


def configure_logs(
    program: str,
    *,
    level: str = "INFO",
    form: Literal["json", "human"] = "json",
    stream: TextIO | None = None,
) -> None:
    """Set up the process's one log stream (stderr unless given)."""
    raise NotImplementedError
