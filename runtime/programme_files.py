"""Programmes on disk: a file of the operator's, or those that came with the program."""

from __future__ import annotations

import importlib.resources
import string
from pathlib import Path

from accounting.programmes.parse import PROGRAMME_BYTES_MAX, parse_programme
from accounting.programmes.programme import Programme
from protos.epochs import Epoch
from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND
from runtime.configuration import read_bounded

PROGRAMME_FILE = "programme.toml"
TEMPLATE_FILE = "new.toml.template"


def new_programme(programme_id: str, first_epoch: Epoch) -> str:
    """Give the TOML of a programme to begin with: one of everything, commented."""
    template = _folder() / TEMPLATE_FILE
    text = string.Template(template.read_text(encoding="utf-8"))
    return text.substitute(id=programme_id, first_epoch=first_epoch)


def load_programme(path: Path) -> Programme:
    """Read a programme's TOML, or the one in a folder; raises PROGRAMME_INVALID with file and line."""
    file = _file(path)
    return parse_programme(read_bounded(file, PROGRAMME_BYTES_MAX), str(file))


def programme_text(path: Path) -> str:
    """Give the text of a programme's file."""
    return read_bounded(_file(path), PROGRAMME_BYTES_MAX).decode("utf-8")


def installed_programmes() -> dict[str, Path]:
    """Give the files of the programmes that came with the program, the newest version of each, by id."""
    found: dict[str, Path] = {}
    for path in sorted(_folder().glob(f"*/*/{PROGRAMME_FILE}"), key=lambda one: int(one.parent.name)):
        found[path.parent.parent.name] = path
    return found


def _folder() -> Path:
    folder = Path(str(importlib.resources.files("packs"))) / "programmes"
    if not folder.is_dir():
        raise Unavailable(REASON_NOT_FOUND, f"There is no folder {folder}.")
    return folder


def _file(path: Path) -> Path:
    return path / PROGRAMME_FILE if path.is_dir() else path
