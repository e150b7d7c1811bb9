"""Log lines for people or machines, with only the fields that can hold no person's data.

A message is a fixed text; what varies goes into `extra` under a name of the list below. Anything else, the
arguments of a format string and the words of an exception included, is left out before a line is written.
"""

from __future__ import annotations

import datetime
import json
import logging
import re
import sys
import traceback
from pathlib import Path
from typing import Any, Literal, TextIO

from protos.problems import Problem

_PARTIES = (
    *("enterprise_id", "custodian_id", "auditor_id", "role", "party", "peer"),
    *("origin", "address", "url", "library", "source"),
)
_PUBLIC_NAMES = ("pack_id", "policy_id", "key_id", "measure_id", "series", "table", "kind", "method")
_PLACES = (
    "epoch",
    "due_at",
    "index",
    "sequence",
    "position",
    "version",
    "size",
    "level",
    "first",
    "end",
    "line",
    "column",
)
_HASHES = ("envelope_hash", "leaf_hash", "batch_hash", "body_hash", "policy_hash", "root")
_COURSE = ("status", "reason", "stage", "state", "waiting_for", "why", "signal", "outcome", "attempt")
_COUNTS = (
    *("count", "rows", "bytes", "taken", "activities", "quarantined", "excluded", "corrected", "dropped"),
    *("leaves", "orders", "messages"),
)
ALLOWED_FIELDS = frozenset(_PARTIES + _PUBLIC_NAMES + _PLACES + _HASHES + _COURSE + _COUNTS)
# Counts and durations under names that end in their unit are allowed too.
_UNITS = ("_count", "_total", "_max", "_bytes", "_rows", "_ms", "_seconds", "_us")
_TEXT = re.compile(r"[\x20-\x7e]{0,160}")
# Eleven digits in a row are a telephone number, eighteen an identity card, whatever field they stand in.
_NUMBER_OF_A_PERSON = re.compile(r"(?<![0-9a-f])\d{11}(?![0-9a-f])|\d{17}[\dXx](?![0-9a-f])")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "refused_fields"}


def is_allowed(name: str, value: object) -> bool:
    """Say whether a field may be written: a listed name, and a number, flag or short plain text."""
    if name not in ALLOWED_FIELDS and not name.endswith(_UNITS):
        return False
    match value:
        case bool() | int() | float() | None:
            return True
        case str():
            return bool(_TEXT.fullmatch(value)) and not _NUMBER_OF_A_PERSON.search(value)
        case _:
            return False


class FieldFilter(logging.Filter):
    """Drop what is_allowed refuses, format arguments and exception texts; name what was dropped."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record; it is always let through."""
        extra = {name for name in vars(record) if name not in _STANDARD}
        refused = sorted(name for name in extra if not is_allowed(name, getattr(record, name)))
        for name in refused:
            delattr(record, name)
        record.refused_fields = refused
        record.args = None
        record.msg = _fixed_text(record)
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = describe_exception(record.exc_info[1])
        record.exc_info = None
        record.stack_info = None
        return True


def _fixed_text(record: logging.LogRecord) -> str:
    if not isinstance(record.msg, str):
        return f"({type(record.msg).__name__})"
    if record.name == "py.warnings":
        return "a library warned"
    # A message is a literal; should one have been put together, at least no person's number gets out.
    return _NUMBER_OF_A_PERSON.sub("(number)", record.msg)


def describe_exception(error: BaseException) -> str:
    """Give an exception's type and place; its words only if it is a Problem, which holds nothing private."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
    said = f" {error}" if isinstance(error, Problem) else ""
    return f"{type(error).__name__}{said} at {where}"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """Write the record."""
        line: dict[str, Any] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname,
            "program": self._program,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _fields(record)
        if record.exc_text:
            line["exception"] = record.exc_text
        if refused := getattr(record, "refused_fields", None):
            line["refused_fields"] = len(refused)
        return json.dumps(line, ensure_ascii=False)


class HumanFormatter(logging.Formatter):
    """Time, level, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record."""
        time = datetime.datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        parts = [time, record.levelname.lower(), record.getMessage(), fields, record.exc_text or ""]
        return " ".join(part for part in parts if part)


def configure_logs(
    program: str,
    *,
    level: str = "INFO",
    form: Literal["json", "human"] = "json",
    stream: TextIO | None = None,
) -> None:
    """Set up the process's one log stream (stderr unless given)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(FieldFilter())
    handler.setFormatter(JsonFormatter(program) if form == "json" else HumanFormatter())
    logging.captureWarnings(True)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
