"""Programmes on disk: a file of the operator's, or those that came with the program."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from accounting.programmes.parse import PROGRAMME_BYTES_MAX, parse_programme
from accounting.programmes.programme import Programme
from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND
from runtime.configuration import read_bounded

PROGRAMME_FILE = "programme.toml"


def load_programme(path: Path) -> Programme:
    """Read a programme's TOML, or the one in a folder; raises PROGRAMME_INVALID with file and line."""
    file = path / PROGRAMME_FILE if path.is_dir() else path
    return parse_programme(read_bounded(file, PROGRAMME_BYTES_MAX), str(file))


def installed_programmes() -> dict[str, Path]:
    """Give the files of the programmes that came with the program, the newest version of each, by id."""
    folder = Path(str(importlib.resources.files("packs"))) / "programmes"
    if not folder.is_dir():
        raise Unavailable(REASON_NOT_FOUND, f"There is no folder {folder}.")
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"*/*/{PROGRAMME_FILE}"), key=lambda one: int(one.parent.name)):
        found[path.parent.parent.name] = path
    return found
