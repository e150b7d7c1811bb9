"""Pack folders on disk, read into checked packs; factor tables and activities beside them or as installed."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path

from accounting.activities import Activity, parse_activities
from accounting.packs import Pack, parse_pack, required_files
from protos.problems import Malformed, Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND, REASON_PACK_INVALID

PACK_FILE_BYTES_MAX = 4 << 20
PACK_FILE = "pack.toml"
VECTORS_FILE = "vectors.toml"
ACTIVITIES_FILE = "activities.toml"
_VERSION = re.compile(r"[1-9][0-9]{0,6}")


def read_pack_files(folder: Path) -> dict[str, bytes]:
    """Read a pack's folder and the factor tables it names, from the packs folder around it or installed."""
    files = {PACK_FILE: _read(folder / PACK_FILE)}
    if (folder / VECTORS_FILE).is_file():
        files[VECTORS_FILE] = _read(folder / VECTORS_FILE)
    for name in required_files(files[PACK_FILE]):
        files[name] = _read(_beside(folder, name))
    return files


def load_activities(folder: Path | None = None) -> Mapping[str, Activity]:
    """Read the registry of activities of a packs folder, else the installed one."""
    own = folder / ACTIVITIES_FILE if folder is not None else None
    return parse_activities(_read(own if own is not None and own.is_file() else installed(ACTIVITIES_FILE)))


def load_pack(folder: Path) -> Pack:
    """Read and check one pack (packs/<id>/<version>); raises Malformed PACK_INVALID naming the file."""
    where = folder.absolute()
    return parse_pack(read_pack_files(where), load_activities(where.parent.parent))


def load_packs(folder: Path) -> list[Pack]:
    """Read every pack of a packs folder, by id and version."""
    found = [
        path.parent
        for path in folder.glob(f"*/*/{PACK_FILE}")
        if path.parent.parent.name != "factors" and _VERSION.fullmatch(path.parent.name)
    ]
    if not found:
        raise Unavailable(
            REASON_NOT_FOUND,
            f"There is no pack in {folder}.",
            remedy="Packs lie in <packs>/<id>/<version>/pack.toml.",
        )
    return [load_pack(path) for path in sorted(found, key=lambda path: (path.parent.name, int(path.name)))]


def installed(name: str) -> Traversable:
    """Give a file of the packs that came with the program."""
    return importlib.resources.files("packs").joinpath(name)


def _beside(folder: Path, name: str) -> Traversable:
    own = folder.parent.parent / name
    return own if own.is_file() else installed(name)


def _read(path: Traversable) -> bytes:
    try:
        with path.open("rb") as file:
            data: bytes = file.read(PACK_FILE_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise Unavailable(
            REASON_NOT_FOUND, f"There is no file {path}.", remedy="Check the pack's folder."
        ) from None
    if len(data) > PACK_FILE_BYTES_MAX:
        raise Malformed(REASON_PACK_INVALID, f"{path} is larger than {PACK_FILE_BYTES_MAX} bytes.")
    return data
