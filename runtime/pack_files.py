"""Pack folders on disk, read into checked packs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accounting.packs import Pack

PACK_FILE_BYTES_MAX = 8 << 20
PACK_FILES_MAX = 64


def read_pack_files(folder: Path) -> dict[str, bytes]:
    """Read a pack folder's files and the factor tables it names (from the sibling folder `factors`)."""
    raise NotImplementedError


def load_pack(folder: Path) -> Pack:
    """Read and check one pack; raises Malformed PACK_INVALID naming the file."""
    raise NotImplementedError
