"""The home folder and its files: private to their owner, written atomically, read with a limit."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from protos.problems import Malformed, Unavailable
from protos.v1.problem_pb2 import (
    REASON_CONFIGURATION_INVALID,
    REASON_MESSAGE_TOO_LARGE,
    REASON_NOT_FOUND,
)

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def open_home(path: Path, *, create: bool = False) -> Path:
    """Give the absolute home folder, 0700 and ours; raises Malformed when open to others."""
    home = path.expanduser().absolute()
    if create:
        home.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if not home.is_dir():
        raise Unavailable(
            REASON_NOT_FOUND, f"There is no folder {home}.", remedy="Check --home, or run init or join first."
        )
    state = home.stat()
    if state.st_uid != os.geteuid():
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"{home} belongs to another user.",
            remedy="Run as its owner, or chown it.",
        )
    if stat.S_IMODE(state.st_mode) & 0o077:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"{home} is open to other users (mode {stat.S_IMODE(state.st_mode):o}).",
            remedy=f"chmod 700 {home}",
        )
    return home


def write_private(path: Path, data: bytes) -> None:
    """Write a file only its owner can read (0600), atomically and durably."""
    write_atomic(path, data, mode=PRIVATE_FILE)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write the file so that a crash leaves the old bytes or the new ones, never a mixture."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (it wraps the descriptor opened with its mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bounded(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes; raises Unavailable NOT_FOUND or Malformed MESSAGE_TOO_LARGE."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise Unavailable(REASON_NOT_FOUND, f"There is no file {path}.", remedy="Check the path.") from None
    except IsADirectoryError:
        raise Malformed(
            REASON_CONFIGURATION_INVALID, f"{path} is a folder.", remedy="Give the path of a file."
        ) from None
    if len(data) > limit:
        raise Malformed(
            REASON_MESSAGE_TOO_LARGE,
            f"{path} is larger than {limit} bytes.",
            remedy="Check that it is the right file.",
        )
    return data


def read_private(path: Path, limit: int) -> bytes:
    """Read a file that holds a secret; raises Malformed if others can read it too."""
    data = read_bounded(path, limit)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Malformed(
            REASON_CONFIGURATION_INVALID,
            f"{path} holds a secret but others can read it (mode {mode:o}).",
            remedy=f"chmod 600 {path}",
        )
    return data
