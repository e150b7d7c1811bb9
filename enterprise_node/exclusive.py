"""One process at a time for work on a home's files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_BUSY


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file until the process ends or leaves; raises Unavailable BUSY while another holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(
                REASON_BUSY,
                f"Another process is {what} here.",
                remedy="Wait until it has ended, then repeat.",
            ) from None
        yield
    finally:
        os.close(descriptor)
