"""Everything that lies in a hub's home, and how each of it comes back when the home is lost."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


class Return(enum.Enum):
    """How something comes back."""

    COPY = "in the copy"
    APART = "keep apart"
    AGAIN = "made again"


@dataclass(frozen=True, slots=True)
class Place:
    """A file, or a folder with all in it (its name ends in a slash), relative to the home."""

    name: str
    returns: Return

    def holds(self, path: PurePosixPath) -> bool:
        """Say whether a file of the home lies here."""
        if self.name.endswith("/"):
            return path.is_relative_to(self.name) and ".." not in path.parts
        return path.match(self.name) and len(path.parts) == len(PurePosixPath(self.name).parts)


PLACES = (
    Place("hub.toml", Return.APART),
    Place("private/hub.key", Return.APART),
    Place("private/log.key", Return.APART),
    Place("private/log-next.key", Return.APART),
    Place("private/vouchers.key", Return.APART),
    Place("private/ca.key.pem", Return.APART),
    Place("private/ca.pem", Return.APART),
    Place("private/server/", Return.APART),
    Place("private/operator/", Return.APART),
    Place("private/store.dsn", Return.APART),
    Place("private/hub.sqlite*", Return.COPY),
    Place("checkpoint", Return.COPY),
    Place("log.vkey", Return.COPY),
    Place("witness-policy", Return.COPY),
    Place("old-checkpoints/", Return.COPY),
    Place("beacons/", Return.COPY),
    Place("tile/", Return.AGAIN),
    Place("private/work/", Return.AGAIN),
    Place("private/lock", Return.AGAIN),
)
# A folder that is copied holds no other.
PARTS_MAX = 2
# The database goes into a copy as tables, the checkpoint beside them.
AS_FILES = tuple(
    one
    for one in PLACES
    if one.returns is Return.COPY and one.name not in ("checkpoint", "private/hub.sqlite*")
)


def copied_files(home: Path) -> Iterator[PurePosixPath]:
    """Give the files of a home that a copy takes as they are, ascending."""
    for path in sorted(home.rglob("*")):
        name = PurePosixPath(path.relative_to(home).as_posix())
        if is_copied(name) and path.is_file():
            yield name


def is_copied(name: PurePosixPath) -> bool:
    """Say whether a copy takes a file of this name as it is."""
    return len(name.parts) <= PARTS_MAX and any(one.holds(name) for one in AS_FILES)
