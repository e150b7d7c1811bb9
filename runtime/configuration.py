"""Configuration files and the home folder: strict TOML, private files, atomic writes.

An error names the file, the key, what came (only its type where the value could be private), the limit and the fix.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

CONFIGURATION_BYTES_MAX = 1 << 20

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """Base of every configuration model: unknown keys are errors, values are frozen and never echoed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=False)


def load_settings(path: Path, model: type[Model]) -> Model:
    """Read a TOML file into the model; raises Malformed CONFIGURATION_INVALID."""
    raise NotImplementedError


def parse_settings(data: bytes, model: type[Model], *, name: str) -> Model:
    """Read TOML bytes into the model; `name` stands in errors where a file's path would."""
    raise NotImplementedError


def format_toml(values: Mapping[str, Any]) -> str:
    """Write strings, integers, booleans, lists of them and tables of them as TOML."""
    raise NotImplementedError


def open_home(path: Path, *, create: bool = False) -> Path:
    """Give the absolute home folder, 0700 and owned by us; raises Malformed when missing or open to others."""
    raise NotImplementedError


def write_private(path: Path, data: bytes) -> None:
    """Write a file only its owner can read (0600), atomically and durably."""
    raise NotImplementedError


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write the file so that a crash leaves the old bytes or the new ones, never a mixture."""
    raise NotImplementedError


def read_bounded(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes; raises Unavailable NOT_FOUND or Malformed MESSAGE_TOO_LARGE."""
    raise NotImplementedError
